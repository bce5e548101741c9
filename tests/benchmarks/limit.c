/* What the library itself costs: gss_accept_sec_context and the initiator's name, in C.

   limit [--pin | --best] < tokens        hex, a line each; prints the microseconds that each took

   The credential is acquired once. With --pin a krb5_context lives all the while, so that the
   library need not parse krb5.conf anew for every token. With --best, besides, the keytab is in
   memory, the credential is for HTTP/localhost, and Kerberos is the only mechanism: the least that
   we know of how to ask of the library. */

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST 10000
#define WARM_UP 20

static gss_OID_desc spnego = {6, "\x2b\x06\x01\x05\x05\x02"};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void check(OM_uint32 major, const char *what) {
    if (GSS_ERROR(major)) {
        fprintf(stderr, "limit: %s: %u\n", what, major);
        exit(1);
    }
}

static int nibble(char digit) {
    return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

static void check_krb5(krb5_error_code code, const char *what) {
    if (code) {
        fprintf(stderr, "limit: %s: %d\n", what, code);
        exit(1);
    }
}

/* A credential with a copy of the default keytab, which has to stay open. */
static gss_cred_id_t in_memory(krb5_context context) {
    krb5_keytab from, to;
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    gss_key_value_element_desc element = {"keytab", "MEMORY:limit"};
    gss_key_value_set_desc store = {1, &element};
    gss_buffer_desc text = {0, "HTTP/localhost@EXAMPLE.TEST"};
    gss_OID_set_desc kerberos = {1, (gss_OID)gss_mech_krb5};
    gss_OID_set mechanisms;
    gss_name_t name;
    gss_cred_id_t cred;
    OM_uint32 minor;

    check_krb5(krb5_kt_default(context, &from), "krb5_kt_default");
    check_krb5(krb5_kt_resolve(context, "MEMORY:limit", &to), "krb5_kt_resolve");
    check_krb5(krb5_kt_start_seq_get(context, from, &cursor), "krb5_kt_start_seq_get");
    while (krb5_kt_next_entry(context, from, &entry, &cursor) == 0)
        check_krb5(krb5_kt_add_entry(context, to, &entry), "krb5_kt_add_entry");
    text.length = strlen(text.value);
    check(gss_import_name(&minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &name), "gss_import_name");
    check(gss_create_empty_oid_set(&minor, &mechanisms), "gss_create_empty_oid_set");
    check(gss_add_oid_set_member(&minor, (gss_OID)gss_mech_krb5, &mechanisms), "krb5");
    check(gss_add_oid_set_member(&minor, &spnego, &mechanisms), "SPNEGO");
    check(gss_acquire_cred_from(&minor, name, 0, mechanisms, GSS_C_ACCEPT, &store, &cred, NULL, NULL),
          "gss_acquire_cred_from");
    check(gss_set_neg_mechs(&minor, cred, &kerberos), "gss_set_neg_mechs");
    return cred;
}

int main(int argc, char **argv) {
    OM_uint32 minor;
    gss_cred_id_t cred;
    krb5_context pinned;
    static gss_buffer_desc tokens[MOST];
    static double took[MOST];
    int count = 0;
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    if (argc > 1)
        check_krb5(krb5_init_context(&pinned), "krb5_init_context");
    if (argc > 1 && strcmp(argv[1], "--best") == 0)
        cred = in_memory(pinned);
    else
        check(gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, GSS_C_NO_OID_SET, GSS_C_ACCEPT, &cred, NULL,
                               NULL), "gss_acquire_cred");
    for (; count < MOST && (length = getline(&line, &size, stdin)) > 1; count++) {
        tokens[count].length = (length - 1) / 2;
        tokens[count].value = line;
        for (size_t at = 0; at < tokens[count].length; at++)
            line[at] = nibble(line[2 * at]) << 4 | nibble(line[2 * at + 1]);
        line = NULL;
        size = 0;
    }
    for (int number = 0; number < count; number++) {
        gss_buffer_desc answer, name;
        gss_ctx_id_t context = GSS_C_NO_CONTEXT;
        gss_name_t initiator;
        double began;

        if (number == WARM_UP)
            getppid(); /* where growth.py begins to count instructions */
        began = now();
        check(gss_accept_sec_context(&minor, &context, cred, tokens + number,
                                     GSS_C_NO_CHANNEL_BINDINGS, &initiator, NULL, &answer, NULL,
                                     NULL, NULL), "gss_accept_sec_context");
        check(gss_display_name(&minor, initiator, &name, NULL), "gss_display_name");
        if (name.length != 18 || memcmp(name.value, "alice@EXAMPLE.TEST", 18) != 0)
            return 1;
        gss_release_buffer(&minor, &name);
        gss_release_buffer(&minor, &answer);
        gss_release_name(&minor, &initiator);
        gss_delete_sec_context(&minor, &context, GSS_C_NO_BUFFER);
        took[number] = now() - began;
    }
    getppid();
    for (int number = 0; number < count; number++)
        printf("%.1f\n", took[number]);
    return 0;
}

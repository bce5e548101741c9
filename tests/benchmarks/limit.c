/* What the library itself costs: gss_accept_sec_context and the initiator's name, in C.

   limit [--pin] < tokens        hex, a line each; prints the microseconds that each one took

   The credential is acquired once. With --pin a krb5_context lives all the while, so that the
   library need not parse krb5.conf anew for every token. */

#include <gssapi/gssapi.h>
#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

int main(int argc, char **argv) {
    OM_uint32 minor;
    gss_cred_id_t cred;
    krb5_context pinned;
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    if (argc > 1 && strcmp(argv[1], "--pin") == 0)
        krb5_init_context(&pinned);
    check(gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, GSS_C_NO_OID_SET, GSS_C_ACCEPT, &cred, NULL,
                           NULL), "gss_acquire_cred");
    while ((length = getline(&line, &size, stdin)) > 1) {
        gss_buffer_desc token = {(length - 1) / 2, line}, answer, name;
        gss_ctx_id_t context = GSS_C_NO_CONTEXT;
        gss_name_t initiator;
        double began;

        for (size_t at = 0; at < token.length; at++)
            sscanf(line + 2 * at, "%2hhx", (unsigned char *)line + at);
        began = now();
        check(gss_accept_sec_context(&minor, &context, cred, &token, GSS_C_NO_CHANNEL_BINDINGS,
                                     &initiator, NULL, &answer, NULL, NULL, NULL),
              "gss_accept_sec_context");
        check(gss_display_name(&minor, initiator, &name, NULL), "gss_display_name");
        if (name.length != 18 || memcmp(name.value, "alice@EXAMPLE.TEST", 18) != 0)
            return 1;
        gss_release_buffer(&minor, &name);
        gss_release_buffer(&minor, &answer);
        gss_release_name(&minor, &initiator);
        gss_delete_sec_context(&minor, &context, GSS_C_NO_BUFFER);
        printf("%.1f\n", now() - began);
    }
    return 0;
}

/* large_ticket CCACHE SPN BYTES: puts a service ticket with BYTES of client authorization data
   into a credential cache, as Active Directory's tickets of users in many groups have them.
   large_ticket CCACHE SPN BYTES TYPE FILE: with those of FILE, of the type TYPE, instead of zeros.
   RFC 4120 section 5.2.6: AD-IF-RELEVANT is what an application may ignore. */
#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>

static krb5_context context;

static void check(krb5_error_code code, const char *what) {
    if (code) {
        fprintf(stderr, "%s: %s\n", what, krb5_get_error_message(context, code));
        exit(1);
    }
}

int main(int count, char **words) {
    krb5_ccache cache;
    krb5_creds wanted = {0}, *got;
    krb5_authdata inner = {0}, *list[] = {&inner, NULL}, **wrapped;
    if (count != 4 && count != 6)
        return 2;
    check(krb5_init_context(&context), "context");
    check(krb5_cc_resolve(context, words[1], &cache), "cache");
    check(krb5_cc_get_principal(context, cache, &wanted.client), "client");
    check(krb5_parse_name(context, words[2], &wanted.server), "server");
    inner.ad_type = 0x7fff;
    inner.length = atoi(words[3]);
    inner.contents = calloc(inner.length, 1);
    if (count == 6) {
        FILE *file = fopen(words[5], "rb");
        inner.ad_type = atoi(words[4]);
        if (!file || fread(inner.contents, 1, inner.length, file) != inner.length)
            return 2;
    }
    check(krb5_encode_authdata_container(context, KRB5_AUTHDATA_IF_RELEVANT, list, &wrapped), "wrap");
    wanted.authdata = wrapped;
    check(krb5_get_credentials(context, KRB5_GC_NO_STORE, cache, &wanted, &got), "ticket");
    krb5_free_authdata(context, got->authdata);
    got->authdata = NULL;
    check(krb5_cc_store_cred(context, cache, got), "store");
    printf("%u\n", got->ticket.length);
    return 0;
}

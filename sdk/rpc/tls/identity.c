/* SPDX-License-Identifier: Apache-2.0 */
/* The names in a verified certificate, in words. */
#include "identity.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

#define NAME_MAX_BYTES 1024

static bool read_subject(struct tls_identity *identity, X509 *certificate)
{
    BIO *text = BIO_new(BIO_s_mem());
    char *bytes;
    long length;

    if (text == NULL)
        return false;
    X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    length = BIO_get_mem_data(text, &bytes);
    identity->subject = strndup(bytes == NULL ? "" : bytes, length < 0 ? 0 : (size_t)length);
    BIO_free(text);
    return identity->subject != NULL;
}

/* A NUL inside a name would end it early, and make another name of it. */
static char *make_text(const char *kind, const ASN1_STRING *value)
{
    const char *bytes = (const char *)ASN1_STRING_get0_data(value);
    int length = ASN1_STRING_length(value);
    char *text = NULL;

    if (length < 0 || length > NAME_MAX_BYTES || memchr(bytes, '\0', (size_t)length) != NULL)
        return NULL;
    return asprintf(&text, "%s:%.*s", kind, length, bytes) < 0 ? NULL : text;
}

static char *make_ip(const ASN1_STRING *value)
{
    int length = ASN1_STRING_length(value);
    char host[INET6_ADDRSTRLEN];
    char *text = NULL;

    if ((length != 4 && length != 16) ||
        inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), host, sizeof(host)) == NULL)
        return NULL;
    return asprintf(&text, "IP:%s", host) < 0 ? NULL : text;
}

static char *make_name(const GENERAL_NAME *name)
{
    switch (name->type) {
    case GEN_DNS:
        return make_text("DNS", name->d.dNSName);
    case GEN_URI:
        return make_text("URI", name->d.uniformResourceIdentifier);
    case GEN_EMAIL:
        return make_text("email", name->d.rfc822Name);
    case GEN_IPADD:
        return make_ip(name->d.iPAddress);
    default:
        return NULL;
    }
}

bool tls_identity_read(struct tls_identity *ret_identity, X509 *certificate)
{
    struct tls_identity identity = {0};
    GENERAL_NAMES *names;

    if (!read_subject(&identity, certificate))
        return false;
    names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && identity.name_count < TLS_NAMES_MAX; i++) {
        char *name = make_name(sk_GENERAL_NAME_value(names, i));

        if (name != NULL)
            identity.names[identity.name_count++] = name;
    }
    GENERAL_NAMES_free(names);
    *ret_identity = identity;
    return true;
}

void tls_identity_finish(struct tls_identity *identity)
{
    free(identity->subject);
    for (size_t i = 0; i < identity->name_count; i++)
        free(identity->names[i]);
    *identity = (struct tls_identity){0};
}

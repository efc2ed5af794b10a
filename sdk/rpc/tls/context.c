/* SPDX-License-Identifier: Apache-2.0 */
/* How TLS is spoken here, by whom, and who is believed. */
#include "context.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "state.h"

/* Of TLS 1.2 only those that RFC 9113 9.2.2 does not forbid; those of TLS 1.3 are all good. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

static const unsigned char http2[] = {2, 'h', '2'};

static int on_client_hello(SSL *ssl, int *alert, void *context)
{
    struct tls *tls = SSL_get_app_data(ssl);
    const unsigned char *offer;
    size_t length;

    (void)context;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &offer, &length) ==
        1)
        return SSL_CLIENT_HELLO_SUCCESS;
    tls->lacks_protocol = true;
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

static int on_choice(SSL *ssl, const unsigned char **ret_chosen, unsigned char *ret_length,
                     const unsigned char *offer, unsigned length, void *context)
{
    struct tls *tls = SSL_get_app_data(ssl);

    (void)context;
    if (SSL_select_next_proto((unsigned char **)ret_chosen, ret_length, http2, sizeof(http2), offer,
                              length) == OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_OK;
    tls->lacks_protocol = true;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Connections live long, so that resuming sessions saves little and would cost tickets, keys and a cache. */
static bool set_rules(SSL_CTX *settings)
{
    SSL_CTX_set_mode(settings, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(settings, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                      SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(settings, SSL_SESS_CACHE_OFF);
    /* Whom the operator names is believed, whether or not somebody else has signed him too. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(settings), X509_V_FLAG_PARTIAL_CHAIN);
    return SSL_CTX_set_min_proto_version(settings, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(settings, CIPHERS) == 1 && SSL_CTX_set_num_tickets(settings, 0) == 1;
}

static struct tls_context *create(const SSL_METHOD *method)
{
    struct tls_context *context = calloc(1, sizeof(*context));

    if (context == NULL)
        return NULL;
    context->references = 1;
    context->settings = SSL_CTX_new(method);
    context->method = tls_bio_method_create();
    if (context->settings != NULL && context->method != NULL && set_rules(context->settings))
        return context;
    tls_context_unref(context);
    return NULL;
}

static enum berth_code out_of_memory(struct berth_error *err)
{
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot set up TLS: %s", tls_reason());
}

static enum berth_code use_own(struct tls_context *context, const struct berth_rpc_tls_options *options,
                               struct berth_error *err)
{
    bool is_exposed = false;
    enum berth_code code = tls_use_certificate(context->settings, options->certificate_file, err);

    if (code == BERTH_OK)
        code = tls_use_key(context->settings, options->key_file, options->certificate_file, &is_exposed, err);
    if (code == BERTH_OK && is_exposed &&
        asprintf(&context->warning, "the key %s may be read by every user of this machine (try chmod 600)",
                 options->key_file) < 0)
        context->warning = NULL;
    return code;
}

/* Members that the caller's header did not have are as good as unset. */
static struct berth_rpc_tls_options whole(const struct berth_rpc_tls_options *options)
{
    struct berth_rpc_tls_options all = {0};

    memcpy(&all, options, options->size < sizeof(all) ? options->size : sizeof(all));
    return all;
}

static enum berth_code fill_server(struct tls_context *context, const struct berth_rpc_tls_options *options,
                                   struct berth_error *err)
{
    enum berth_code code = use_own(context, options, err);

    context->is_server = true;
    SSL_CTX_set_client_hello_cb(context->settings, on_client_hello, NULL);
    SSL_CTX_set_alpn_select_cb(context->settings, on_choice, NULL);
    if (code != BERTH_OK || options->ca_file == NULL)
        return code;
    SSL_CTX_set_verify(context->settings, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return tls_use_authorities(context->settings, options->ca_file, err);
}

enum berth_code tls_context_create_server(const struct berth_rpc_tls_options *options,
                                          struct tls_context **ret_context, const char **ret_warning,
                                          struct berth_error *err)
{
    const struct berth_rpc_tls_options all = whole(options);
    struct tls_context *context;
    enum berth_code code;

    if (all.certificate_file == NULL || all.key_file == NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "TLS needs a certificate and its key; the %s is not named",
                               all.certificate_file == NULL ? "certificate" : "key");
    context = create(TLS_server_method());
    if (context == NULL)
        return out_of_memory(err);
    code = fill_server(context, &all, err);
    if (code != BERTH_OK) {
        tls_context_unref(context);
        return code;
    }
    *ret_warning = context->warning;
    *ret_context = context;
    return BERTH_OK;
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static enum berth_code fill_client(struct tls_context *context, const struct berth_rpc_tls_options *options,
                                   const char *host, struct berth_error *err)
{
    SSL_CTX *settings = context->settings;

    /* OpenSSL would take any name for this one. */
    if (options->server_name != NULL && options->server_name[0] == '\0')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "the name that the server's certificate must bear is empty; leave it out to "
                               "have it bear %s",
                               host);
    SSL_CTX_set_verify(settings, SSL_VERIFY_PEER, NULL);
    /* A certificate knows no interface of this machine: "fe80::1%eth0" is fe80::1 in it. */
    context->server_name =
        options->server_name != NULL ? strdup(options->server_name) : strndup(host, strcspn(host, "%"));
    if (context->server_name == NULL || SSL_CTX_set_alpn_protos(settings, http2, sizeof(http2)) != 0)
        return out_of_memory(err);
    context->name_is_address = is_address(context->server_name);
    if ((options->certificate_file == NULL) != (options->key_file == NULL))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "a certificate and its key come together; the %s is not named",
                               options->certificate_file == NULL ? "certificate" : "key");
    if (options->certificate_file != NULL) {
        enum berth_code code = use_own(context, options, err);

        if (code != BERTH_OK)
            return code;
    }
    if (options->ca_file != NULL)
        return tls_use_authorities(settings, options->ca_file, err);
    return SSL_CTX_set_default_verify_paths(settings) == 1 ? BERTH_OK : out_of_memory(err);
}

enum berth_code tls_context_create_client(const struct berth_rpc_tls_options *options, const char *host,
                                          struct tls_context **ret_context, struct berth_error *err)
{
    const struct berth_rpc_tls_options all = whole(options);
    struct tls_context *context = create(TLS_client_method());
    enum berth_code code;

    if (context == NULL)
        return out_of_memory(err);
    code = fill_client(context, &all, host, err);
    if (code == BERTH_OK)
        *ret_context = context;
    else
        tls_context_unref(context);
    return code;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->references++;
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL || --context->references > 0)
        return;
    SSL_CTX_free(context->settings);
    BIO_meth_free(context->method);
    free(context->warning);
    free(context->server_name);
    free(context);
}

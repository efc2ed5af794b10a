/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS as a filter of a connection. OpenSSL reads input in place and writes into the current batch, which
 * saves a copy each way.
 */
#include "state.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

#include <sdk/base/container_of.h>
#include <openssl/err.h>

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

/* Further names than there is room for are left out. @return false without memory; there is nothing to
 * finish. */
static bool read_identity(struct tls_identity *ret_identity, X509 *certificate)
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

static void finish_identity(struct tls_identity *identity)
{
    free(identity->subject);
    for (size_t i = 0; i < identity->name_count; i++)
        free(identity->names[i]);
    *identity = (struct tls_identity){0};
}

static int bio_read(BIO *bio, char *bytes, int length)
{
    struct tls *tls = BIO_get_data(bio);
    size_t count = tls->source_length < (size_t)length ? tls->source_length : (size_t)length;

    BIO_clear_retry_flags(bio);
    if (count == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(bytes, tls->source, count);
    tls->source += count;
    tls->source_length -= count;
    return (int)count;
}

static struct batch *find_sink(struct tls *tls)
{
    if (tls->sink != NULL)
        return tls->sink;
    if (tls->answers == NULL)
        tls->answers = engine_borrow_batch(tls->connection->engine);
    return tls->answers;
}

static int bio_write(BIO *bio, const char *bytes, int length)
{
    struct batch *sink = find_sink(BIO_get_data(bio));

    BIO_clear_retry_flags(bio);
    if (sink == NULL || sink->byte_count + (size_t)length > BATCH_BYTES_MAX) {
        BIO_set_retry_write(bio);
        return -1;
    }
    batch_add_bytes(sink, bytes, (size_t)length);
    return length;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* The BIO between OpenSSL and a `struct tls`; NULL without memory. */
static BIO_METHOD *create_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "connection");

    if (method == NULL)
        return NULL;
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    return method;
}

static const char *describe_verification(struct tls *tls)
{
    snprintf(tls->reason, sizeof(tls->reason), "certificate verification failed: %s",
             X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl)));
    return tls->reason;
}

/* Why OpenSSL failed; its own text if there is none better. */
static const char *fail(struct tls *tls)
{
    unsigned long error = ERR_peek_last_error();
    const char *reason = tls_reason();

    tls->has_failed = true;
    if (tls->lacks_protocol)
        return tls->context->is_http1 ? "it does not offer HTTP/1.1 (no \"http/1.1\" in ALPN)"
                                      : "it does not offer HTTP/2 (no \"h2\" in ALPN)";
    switch (ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return describe_verification(tls);
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "client certificate required, but none was sent";
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "TLS 1.2 or newer required";
    default:
        snprintf(tls->reason, sizeof(tls->reason), "TLS: %s", reason);
        return tls->reason;
    }
}

/* @return NULL if OpenSSL only waits for more. */
static const char *judge(struct tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return NULL;
    case SSL_ERROR_WANT_WRITE:
        return "the peer causes TLS messages faster than it reads them";
    case SSL_ERROR_ZERO_RETURN:
        return "the peer closed the connection";
    default:
        return fail(tls);
    }
}

static const char *check_protocol(struct tls *tls)
{
    const unsigned char *chosen;
    unsigned length;

    SSL_get0_alpn_selected(tls->ssl, &chosen, &length);
    if (tls->context->is_http1 || (length == 2 && memcmp(chosen, "h2", 2) == 0))
        return NULL;
    tls->has_failed = true;
    return "HTTP/2 not selected (\"h2\" in ALPN)";
}

static const char *shake_hands(struct tls *tls)
{
    const char *reason;
    int result;

    ERR_clear_error();
    result = SSL_do_handshake(tls->ssl);
    if (result != 1)
        return judge(tls, result);
    reason = check_protocol(tls);
    if (reason != NULL)
        return reason;
    tls->is_secured = true;
    if (tls->on_secured != NULL)
        tls->on_secured(tls->connection);
    return NULL;
}

/* @param ret_count  How many records were opened. Always written. */
static const char *open_records(struct tls *tls, unsigned *ret_count)
{
    *ret_count = 0;
    while (!tls->connection->is_lost) {
        const char *reason;
        int length;

        ERR_clear_error();
        length = SSL_read(tls->ssl, tls->context->opened, sizeof(tls->context->opened));
        if (length <= 0)
            return judge(tls, length);
        ++*ret_count;
        reason = tls->protocol->feed(tls->session, tls->context->opened, (size_t)length);
        if (reason != NULL)
            return reason;
    }
    return NULL;
}

static const char *feed(void *session, const uint8_t *bytes, size_t length)
{
    struct tls *tls = session;
    const char *reason = NULL;
    unsigned opened = 0;

    tls->source = bytes;
    tls->source_length = length;
    if (!tls->is_secured)
        reason = shake_hands(tls);
    if (reason == NULL && tls->is_secured)
        reason = open_records(tls, &opened);
    tls->source_length = 0;
    if (SSL_has_pending(tls->ssl) == 0)
        tls->held_since_ns = 0;
    else if (tls->held_since_ns == 0 || opened > 0)
        tls->held_since_ns = uv_hrtime();
    return reason;
}

static void move_answers(struct tls *tls, struct batch *batch)
{
    if (tls->answers == NULL)
        return;
    batch_add_bytes(batch, tls->answers->bytes, tls->answers->byte_count);
    engine_return_batch(tls->connection->engine, tls->answers);
    tls->answers = NULL;
}

/* The next bytes in a row, as many as one record takes: frames are many small pieces. */
static const void *gather(struct tls *tls, size_t *ret_length)
{
    const struct batch *text = tls->text;
    size_t length = 0;

    if (text->pieces[0].len >= TLS_RECORD_BYTES || text->piece_count == 1) {
        *ret_length = text->pieces[0].len < TLS_RECORD_BYTES ? text->pieces[0].len : TLS_RECORD_BYTES;
        return text->pieces[0].base;
    }
    for (size_t i = 0; i < text->piece_count && length < TLS_RECORD_BYTES; i++) {
        size_t room = TLS_RECORD_BYTES - length;
        size_t count = text->pieces[i].len < room ? text->pieces[i].len : room;

        memcpy(tls->context->gathered + length, text->pieces[i].base, count);
        length += count;
    }
    *ret_length = length;
    return tls->context->gathered;
}

static const char *seal_record(struct tls *tls)
{
    size_t length;
    const void *bytes = gather(tls, &length);
    int written;

    ERR_clear_error();
    written = SSL_write(tls->ssl, bytes, (int)length);
    if (written <= 0) {
        const char *reason = judge(tls, written);

        return reason != NULL ? reason : "TLS write failed";
    }
    batch_advance(tls->text, (size_t)written);
    return NULL;
}

static void drop_text(struct tls *tls)
{
    if (tls->text != NULL)
        engine_return_batch(tls->connection->engine, tls->text);
    tls->text = NULL;
}

/* Fetches frames to seal, if there are any. */
static const char *find_text(struct tls *tls)
{
    const char *reason;

    if (tls->text != NULL && tls->text->total > 0)
        return NULL;
    drop_text(tls);
    tls->text = engine_borrow_batch(tls->connection->engine);
    if (tls->text == NULL)
        return "out of memory";
    reason = tls->protocol->fill(tls->session, tls->text);
    if (reason != NULL || tls->text->total == 0)
        drop_text(tls);
    return reason;
}

static const char *seal_records(struct tls *tls, struct batch *batch)
{
    while (batch->byte_count + BATCH_BYTES_MAX / 4 <= BATCH_BYTES_MAX) {
        const char *reason = find_text(tls);

        if (reason == NULL && tls->text == NULL)
            return NULL;
        if (reason == NULL)
            reason = seal_record(tls);
        if (reason != NULL)
            return reason;
    }
    return NULL;
}

static const char *fill(void *session, struct batch *batch)
{
    struct tls *tls = session;
    const char *reason = NULL;

    tls->sink = batch;
    move_answers(tls, batch);
    if (!tls->is_secured)
        reason = shake_hands(tls);
    if (reason == NULL && tls->is_secured)
        reason = seal_records(tls, batch);
    tls->sink = NULL;
    return reason;
}

static void leave(void *session, struct batch *batch)
{
    struct tls *tls = session;

    tls->sink = batch;
    move_answers(tls, batch);
    if (tls->is_secured && !tls->has_failed)
        SSL_shutdown(tls->ssl);
    ERR_clear_error();
    tls->sink = NULL;
}

static bool is_over(const void *session)
{
    const struct tls *tls = session;

    return tls->is_secured && tls->text == NULL && tls->answers == NULL &&
           tls->protocol->is_over(tls->session);
}

static void finish(void *session)
{
    struct tls *tls = session;

    tls->protocol->finish(tls->session);
    tls->session = NULL;
}

static const struct connection_protocol tls_protocol = {
    .feed = feed,
    .fill = fill,
    .leave = leave,
    .is_over = is_over,
    .finish = finish,
};

static bool set_server_name(struct tls *tls)
{
    const char *name = tls->context->server_name;

    if (tls->context->name_is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), name) == 1;
    SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(tls->ssl, name) == 1 && SSL_set1_host(tls->ssl, name) == 1;
}

static bool set_up(struct tls *tls)
{
    struct tls_context *context = tls->context;
    BIO *bio;

    if (context->method == NULL)
        context->method = create_method();
    tls->ssl = SSL_new(context->settings);
    bio = context->method == NULL ? NULL : BIO_new(context->method);
    if (tls->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_app_data(tls->ssl, tls);
    if (tls->context->is_server) {
        SSL_set_accept_state(tls->ssl);
        return true;
    }
    SSL_set_connect_state(tls->ssl);
    return set_server_name(tls);
}

static void *start(struct connection_filter *filter, const struct connection_protocol **protocol,
                   void *session)
{
    struct tls *tls = CONTAINER_OF(filter, struct tls, filter);

    tls->protocol = *protocol;
    tls->session = session;
    *protocol = &tls_protocol;
    return tls;
}

static void destroy(struct connection_filter *filter)
{
    struct tls *tls = CONTAINER_OF(filter, struct tls, filter);

    if (tls->answers != NULL)
        engine_return_batch(tls->connection->engine, tls->answers);
    drop_text(tls);
    finish_identity(&tls->identity);
    SSL_free(tls->ssl);
    tls_context_unref(tls->context);
    ERR_clear_error();
    free(tls);
}

struct tls *tls_cover(struct connection *connection, struct tls_context *context,
                      void (*on_secured)(struct connection *connection))
{
    struct tls *tls = calloc(1, sizeof(*tls));
    bool is_ready;

    if (tls == NULL)
        return NULL;
    tls->filter.start = start;
    tls->filter.destroy = destroy;
    tls->context = tls_context_ref(context);
    tls->connection = connection;
    tls->on_secured = on_secured;
    is_ready = set_up(tls);
    ERR_clear_error();
    if (is_ready) {
        connection_add_filter(connection, &tls->filter);
        return tls;
    }
    destroy(&tls->filter);
    return NULL;
}

bool tls_has_failed(const struct tls *tls)
{
    return tls->has_failed;
}

uint64_t tls_held_since_ns(const struct tls *tls)
{
    return tls->held_since_ns;
}

void tls_identify(struct tls *tls, struct berth_peer *peer)
{
    struct tls_identity *identity = &tls->identity;
    X509 *certificate = SSL_get0_peer_certificate(tls->ssl);

    if (certificate != NULL && SSL_get_verify_result(tls->ssl) == X509_V_OK &&
        (identity->subject != NULL || read_identity(identity, certificate))) {
        peer->tls_subject = identity->subject;
        peer->tls_names = (const char *const *)identity->names;
        peer->tls_name_count = identity->name_count;
    }
    ERR_clear_error();
}

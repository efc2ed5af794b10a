/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS settings: protocol versions, identity and trusted CAs, from PEM files whose errors are reported in
 * plain words.
 */
#include "state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#define FILE_BYTES_MAX (1024 * 1024)
#define CERTIFICATES_MAX 1024

/** Contents of a file, not NUL-terminated. */
struct content {
    unsigned char *bytes;
    size_t length;
    mode_t mode;
};

const char *tls_reason(void)
{
    unsigned long error = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(error);

    ERR_clear_error();
    return reason != NULL ? reason : "no reason given";
}

static enum berth_code refuse(struct berth_error *err, const char *what, const char *path, const char *why)
{
    return berth_error_set(err, BERTH_INVALID_ARGUMENT, "cannot use the %s %s: %s", what, path, why);
}

static enum berth_code refuse_errno(struct berth_error *err, const char *what, const char *path)
{
    int error = errno;

    if (error == EACCES || error == EPERM)
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "cannot use the %s %s: %s; uid %lu must be able to read it", what, path,
                               strerror(error), (unsigned long)geteuid());
    return refuse(err, what, path, strerror(error));
}

static enum berth_code read_all(int fd, const char *what, const char *path, size_t size,
                                struct content *content, struct berth_error *err)
{
    content->bytes = malloc(size + 1);
    if (content->bytes == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot use the %s %s: out of memory", what,
                               path);
    while (content->length < size) {
        ssize_t got = read(fd, content->bytes + content->length, size - content->length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            free(content->bytes);
            return refuse_errno(err, what, path);
        }
        if (got == 0)
            break;
        content->length += (size_t)got;
    }
    return BERTH_OK;
}

/* A pipe or a device would have the caller wait, so that only a file is read. */
static enum berth_code read_file(const char *what, const char *path, struct content *ret_content,
                                 struct berth_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct content content = {0};
    struct stat status;
    enum berth_code code;

    if (fd < 0)
        return refuse_errno(err, what, path);
    if (fstat(fd, &status) < 0)
        code = refuse_errno(err, what, path);
    else if (!S_ISREG(status.st_mode))
        code = refuse(err, what, path, "it is not a regular file");
    else if (status.st_size > FILE_BYTES_MAX)
        code = refuse(err, what, path, "it is larger than 1 MiB");
    else
        code = read_all(fd, what, path, (size_t)status.st_size, &content, err);
    close(fd);
    if (code != BERTH_OK)
        return code;
    content.mode = status.st_mode;
    *ret_content = content;
    return BERTH_OK;
}

static void forget(struct content *content)
{
    OPENSSL_cleanse(content->bytes, content->length);
    free(content->bytes);
}

/* OpenSSL would ask at the terminal. */
static int on_passphrase(char *text, int size, int is_writing, void *context)
{
    (void)text, (void)size, (void)is_writing;
    *(bool *)context = true;
    return -1;
}

static enum berth_code refuse_pem(struct berth_error *err, const char *what, const char *path)
{
    unsigned long error = ERR_peek_last_error();
    bool is_none = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    const char *reason = tls_reason();

    return refuse(err, what, path, is_none ? "it contains no PEM block (\"-----BEGIN …\")" : reason);
}

static void put_day(const ASN1_TIME *moment, char text[32])
{
    struct tm day = {0};

    ASN1_TIME_to_tm(moment, &day);
    strftime(text, 32, "%Y-%m-%d %H:%M:%S UTC", &day);
}

static enum berth_code check_time(X509 *certificate, const char *path, struct berth_error *err)
{
    const ASN1_TIME *first = X509_get0_notBefore(certificate);
    const ASN1_TIME *last = X509_get0_notAfter(certificate);
    char day[32];

    if (X509_cmp_current_time(last) < 0) {
        put_day(last, day);
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "cannot use the certificate %s: it expired on %s; renew it", path, day);
    }
    if (X509_cmp_current_time(first) > 0) {
        put_day(first, day);
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "cannot use the certificate %s: it is not valid before %s (is the clock right?)", path, day);
    }
    return BERTH_OK;
}

static bool add_chain(SSL_CTX *settings, BIO *pem)
{
    for (int i = 0; i < CERTIFICATES_MAX; i++) {
        X509 *certificate = PEM_read_bio_X509(pem, NULL, NULL, NULL);

        if (certificate == NULL)
            return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
        if (SSL_CTX_add0_chain_cert(settings, certificate) != 1) {
            X509_free(certificate);
            return false;
        }
    }
    return false;
}

static enum berth_code use_pem_certificate(SSL_CTX *settings, BIO *pem, const char *path,
                                           struct berth_error *err)
{
    X509 *certificate = pem == NULL ? NULL : PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL);
    enum berth_code code;

    if (certificate == NULL)
        return refuse_pem(err, "certificate", path);
    code = check_time(certificate, path, err);
    if (code == BERTH_OK &&
        (SSL_CTX_use_certificate(settings, certificate) != 1 || !add_chain(settings, pem)))
        code = refuse_pem(err, "certificate", path);
    ERR_clear_error();
    X509_free(certificate);
    return code;
}

/* Has `settings` present the certificate and its chain. Rejects one that is not valid today. */
static enum berth_code use_certificate(SSL_CTX *settings, const char *path, struct berth_error *err)
{
    struct content content;
    enum berth_code code = read_file("certificate", path, &content, err);
    BIO *pem;

    if (code != BERTH_OK)
        return code;
    ERR_clear_error();
    pem = BIO_new_mem_buf(content.bytes, (int)content.length);
    code = use_pem_certificate(settings, pem, path, err);
    BIO_free(pem);
    forget(&content);
    return code;
}

static enum berth_code use_pem_key(SSL_CTX *settings, BIO *pem, const char *path,
                                   const char *certificate_path, struct berth_error *err)
{
    bool is_asked = false;
    EVP_PKEY *key = pem == NULL ? NULL : PEM_read_bio_PrivateKey(pem, NULL, on_passphrase, &is_asked);
    bool is_used;

    if (key == NULL && is_asked) {
        ERR_clear_error();
        return refuse(err, "key", path, "it is encrypted; remove its passphrase");
    }
    if (key == NULL)
        return refuse_pem(err, "key", path);
    is_used = SSL_CTX_use_PrivateKey(settings, key) == 1 && SSL_CTX_check_private_key(settings) == 1;
    EVP_PKEY_free(key);
    if (is_used)
        return BERTH_OK;
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "cannot use the key %s: it does not belong to the certificate %s (%s)", path,
                           certificate_path, tls_reason());
}

/* @param ret_is_exposed  May every user of this machine read it? */
static enum berth_code use_key(SSL_CTX *settings, const char *path, const char *certificate_path,
                               bool *ret_is_exposed, struct berth_error *err)
{
    struct content content;
    enum berth_code code = read_file("key", path, &content, err);
    BIO *pem;

    if (code != BERTH_OK)
        return code;
    ERR_clear_error();
    pem = BIO_new_mem_buf(content.bytes, (int)content.length);
    code = use_pem_key(settings, pem, path, certificate_path, err);
    BIO_free(pem);
    if (code == BERTH_OK)
        *ret_is_exposed = (content.mode & S_IRWXO) != 0;
    forget(&content);
    return code;
}

static bool add_authority(SSL_CTX *settings, STACK_OF(X509_NAME) * names, X509 *certificate)
{
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(certificate));

    if (name == NULL || sk_X509_NAME_push(names, name) == 0) {
        X509_NAME_free(name);
        return false;
    }
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(settings), certificate) == 1;
}

/* @return how many there were; -1 if one of them is wrong. */
static int add_authorities(SSL_CTX *settings, STACK_OF(X509_NAME) * names, BIO *pem)
{
    int count = 0;

    while (count < CERTIFICATES_MAX) {
        X509 *certificate = PEM_read_bio_X509(pem, NULL, NULL, NULL);
        bool is_added;

        if (certificate == NULL)
            return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? count : -1;
        is_added = add_authority(settings, names, certificate);
        X509_free(certificate);
        if (!is_added)
            return -1;
        count++;
    }
    return -1;
}

/* Has `settings` trust whom these certificates have signed; servers also say so to their clients. */
static enum berth_code use_authorities(SSL_CTX *settings, const char *path, struct berth_error *err)
{
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    struct content content;
    enum berth_code code = read_file("CA file", path, &content, err);
    BIO *pem;

    if (code != BERTH_OK) {
        sk_X509_NAME_free(names);
        return code;
    }
    ERR_clear_error();
    pem = BIO_new_mem_buf(content.bytes, (int)content.length);
    if (names == NULL || pem == NULL || add_authorities(settings, names, pem) <= 0)
        code = refuse_pem(err, "CA file", path);
    ERR_clear_error();
    BIO_free(pem);
    forget(&content);
    /* Sent to clients, so that they know which certificate to show. */
    if (code == BERTH_OK)
        SSL_CTX_set0_CA_list(settings, names);
    else
        sk_X509_NAME_pop_free(names, X509_NAME_free);
    return code;
}

/* Of TLS 1.2 only those that RFC 9113 9.2.2 does not forbid; those of TLS 1.3 are all good. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

static const unsigned char http2[] = {2, 'h', '2'};
/* "http/1.1" and "http/1.0", each preceded by its length; the server prefers the first. */
static const unsigned char http1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1',
                                      8, 'h', 't', 't', 'p', '/', '1', '.', '0'};

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
    bool is_http1 = tls->context->is_http1;

    (void)context;
    if (SSL_select_next_proto((unsigned char **)ret_chosen, ret_length, is_http1 ? http1 : http2,
                              is_http1 ? sizeof(http1) : sizeof(http2), offer,
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
    /* CAs named by the operator are trusted, whether or not another CA has signed them too. */
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
    if (context->settings != NULL && set_rules(context->settings))
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
    enum berth_code code = use_certificate(context->settings, options->certificate_file, err);

    if (code == BERTH_OK)
        code = use_key(context->settings, options->key_file, options->certificate_file, &is_exposed, err);
    if (code == BERTH_OK && is_exposed &&
        asprintf(&context->warning, "the key %s is readable by every user of this machine (try chmod 600)",
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
    if (!context->is_http1)
        SSL_CTX_set_client_hello_cb(context->settings, on_client_hello, NULL);
    SSL_CTX_set_alpn_select_cb(context->settings, on_choice, NULL);
    if (code != BERTH_OK || options->ca_file == NULL)
        return code;
    SSL_CTX_set_verify(context->settings, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return use_authorities(context->settings, options->ca_file, err);
}

enum berth_code tls_context_create_server(const struct berth_rpc_tls_options *options, bool is_http1,
                                          struct tls_context **ret_context, const char **ret_warning,
                                          struct berth_error *err)
{
    const struct berth_rpc_tls_options all = whole(options);
    struct tls_context *context;
    enum berth_code code;

    if (all.certificate_file == NULL || all.key_file == NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "TLS needs a certificate and a key; the %s is missing",
                               all.certificate_file == NULL ? "certificate" : "key");
    context = create(TLS_server_method());
    if (context == NULL)
        return out_of_memory(err);
    context->is_http1 = is_http1;
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
                               "server_name is empty; leave it out to verify the certificate against %s",
                               host);
    SSL_CTX_set_verify(settings, SSL_VERIFY_PEER, NULL);
    /* Certificates do not contain interface names: "fe80::1%eth0" is fe80::1 there. */
    context->server_name =
        options->server_name != NULL ? strdup(options->server_name) : strndup(host, strcspn(host, "%"));
    if (context->server_name == NULL || SSL_CTX_set_alpn_protos(settings, http2, sizeof(http2)) != 0)
        return out_of_memory(err);
    context->name_is_address = is_address(context->server_name);
    if ((options->certificate_file == NULL) != (options->key_file == NULL))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "a certificate and its key must be set together; the %s is missing",
                               options->certificate_file == NULL ? "certificate" : "key");
    if (options->certificate_file != NULL) {
        enum berth_code code = use_own(context, options, err);

        if (code != BERTH_OK)
            return code;
    }
    if (options->ca_file != NULL)
        return use_authorities(settings, options->ca_file, err);
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

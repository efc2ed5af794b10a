/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys from PEM files, and what is wrong with them in words. */
#include "files.h"

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

/** What a file holds, NUL-terminated for nobody. */
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
    return reason != NULL ? reason : "it gives no reason";
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
        code = refuse(err, what, path, "it is no file");
    else if (status.st_size > FILE_BYTES_MAX)
        code = refuse(err, what, path, "it has more than 1 MiB");
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

    return refuse(err, what, path, is_none ? "it holds none in PEM (\"-----BEGIN …\")" : reason);
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
                               "cannot use the certificate %s: it expired on %s; have it renewed", path, day);
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

enum berth_code tls_use_certificate(SSL_CTX *settings, const char *path, struct berth_error *err)
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
        return refuse(err, "key", path, "it is encrypted, and there is nobody to enter its passphrase");
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

enum berth_code tls_use_key(SSL_CTX *settings, const char *path, const char *certificate_path,
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

/* @return how many there were; -1 where one of them is wrong. */
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

enum berth_code tls_use_authorities(SSL_CTX *settings, const char *path, struct berth_error *err)
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "certificates.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define SECONDS_PER_DAY 86400

static char folder[64];

void certificates_open(void)
{
    snprintf(folder, sizeof(folder), "/tmp/rpc-certificates-XXXXXX");
    if (mkdtemp(folder) == NULL)
        abort();
}

void certificates_close(void)
{
    DIR *entries = opendir(folder);
    struct dirent *entry;

    while ((entry = readdir(entries)) != NULL)
        if (entry->d_name[0] != '.')
            unlink(certificates_path(entry->d_name));
    closedir(entries);
    rmdir(folder);
}

const char *certificates_path(const char *file)
{
    static char paths[8][384];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, file);
    return path;
}

static FILE *open_file(const char *name, const char *ending, const char *mode)
{
    char file[128];
    FILE *stream;

    snprintf(file, sizeof(file), "%s%s", name, ending);
    stream = fopen(certificates_path(file), mode);
    if (stream == NULL)
        abort();
    fchmod(fileno(stream), 0600);
    return stream;
}

void certificates_write(const char *file, const char *text)
{
    FILE *stream = open_file(file, "", "w");

    fputs(text, stream);
    fclose(stream);
}

static EVP_PKEY *read_key(const char *name)
{
    FILE *stream = open_file(name, ".key", "r");
    EVP_PKEY *key = PEM_read_PrivateKey(stream, NULL, NULL, NULL);

    fclose(stream);
    return key;
}

static X509 *read_certificate(const char *name)
{
    FILE *stream = open_file(name, ".pem", "r");
    X509 *certificate = PEM_read_X509(stream, NULL, NULL, NULL);

    fclose(stream);
    return certificate;
}

static void add_extension(X509 *certificate, int kind, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, value);

    if (extension == NULL)
        abort();
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *describe(const struct certificate_request *request, EVP_PKEY *key)
{
    static long serial;
    X509 *certificate = X509_new();

    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), (long)request->valid_from * SECONDS_PER_DAY);
    X509_gmtime_adj(X509_getm_notAfter(certificate), (long)request->valid_until * SECONDS_PER_DAY);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "O", MBSTRING_ASC,
                               (const unsigned char *)"berth tests", -1, -1, 0);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)request->name, -1, -1, 0);
    add_extension(certificate, NID_basic_constraints,
                  request->is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (request->names != NULL)
        add_extension(certificate, NID_subject_alt_name, request->names);
    return certificate;
}

static void sign(const struct certificate_request *request, X509 *certificate, EVP_PKEY *key)
{
    X509 *signer = request->signer == NULL ? certificate : read_certificate(request->signer);
    EVP_PKEY *signer_key = request->signer == NULL ? key : read_key(request->signer);

    X509_set_issuer_name(certificate, X509_get_subject_name(signer));
    if (X509_sign(certificate, signer_key, EVP_sha256()) == 0)
        abort();
    if (request->signer == NULL)
        return;
    X509_free(signer);
    EVP_PKEY_free(signer_key);
}

void certificate_make(const struct certificate_request *request)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = describe(request, key);
    FILE *stream;

    sign(request, certificate, key);
    stream = open_file(request->name, ".pem", "w");
    PEM_write_X509(stream, certificate);
    fclose(stream);
    stream = open_file(request->name, ".key", "w");
    PEM_write_PrivateKey(stream, key, NULL, NULL, 0, NULL, NULL);
    fclose(stream);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

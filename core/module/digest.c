/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 by libmd, which every Debian has because dpkg needs it. It is opened for each digest and closed
 * again: a daemon that copies no module does not carry it, and one that did is as small as before. The
 * kernel's AF_ALG would do without a library, but services are rarely allowed that family of sockets.
 */
#include "digest.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sha2.h>

#define LIBRARY "libmd.so.0"

struct digest {
    void *library;
    __typeof__(SHA256Update) *update;
    __typeof__(SHA256Final) *final;
    SHA2_CTX context;
};

/* POSIX has functions in pointers to objects; ISO C does not convert one to the other. */
static bool find(void *library, const char *name, void *ret_function)
{
    void *symbol = dlsym(library, name);

    memcpy(ret_function, &symbol, sizeof(symbol));
    return symbol != NULL;
}

enum berth_code digest_begin(struct digest **ret_digest, struct berth_error *err)
{
    struct digest *digest = malloc(sizeof(*digest));
    __typeof__(SHA256Init) *init;

    if (digest == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a digest");
    digest->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (digest->library == NULL || !find(digest->library, "SHA256Init", &init) ||
        !find(digest->library, "SHA256Update", &digest->update) ||
        !find(digest->library, "SHA256Final", &digest->final)) {
        berth_error_set(err, BERTH_UNAVAILABLE, "needs SHA-256 from " LIBRARY ": %s; install libmd0",
                        dlerror());
        if (digest->library != NULL)
            dlclose(digest->library);
        free(digest);
        return BERTH_UNAVAILABLE;
    }
    init(&digest->context);
    *ret_digest = digest;
    return BERTH_OK;
}

void digest_add(struct digest *digest, const void *bytes, size_t length)
{
    digest->update(&digest->context, bytes, length);
}

void digest_end(struct digest *digest, char ret_text[DIGEST_TEXT_BYTES])
{
    uint8_t bytes[SHA256_DIGEST_LENGTH];

    if (digest == NULL)
        return;
    digest->final(bytes, &digest->context);
    for (size_t i = 0; ret_text != NULL && i < sizeof(bytes); i++) {
        ret_text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        ret_text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    if (ret_text != NULL)
        ret_text[2 * sizeof(bytes)] = '\0';
    dlclose(digest->library);
    free(digest);
}

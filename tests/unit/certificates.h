/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys as PEM files in a folder of the test's own, each with what a test wants wrong with
 * it. */
#ifndef TESTS_CERTIFICATES_H
#define TESTS_CERTIFICATES_H

#include <stdbool.h>

struct certificate_request {
    /** Its common name, and the beginning of its files: NAME.pem and NAME.key. */
    const char *name;
    /** Whose certificate signs it; NULL: its own key. */
    const char *signer;
    bool is_authority;
    /** As OpenSSL's configuration has them: "DNS:localhost,IP:127.0.0.1"; NULL: none. */
    const char *names;
    /** Days from today. */
    int valid_from;
    int valid_until;
};

/** Makes the folder. */
void certificates_open(void);
/** Removes the folder and all that is in it. */
void certificates_close(void);

void certificate_make(const struct certificate_request *request);

/** A path in the folder; each of the last eight stays valid. */
const char *certificates_path(const char *file);
/** Writes a file into it. */
void certificates_write(const char *file, const char *text);

#endif

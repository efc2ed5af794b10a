/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TLS_IDENTITY_H
#define RPC_TLS_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

#define TLS_NAMES_MAX 32

/** Who a certificate says that somebody is. All zero: nobody. */
struct tls_identity {
    char *subject;
    char *names[TLS_NAMES_MAX];
    size_t name_count;
};

struct x509_st;

/** @return false without memory; there is nothing to finish. Further names than there is room for are left
 * out. */
bool tls_identity_read(struct tls_identity *ret_identity, struct x509_st *certificate);
void tls_identity_finish(struct tls_identity *identity);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Digests as the OCI's image specification has them: "sha256:…". */
#ifndef LEASES_DIGEST_H
#define LEASES_DIGEST_H

/** @return NULL where it is one; else what is wrong with it, in the words that containerd's clients know. */
const char *digest_check(const char *text);

#endif

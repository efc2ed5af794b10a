/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ETCD_LINK_H
#define STORE_ETCD_LINK_H

struct store;

/* Begins to dial, from the loop. */
void link_init(struct store *store);

#endif

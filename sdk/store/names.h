/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_STORE_NAMES_H
#define BERTH_STORE_NAMES_H

#include <berth/types/store.h>

/* The name of an entry. Borrowed. */
struct store_name {
    const char *bucket;
    struct berth_store_bytes key;
};

/* In byte order; less than, equal to or greater than 0. */
int store_bytes_compare(struct berth_store_bytes left, struct berth_store_bytes right);
/* By bucket, then by key. */
int store_name_compare(const struct store_name *left, const struct store_name *right);
/* The bytes that count against a limit. */
size_t store_name_length(const struct store_name *name);

/* BERTH_OK or BERTH_INVALID_ARGUMENT. */
enum berth_code store_name_check_bucket(const char *bucket, struct berth_error *err);
enum berth_code store_name_check(const struct store_name *name, struct berth_error *err);
/* As store_name_check, but the key may be empty. */
enum berth_code store_name_check_after(const struct store_name *name, struct berth_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Names of entries: validation and order. */
#include "names.h"

#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/"

int store_bytes_compare(struct berth_store_bytes left, struct berth_store_bytes right)
{
    size_t common = left.length < right.length ? left.length : right.length;
    int order = common == 0 ? 0 : memcmp(left.data, right.data, common);

    return order != 0 ? order : (left.length > right.length) - (left.length < right.length);
}

int store_name_compare(const struct store_name *left, const struct store_name *right)
{
    int order = strcmp(left->bucket, right->bucket);

    return order != 0 ? order : store_bytes_compare(left->key, right->key);
}

size_t store_name_length(const struct store_name *name)
{
    return strlen(name->bucket) + name->key.length;
}

enum berth_code store_name_check_bucket(const char *bucket, struct berth_error *err)
{
    size_t length = strnlen(bucket, BERTH_STORE_BUCKET_MAX + 1);

    if (length == 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "the bucket's name is empty");
    if (length > BERTH_STORE_BUCKET_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "bucket \"%.32s...\": the name is longer than %d bytes", bucket,
                               BERTH_STORE_BUCKET_MAX);
    if (strspn(bucket, LETTERS) != length)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "bucket \"%s\": only A-Z a-z 0-9 . _ - and / are allowed in the name", bucket);
    return BERTH_OK;
}

enum berth_code store_name_check_after(const struct store_name *name, struct berth_error *err)
{
    enum berth_code code = store_name_check_bucket(name->bucket, err);

    if (code != BERTH_OK)
        return code;
    if (name->key.length > BERTH_STORE_NAME_MAX - strlen(name->bucket))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "bucket \"%s\": the key has %zu bytes; bucket and key together may have %d",
                               name->bucket, name->key.length, BERTH_STORE_NAME_MAX);
    return BERTH_OK;
}

enum berth_code store_name_check(const struct store_name *name, struct berth_error *err)
{
    enum berth_code code = store_name_check_after(name, err);

    if (code == BERTH_OK && name->key.length == 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "bucket \"%s\": the key is empty", name->bucket);
    return code;
}

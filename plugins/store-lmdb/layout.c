/* SPDX-License-Identifier: Apache-2.0 */
/* How entries lie in the file: names that sort by bucket and key, records that carry a checksum. Pure. */
#include "layout.h"

#include <stdio.h>
#include <string.h>

#include "checksum.h"

static void add(struct layout_name *name, const void *bytes, size_t length)
{
    if (length > 0)
        memcpy(name->bytes + name->length, bytes, length);
    name->length += length;
}

void layout_make_name(const char *bucket, struct berth_store_bytes key, struct layout_name *ret_name)
{
    ret_name->length = 0;
    add(ret_name, bucket, strlen(bucket) + 1);
    add(ret_name, key.data, key.length);
}

void layout_make_end(const char *bucket, struct layout_name *ret_name)
{
    ret_name->length = 0;
    add(ret_name, bucket, strlen(bucket));
    add(ret_name, "\1", 1);
}

bool layout_split_name(struct berth_store_bytes name, const char **ret_bucket,
                       struct berth_store_bytes *ret_key)
{
    const char *bytes = name.data;
    size_t length = strnlen(bytes, name.length);

    if (length == 0 || length > BERTH_STORE_BUCKET_MAX || length + 1 >= name.length ||
        name.length > LAYOUT_NAME_MAX)
        return false;
    *ret_bucket = bytes;
    *ret_key = (struct berth_store_bytes){bytes + length + 1, name.length - length - 1};
    return true;
}

static uint32_t sum_up(struct berth_store_bytes name, struct berth_store_bytes value)
{
    uint32_t sum = checksum_add(0, name.data, name.length);

    return value.length > 0 ? checksum_add(sum, value.data, value.length) : sum;
}

void layout_make_record(struct berth_store_bytes name, struct berth_store_bytes value, void *record)
{
    unsigned char *bytes = record;
    uint32_t sum = sum_up(name, value);

    for (int i = 0; i < LAYOUT_SUM_SIZE; i++)
        bytes[i] = (unsigned char)(sum >> (8 * i));
    if (value.length > 0)
        memcpy(bytes + LAYOUT_SUM_SIZE, value.data, value.length);
}

bool layout_read_record(struct berth_store_bytes name, struct berth_store_bytes record,
                        struct berth_store_bytes *ret_value)
{
    const unsigned char *bytes = record.data;
    struct berth_store_bytes value;
    uint32_t sum = 0;

    if (record.length < LAYOUT_SUM_SIZE)
        return false;
    for (int i = 0; i < LAYOUT_SUM_SIZE; i++)
        sum |= (uint32_t)bytes[i] << (8 * i);
    value = (struct berth_store_bytes){bytes + LAYOUT_SUM_SIZE, record.length - LAYOUT_SUM_SIZE};
    if (sum != sum_up(name, value))
        return false;
    *ret_value = value;
    return true;
}

const char *layout_print_key(struct berth_store_bytes key, char text[LAYOUT_PRINT_MAX])
{
    const unsigned char *bytes = key.data;
    size_t at = 0;

    for (size_t i = 0; i < key.length; i++) {
        if (at + sizeof("\\xNN...") > LAYOUT_PRINT_MAX) {
            strcpy(text + at, "...");
            return text;
        }
        if (bytes[i] >= ' ' && bytes[i] <= '~' && bytes[i] != '\\')
            text[at++] = (char)bytes[i];
        else
            at += (size_t)sprintf(text + at, "\\x%02x", bytes[i]);
    }
    text[at] = '\0';
    return text;
}

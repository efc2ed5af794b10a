/* SPDX-License-Identifier: Apache-2.0 */
/* The leases of all namespaces that end by themselves, in the order in which they do. */
#include "index.h"

#include <string.h>

/* Times before 1970 come before those after it. */
#define BIAS (UINT64_C(1) << 63)

static void write_number(uint8_t *bytes, uint64_t number, size_t length)
{
    for (size_t i = length; i > 0; i--, number >>= 8)
        bytes[i - 1] = (uint8_t)number;
}

static uint64_t read_number(const uint8_t *bytes, size_t length)
{
    uint64_t number = 0;

    for (size_t i = 0; i < length; i++)
        number = number << 8 | bytes[i];
    return number;
}

void index_make(struct index_key *ret_key, const struct expiry *expiry, const char *namespace_name,
                const char *id)
{
    size_t name_length = strlen(namespace_name) + 1;
    size_t id_length = strlen(id);

    write_number(ret_key->bytes, (uint64_t)expiry->seconds ^ BIAS, 8);
    write_number(ret_key->bytes + 8, expiry->nanoseconds, 4);
    memcpy(ret_key->bytes + 12, namespace_name, name_length);
    memcpy(ret_key->bytes + 12 + name_length, id, id_length);
    ret_key->length = 12 + name_length + id_length;
}

/* A name that ends where `length` bytes do, into room for one more. */
static bool take_name(const uint8_t *bytes, size_t length, char *ret_name, size_t most)
{
    if (length == 0 || length > most || memchr(bytes, '\0', length) != NULL)
        return false;
    memcpy(ret_name, bytes, length);
    ret_name[length] = '\0';
    return true;
}

bool index_read(struct berth_store_bytes key, struct index_entry *ret_entry)
{
    const uint8_t *bytes = key.data;
    const uint8_t *nul = key.length > 12 ? memchr(bytes + 12, '\0', key.length - 12) : NULL;

    if (nul == NULL)
        return false;
    ret_entry->expiry.seconds = (int64_t)(read_number(bytes, 8) ^ BIAS);
    ret_entry->expiry.nanoseconds = (uint32_t)read_number(bytes + 8, 4);
    return take_name(bytes + 12, (size_t)(nul - bytes - 12), ret_entry->namespace_name,
                     sizeof(ret_entry->namespace_name) - 1) &&
           take_name(nul + 1, key.length - (size_t)(nul + 1 - bytes), ret_entry->id,
                     sizeof(ret_entry->id) - 1);
}

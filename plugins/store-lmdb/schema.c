/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of a store, their version in a file, and the upgrades from older versions. */
#include "schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "layout.h"

#define ENTRIES "entries"
#define ABOUT "berth"
#define PROBE "probe"

static MDB_val value_of(const char *text)
{
    return (MDB_val){strlen(text), (void *)(uintptr_t)text};
}

static int write_version(MDB_txn *txn, MDB_dbi about, uint32_t version)
{
    char text[16];
    MDB_val key = value_of("schema"), value;

    snprintf(text, sizeof(text), "%u", version);
    value = value_of(text);
    return mdb_put(txn, about, &key, &value, 0);
}

int schema_create(MDB_txn *txn)
{
    MDB_dbi about, entries;
    int number = mdb_dbi_open(txn, ENTRIES, MDB_CREATE, &entries);

    if (number == 0)
        number = mdb_dbi_open(txn, ABOUT, MDB_CREATE, &about);
    return number != 0 ? number : write_version(txn, about, SCHEMA_VERSION);
}

/* 0 where it is no number. */
static uint32_t parse_version(const MDB_val *value)
{
    const char *digits = value->mv_data;
    uint32_t version = 0;

    if (value->mv_size > 9)
        return 0;
    for (size_t i = 0; i < value->mv_size; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return 0;
        version = version * 10 + (uint32_t)(digits[i] - '0');
    }
    return version;
}

enum berth_code schema_open(MDB_txn *txn, const char *path, MDB_dbi *ret_entries, uint32_t *ret_version,
                            struct berth_error *err)
{
    MDB_dbi about, entries;
    MDB_val key = value_of("schema"), value;
    uint32_t version;
    int number = mdb_dbi_open(txn, ABOUT, 0, &about);

    if (number == 0)
        number = mdb_dbi_open(txn, ENTRIES, 0, &entries);
    if (number == 0)
        number = mdb_get(txn, about, &key, &value);
    if (number == MDB_NOTFOUND || number == MDB_INCOMPATIBLE)
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "%s is an LMDB file but not a berth store; it was left as it is; move it away to start empty",
            path);
    if (number != 0)
        return failure_set(err, number, path, "cannot be read");
    version = parse_version(&value);
    if (version == 0)
        return berth_error_set(err, BERTH_DATA_LOSS, "%s is damaged: its schema version is not a number",
                               path);
    if (version > SCHEMA_VERSION)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s was written by a newer berth (schema %u; this one supports %u); run that "
                               "one, or restore a backup",
                               path, version, SCHEMA_VERSION);
    *ret_entries = entries;
    *ret_version = version;
    return BERTH_OK;
}

/* To version 2: the value under the cursor becomes a record. */
static int add_checksum(MDB_cursor *cursor, const MDB_val *key, const MDB_val *value)
{
    char bytes[LAYOUT_NAME_MAX];
    MDB_val name = {key->mv_size, bytes}, record = {value->mv_size + LAYOUT_SUM_SIZE, NULL};
    int number;

    if (key->mv_size > sizeof(bytes))
        return MDB_CORRUPTED;
    memcpy(bytes, key->mv_data, key->mv_size);
    record.mv_data = malloc(record.mv_size);
    if (record.mv_data == NULL)
        return ENOMEM;
    layout_make_record((struct berth_store_bytes){bytes, name.mv_size},
                       (struct berth_store_bytes){value->mv_data, value->mv_size}, record.mv_data);
    number = mdb_cursor_put(cursor, &name, &record, 0);
    free(record.mv_data);
    return number;
}

static int add_checksums(MDB_txn *txn, MDB_dbi entries)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int number = mdb_cursor_open(txn, entries, &cursor);

    if (number != 0)
        return number;
    number = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (number == 0) {
        number = add_checksum(cursor, &key, &value);
        if (number == 0)
            number = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return number == MDB_NOTFOUND ? 0 : number;
}

/* What leads from a version to the next. */
static int (*const steps[SCHEMA_VERSION])(MDB_txn *txn, MDB_dbi entries) = {
    [1] = add_checksums,
};

int schema_migrate(MDB_txn *txn, MDB_dbi entries, uint32_t from)
{
    MDB_dbi about;
    int number = mdb_dbi_open(txn, ABOUT, 0, &about);

    for (uint32_t version = from; version < SCHEMA_VERSION && number == 0; version++)
        number = steps[version](txn, entries);
    return number != 0 ? number : write_version(txn, about, SCHEMA_VERSION);
}

int schema_probe(MDB_txn *txn)
{
    MDB_dbi about;
    MDB_val key = value_of(PROBE), value = {SCHEMA_PROBE_BYTES, NULL};
    int number = mdb_dbi_open(txn, ABOUT, 0, &about);

    if (number == 0)
        number = mdb_put(txn, about, &key, &value, MDB_RESERVE);
    if (number == 0)
        memset(value.mv_data, 0, value.mv_size);
    return number;
}

int schema_touch(MDB_txn *txn)
{
    MDB_dbi about;
    MDB_val key = value_of(PROBE);
    int number = mdb_dbi_open(txn, ABOUT, 0, &about);

    if (number == 0)
        number = mdb_del(txn, about, &key, NULL);
    return number != 0 && number != MDB_NOTFOUND ? number : write_version(txn, about, SCHEMA_VERSION);
}

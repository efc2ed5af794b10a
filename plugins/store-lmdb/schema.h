/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of a store, which version of them a file has, and the steps from older ones to ours.
 *
 *     entries   what is kept, as layout.h has it
 *     berth     about the file: "schema" -> the version, in decimal; "probe" -> room that was asked for
 */
#ifndef STORE_LMDB_SCHEMA_H
#define STORE_LMDB_SCHEMA_H

#include <stdint.h>

#include <lmdb.h>

#include <berth/error.h>

/** 1: values stood as they were. 2: each has a checksum before it. */
#define SCHEMA_VERSION 2u
/** How many tables there are. */
#define SCHEMA_TABLES 2

/** Makes the tables of the newest version in an empty file. @return 0 or a number of LMDB. */
int schema_create(MDB_txn *txn);

/**
 * Finds the tables.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION where they are not there, or newer than this code; as
 *         failure_set.
 */
enum berth_code schema_open(MDB_txn *txn, const char *path, MDB_dbi *ret_entries, uint32_t *ret_version,
                            struct berth_error *err);

/** Takes the steps from an older version to SCHEMA_VERSION. @return 0 or a number of LMDB. */
int schema_migrate(MDB_txn *txn, MDB_dbi entries, uint32_t from);

/** What a change of ordinary size takes. */
#define SCHEMA_PROBE_BYTES (64u << 10)
/** Writes so much beside the entries, where it stays until schema_touch. As schema_create. */
int schema_probe(MDB_txn *txn);
/**
 * Writes the version that is there already, so that LMDB takes the next number for its transactions, and
 * removes what a probe has left. As schema_create.
 */
int schema_touch(MDB_txn *txn);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The check of the store's file against any bytes; what it lets pass LMDB has to read and change unharmed. */
#include <plugins/store-lmdb/file_check.h>

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(MDB_txn *txn, MDB_dbi table)
{
    static volatile unsigned char sink;
    MDB_cursor *cursor;
    MDB_val key, value;

    if (mdb_cursor_open(txn, table, &cursor) != 0)
        return;
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        const unsigned char *bytes = value.mv_data;

        for (size_t i = 0; i < value.mv_size; i++)
            sink = (unsigned char)(sink ^ bytes[i]);
    }
    mdb_cursor_close(cursor);
}

/* Removes every other entry and puts a large and a small one in its place. */
static void change_all(MDB_txn *txn, MDB_dbi table)
{
    static char large[9000];
    MDB_cursor *cursor;
    MDB_val key, value;
    unsigned count = 0;

    if (mdb_cursor_open(txn, table, &cursor) != 0)
        return;
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0 && count < 1000)
        if (count++ % 2 == 0 && mdb_cursor_del(cursor, 0) != 0)
            break;
    mdb_cursor_close(cursor);
    for (unsigned i = 0; i < 40; i++) {
        char name[16];

        key = (MDB_val){(size_t)snprintf(name, sizeof(name), "%u", i * 7919), name};
        value = (MDB_val){i % 4 == 0 ? sizeof(large) : 40, large};
        if (mdb_put(txn, table, &key, &value, 0) != 0)
            return;
    }
}

static void use_table(MDB_env *env, const char *name)
{
    MDB_txn *txn;
    MDB_dbi table;

    if (mdb_txn_begin(env, NULL, 0, &txn) != 0)
        return;
    if (mdb_dbi_open(txn, name, 0, &table) == 0) {
        read_all(txn, table);
        change_all(txn, table);
        mdb_txn_commit(txn);
    } else {
        mdb_txn_abort(txn);
    }
}

static void use(int fd)
{
    char path[64];
    MDB_env *env;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (mdb_env_create(&env) != 0)
        abort();
    mdb_env_set_maxdbs(env, 4);
    mdb_env_set_mapsize(env, 16 << 20);
    if (mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600) == 0)
        for (int i = 0; i < 3; i++) {
            use_table(env, "entries");
            use_table(env, "berth");
        }
    mdb_env_close(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct file_check full = {.path = "fuzz.mdb", .is_full = true};
    struct berth_error err = {{0}};
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    enum berth_code code;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    code = file_check(fd, &full, &err);
    if (code == BERTH_OK)
        use(fd);
    else if (strstr(err.message, "fuzz.mdb") == NULL)
        abort();
    close(fd);
    return 0;
}

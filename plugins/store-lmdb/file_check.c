/* SPDX-License-Identifier: Apache-2.0 */
/* Checks an LMDB file before LMDB reads it: walks all its trees and reports what is damaged. */
#include "file_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "page.h"

/* Flags of the table of free pages: keys are numbers; and that the file is no folder. */
#define FREE_FLAGS 0x0008u
#define FREE_FLAGS_IGNORED 0x4000u
/* What one transaction of LMDB can hold: pages that it took and gave back need never have been written. */
#define UNWRITTEN_MAX 131072u
/* More tables than this store has; a foreign file may have any number. */
#define TABLES_MAX 8

enum table_kind {
    /* From transactions to the pages that they freed. */
    TABLE_FREE,
    /* From names to tables. */
    TABLE_MAIN,
    TABLE_NAMED,
};

struct walk {
    int fd;
    const struct file_check *check;
    struct berth_error *err;
    struct page_meta meta;
    uint64_t file_pages;
    /* A bit for each page up to the last. */
    unsigned char *seen;
    /* A page for each level of a tree. */
    unsigned char *levels;
    struct page_table named[TABLES_MAX];
    size_t named_count;

    /* Of the table that is being walked: what the file says, what was found, and the last key. */
    enum table_kind kind;
    struct page_table said;
    struct page_table found;
    unsigned char key[PAGE_KEY_MAX];
    size_t key_length;
    bool has_key;
    /* The last key was of a branch: the next one may be equal. */
    bool may_repeat;
};

static enum berth_code damaged(const struct walk *walk, uint64_t page, const char *wrong)
{
    return berth_error_set(
        walk->err, BERTH_DATA_LOSS,
        "%s is damaged: page %" PRIu64
        " %s; it was left as it is; restore a backup, or move the file away to start empty",
        walk->check->path, page, wrong);
}

static enum berth_code read_at(const struct walk *walk, void *bytes, size_t length, uint64_t at)
{
    size_t had = 0;

    while (had < length) {
        ssize_t more = pread(walk->fd, (char *)bytes + had, length - had, (off_t)(at + had));

        if (more < 0 && errno == EINTR)
            continue;
        if (more < 0)
            return berth_error_set(walk->err, BERTH_UNAVAILABLE, "%s cannot be read at byte %" PRIu64 ": %s",
                                   walk->check->path, at + had, strerror(errno));
        if (more == 0)
            return berth_error_set(walk->err, BERTH_DATA_LOSS,
                                   "%s is damaged: it ends too early, at byte %" PRIu64
                                   "; restore a backup, or move the file away to start empty",
                                   walk->check->path, at + had);
        had += (size_t)more;
    }
    return BERTH_OK;
}

/* Page `number` into the buffer of its level. The first time it is seen, or it is damaged. */
static enum berth_code claim(struct walk *walk, uint64_t number, uint64_t pages, bool is_free)
{
    uint64_t end = is_free ? walk->meta.last_page + 1 : walk->file_pages;

    if (number < 2 || number >= end || pages > end - number || number + pages > walk->meta.last_page + 1)
        return damaged(walk, number, "is in use but lies outside the file");
    for (uint64_t i = number; i < number + pages; i++) {
        if ((walk->seen[i / 8] >> (i % 8) & 1) != 0)
            return damaged(walk, i, "is used twice");
        walk->seen[i / 8] |= (unsigned char)(1u << (i % 8));
    }
    return BERTH_OK;
}

static enum berth_code read_page(const struct walk *walk, uint64_t number, unsigned char *bytes)
{
    return read_at(walk, bytes, walk->meta.page_size, number * walk->meta.page_size);
}

static int compare_keys(const struct walk *walk, const struct page_node *node)
{
    size_t shorter = node->key_length < walk->key_length ? node->key_length : walk->key_length;
    int order;

    if (walk->kind == TABLE_FREE) {
        uint64_t now = page_read_number(node->key), before = page_read_number(walk->key);

        return (now > before) - (now < before);
    }
    order = memcmp(node->key, walk->key, shorter);
    return order != 0 ? order : (node->key_length > walk->key_length) - (node->key_length < walk->key_length);
}

/* Keys ascend through the whole tree: those of branches stand before the first of what is below. */
static enum berth_code follow_key(struct walk *walk, uint64_t page, const struct page_node *node,
                                  bool of_branch)
{
    if (walk->kind == TABLE_FREE ? node->key_length != sizeof(uint64_t) : node->key_length == 0)
        return damaged(walk, page, "has a key of the wrong length");
    if (walk->has_key) {
        int order = compare_keys(walk, node);

        if (order < 0 || (order == 0 && !walk->may_repeat))
            return damaged(walk, page, "has keys out of order");
    }
    memcpy(walk->key, node->key, node->key_length);
    walk->key_length = node->key_length;
    walk->has_key = true;
    walk->may_repeat = of_branch;
    return BERTH_OK;
}

/* Numbers of free pages: how many, and from the highest to the lowest. */
static enum berth_code check_free_list(struct walk *walk, uint64_t page, const unsigned char *bytes,
                                       uint64_t length)
{
    uint64_t room = length / sizeof(uint64_t), count, before = PAGE_NONE;
    enum berth_code code = BERTH_OK;

    if (room == 0 || length % sizeof(uint64_t) != 0)
        return damaged(walk, page, "has an invalid list of free pages");
    count = page_read_number(bytes);
    if (count > room - 1)
        return damaged(walk, page, "has a list of free pages that is too long");
    for (uint64_t i = 1; i <= count && code == BERTH_OK; i++) {
        uint64_t number = page_read_number(bytes + i * sizeof(uint64_t));

        if (number >= before)
            return damaged(walk, page, "has a list of free pages out of order");
        before = number;
        code = claim(walk, number, 1, true);
    }
    return code;
}

static enum berth_code check_large_free_list(struct walk *walk, const struct page_node *node)
{
    unsigned char *bytes = malloc(node->length);
    enum berth_code code;

    if (bytes == NULL)
        return berth_error_set(walk->err, BERTH_RESOURCE_EXHAUSTED, "no memory to check %s",
                               walk->check->path);
    code = read_at(walk, bytes, node->length, node->page * walk->meta.page_size + PAGE_HEADER_SIZE);
    if (code == BERTH_OK)
        code = check_free_list(walk, node->page, bytes, node->length);
    free(bytes);
    return code;
}

/* Reads the value through the page cache first: an unreadable block would kill the process when the checksum
 * is read through the map. */
static enum berth_code read_through(const struct walk *walk, const struct page_node *node)
{
    unsigned char bytes[1 << 14];
    uint64_t at = node->page * walk->meta.page_size + PAGE_HEADER_SIZE;
    enum berth_code code = BERTH_OK;

    for (uint64_t left = node->length; left > 0 && code == BERTH_OK;) {
        size_t length = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);

        code = read_at(walk, bytes, length, at);
        at += length;
        left -= length;
    }
    return code;
}

static enum berth_code check_large(struct walk *walk, const struct page_node *node)
{
    unsigned char header[PAGE_HEADER_SIZE];
    uint64_t pages;
    const char *wrong;
    enum berth_code code;

    if (node->page < 2 || node->page >= walk->file_pages)
        return damaged(walk, node->page, "is in use but lies outside the file");
    code = read_at(walk, header, sizeof(header), node->page * walk->meta.page_size);
    if (code != BERTH_OK)
        return code;
    wrong = page_check_overflow(header, walk->meta.page_size, node->page, node->length, &pages);
    if (wrong != NULL)
        return damaged(walk, node->page, wrong);
    walk->found.overflows += pages;
    code = claim(walk, node->page, pages, false);
    if (code != BERTH_OK)
        return code;
    return walk->kind == TABLE_FREE ? check_large_free_list(walk, node) : read_through(walk, node);
}

static enum berth_code keep_table(struct walk *walk, uint64_t page, const struct page_node *node)
{
    if (walk->kind != TABLE_MAIN || node->is_large || node->length != PAGE_TABLE_SIZE)
        return damaged(walk, page, "has a table in the wrong place");
    if (walk->named_count == TABLES_MAX)
        return berth_error_set(walk->err, BERTH_FAILED_PRECONDITION,
                               "%s has more tables than a berth store; it belongs to another program",
                               walk->check->path);
    page_read_table(node->value, &walk->named[walk->named_count++]);
    return BERTH_OK;
}

static enum berth_code check_leaf_node(struct walk *walk, uint64_t page, const struct page_node *node)
{
    enum berth_code code = follow_key(walk, page, node, false);

    walk->found.entries++;
    if (code != BERTH_OK)
        return code;
    if (walk->kind == TABLE_FREE && page_read_number(node->key) > walk->meta.transaction)
        return damaged(walk, page, "refers to a transaction that never happened");
    if (node->is_table)
        return keep_table(walk, page, node);
    if (node->is_large)
        return check_large(walk, node);
    return walk->kind == TABLE_FREE ? check_free_list(walk, page, node->value, node->length) : BERTH_OK;
}

static enum berth_code check_leaf(struct walk *walk, uint64_t page, const unsigned char *bytes, size_t count)
{
    enum berth_code code = BERTH_OK;

    walk->found.leaves++;
    for (size_t i = 0; i < count && code == BERTH_OK; i++) {
        struct page_node node;

        page_get_node(bytes, PAGE_LEAF, i, &node);
        code = check_leaf_node(walk, page, &node);
    }
    return code;
}

static enum berth_code check_tree(struct walk *walk, uint64_t number, unsigned level);

static enum berth_code check_branch(struct walk *walk, uint64_t page, const unsigned char *bytes,
                                    size_t count, unsigned level)
{
    enum berth_code code = BERTH_OK;

    walk->found.branches++;
    /* LMDB insists on two, but for the free pages. */
    if (count < 2 && walk->kind != TABLE_FREE)
        return damaged(walk, page, "has too few entries");
    for (size_t i = 0; i < count && code == BERTH_OK; i++) {
        struct page_node node;

        page_get_node(bytes, PAGE_BRANCH, i, &node);
        /* What is left of all others needs no key. */
        if (i > 0)
            code = follow_key(walk, page, &node, true);
        if (code == BERTH_OK)
            code = check_tree(walk, node.page, level + 1);
    }
    return code;
}

static enum berth_code check_tree(struct walk *walk, uint64_t number, unsigned level)
{
    unsigned char *bytes = walk->levels + (size_t)level * walk->meta.page_size;
    enum berth_code code = claim(walk, number, 1, false);
    enum page_kind kind;
    size_t count;
    const char *wrong;

    if (code == BERTH_OK)
        code = read_page(walk, number, bytes);
    if (code != BERTH_OK)
        return code;
    if (walk->check->is_cancelled != NULL && walk->check->is_cancelled(walk->check->context))
        return berth_error_set(walk->err, BERTH_CANCELLED, "the check of %s was cancelled",
                               walk->check->path);
    wrong = page_check(bytes, walk->meta.page_size, number, &kind, &count);
    if (wrong != NULL)
        return damaged(walk, number, wrong);
    if ((level + 1 == walk->said.depth) != (kind == PAGE_LEAF))
        return damaged(walk, number, "is at the wrong level of its tree");
    return kind == PAGE_LEAF ? check_leaf(walk, number, bytes, count)
                             : check_branch(walk, number, bytes, count, level);
}

static bool counts_are_right(const struct page_table *said, const struct page_table *found)
{
    return said->branches == found->branches && said->leaves == found->leaves &&
           said->overflows == found->overflows && said->entries == found->entries;
}

/* `page`: that which tells of the table. */
static enum berth_code check_table(struct walk *walk, enum table_kind kind, const struct page_table *table,
                                   uint64_t page)
{
    enum berth_code code = BERTH_OK;

    walk->kind = kind;
    walk->said = *table;
    walk->found = (struct page_table){0};
    walk->has_key = walk->may_repeat = false;
    if (table->depth > PAGE_DEPTH_MAX || (table->depth == 0) != (table->root == PAGE_NONE))
        return damaged(walk, page, "describes a table without a root");
    if (table->depth > 0)
        code = check_tree(walk, table->root, 0);
    if (code == BERTH_OK && !counts_are_right(table, &walk->found))
        return damaged(walk, page, "has wrong entry counts");
    return code;
}

static enum berth_code check_flags(const struct walk *walk, uint64_t page)
{
    if ((walk->meta.free.flags & ~FREE_FLAGS_IGNORED) != FREE_FLAGS)
        return damaged(walk, page, "describes the free pages in an invalid way");
    for (size_t i = 0; i < walk->named_count; i++)
        if (walk->named[i].flags != 0)
            return damaged(walk, page, "describes a table of an unknown kind");
    if (walk->meta.main.flags != 0)
        return damaged(walk, page, "describes a table of an unknown kind");
    return BERTH_OK;
}

static enum berth_code check_trees(struct walk *walk)
{
    uint64_t page = walk->meta.transaction & 1;
    enum berth_code code = check_flags(walk, page);

    if (code == BERTH_OK)
        code = check_table(walk, TABLE_FREE, &walk->meta.free, page);
    if (code == BERTH_OK)
        code = check_table(walk, TABLE_MAIN, &walk->meta.main, page);
    if (code == BERTH_OK)
        code = check_flags(walk, page);
    for (size_t i = 0; i < walk->named_count && code == BERTH_OK; i++)
        code = check_table(walk, TABLE_NAMED, &walk->named[i], page);
    return code;
}

static enum berth_code check_all_trees(struct walk *walk)
{
    enum berth_code code;

    walk->seen = calloc(walk->meta.last_page / 8 + 1, 1);
    walk->levels = malloc((size_t)PAGE_DEPTH_MAX * walk->meta.page_size);
    if (walk->seen != NULL && walk->levels != NULL)
        code = check_trees(walk);
    else
        code =
            berth_error_set(walk->err, BERTH_RESOURCE_EXHAUSTED, "no memory to check %s", walk->check->path);
    free(walk->levels);
    free(walk->seen);
    return code;
}

/* The first page decides where LMDB looks for the second. */
static enum berth_code read_metas(struct walk *walk, struct page_meta metas[2])
{
    unsigned char bytes[PAGE_HEADER_SIZE + PAGE_META_SIZE];

    for (unsigned i = 0; i < 2; i++) {
        enum berth_code code = read_at(walk, bytes, sizeof(bytes), i == 0 ? 0 : metas[0].page_size);
        const char *wrong;

        if (code != BERTH_OK)
            return code;
        wrong = page_read_meta(bytes, &metas[i]);
        if (wrong != NULL)
            return damaged(walk, i, wrong);
    }
    return BERTH_OK;
}

/* What LMDB reads to open the file: the newer of two pages, and how far it reaches. */
static enum berth_code check_head(struct walk *walk, uint64_t file_size)
{
    struct page_meta metas[2];
    enum berth_code code = read_metas(walk, metas);
    unsigned newer;

    if (code != BERTH_OK)
        return code;
    newer = metas[0].transaction < metas[1].transaction;
    walk->meta = metas[newer];
    if (metas[0].page_size != metas[1].page_size)
        return damaged(walk, 1, "names another page size than page 0");
    if ((walk->meta.transaction & 1) != newer)
        return damaged(walk, newer, "has the wrong transaction number");
    walk->file_pages = file_size / walk->meta.page_size;
    if (walk->meta.last_page < 1 || walk->meta.last_page >= walk->file_pages + UNWRITTEN_MAX)
        return damaged(walk, newer, "refers to pages beyond the end of the file");
    return BERTH_OK;
}

enum berth_code file_check(int fd, const struct file_check *check, struct berth_error *err)
{
    struct walk walk = {.fd = fd, .check = check, .err = err};
    struct stat status;
    enum berth_code code;

    if (fstat(fd, &status) != 0)
        return berth_error_set(err, BERTH_UNAVAILABLE, "%s: %s", check->path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s is not a regular file", check->path);
    code = check_head(&walk, (uint64_t)status.st_size);
    return code == BERTH_OK && check->is_full ? check_all_trees(&walk) : code;
}

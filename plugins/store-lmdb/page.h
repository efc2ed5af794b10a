/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One page of LMDB's file format (data version 1, 64 bits, the machine's byte order), and whether it is safe
 * for LMDB. Pure: bytes in, views of them out; nothing in a page is trusted.
 *
 *     meta       pages 0 and 1, written alternately; each has the tables as of its transaction
 *     branch     keys and the pages below them
 *     leaf       keys and values, or the place of a large value
 *     overflow   a large value, over several pages
 */
#ifndef STORE_LMDB_PAGE_H
#define STORE_LMDB_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE_MIN 4096u
#define PAGE_SIZE_MAX 32768u
/** Before what a page holds. */
#define PAGE_HEADER_SIZE 16u
#define PAGE_META_SIZE 136u
/** The most levels that a cursor of LMDB can go down, and the longest key. */
#define PAGE_DEPTH_MAX 32
#define PAGE_KEY_MAX 511
/** As the root of a table that is empty. */
#define PAGE_NONE UINT64_MAX

enum page_kind {
    PAGE_BRANCH = 1,
    PAGE_LEAF = 2,
    PAGE_OVERFLOW = 4,
    PAGE_META = 8,
};

/** What the file says of one table. */
struct page_table {
    uint16_t flags;
    uint16_t depth;
    uint64_t branches;
    uint64_t leaves;
    uint64_t overflows;
    uint64_t entries;
    uint64_t root;
};
/** Its bytes: in a meta page, and as the value of a named table. */
#define PAGE_TABLE_SIZE 48u

struct page_meta {
    uint32_t page_size;
    struct page_table free;
    struct page_table main;
    uint64_t last_page;
    uint64_t transaction;
};

struct page_node {
    const unsigned char *key;
    size_t key_length;
    /** Of a branch: the page below. Of a leaf with a large value: its first page. */
    uint64_t page;
    /** Of a leaf. */
    uint32_t length;
    bool is_large;
    bool is_table;
    /** NULL where the value is large. */
    const unsigned char *value;
};

/** @return NULL, or what is wrong with the page. Needs PAGE_HEADER_SIZE + PAGE_META_SIZE bytes. */
const char *page_read_meta(const unsigned char *bytes, struct page_meta *ret_meta);
void page_read_table(const unsigned char *bytes, struct page_table *ret_table);

/**
 * Looks at all of a branch or leaf page but what its keys say.
 * @return NULL: page_node may be asked for `ret_count` nodes. Else what is wrong.
 */
const char *page_check(const unsigned char *bytes, uint32_t size, uint64_t number, enum page_kind *ret_kind,
                       size_t *ret_count);
/** Reads a node of a page that page_check accepted. */
void page_get_node(const unsigned char *bytes, enum page_kind kind, size_t i, struct page_node *ret_node);

/** As page_check, for the first page of a large value; `ret_pages` it takes. */
const char *page_check_overflow(const unsigned char *bytes, uint32_t size, uint64_t number, uint32_t length,
                                uint64_t *ret_pages);

uint64_t page_read_number(const unsigned char *bytes);

#endif

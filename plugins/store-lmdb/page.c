/* SPDX-License-Identifier: Apache-2.0 */
/* One page of LMDB's file format, and whether it is safe for LMDB. Pure. */
#include "page.h"

#include <string.h>

#define MAGIC 0xbeefc0deu
#define DATA_VERSION 1u

/* Within a page. */
enum {
    AT_FLAGS = 10,
    AT_LOWER = 12,
    AT_UPPER = 14,
    AT_PAGES = 12,
};

/* Within a node: a size or a page number in three parts, the length of the key, and key and value behind. */
enum {
    NODE_LOW = 0,
    NODE_HIGH = 2,
    NODE_FLAGS = 4,
    NODE_KEY_LENGTH = 6,
    NODE_HEADER_SIZE = 8,
};

enum {
    NODE_IS_LARGE = 1,
    NODE_IS_TABLE = 2,
};

static uint16_t read_16(const unsigned char *bytes)
{
    uint16_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

static uint32_t read_32(const unsigned char *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

uint64_t page_read_number(const unsigned char *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

void page_read_table(const unsigned char *bytes, struct page_table *ret_table)
{
    *ret_table = (struct page_table){
        .flags = read_16(bytes + 4),
        .depth = read_16(bytes + 6),
        .branches = page_read_number(bytes + 8),
        .leaves = page_read_number(bytes + 16),
        .overflows = page_read_number(bytes + 24),
        .entries = page_read_number(bytes + 32),
        .root = page_read_number(bytes + 40),
    };
}

const char *page_read_meta(const unsigned char *bytes, struct page_meta *ret_meta)
{
    const unsigned char *meta = bytes + PAGE_HEADER_SIZE;
    uint32_t size;

    if ((read_16(bytes + AT_FLAGS) & PAGE_META) == 0 || read_32(meta) != MAGIC)
        return "does not begin like an LMDB file";
    if (read_32(meta + 4) != DATA_VERSION)
        return "is of another version of LMDB";
    size = read_32(meta + 24);
    if (size < PAGE_SIZE_MIN || size > PAGE_SIZE_MAX || (size & (size - 1)) != 0)
        return "has an invalid page size";
    ret_meta->page_size = size;
    page_read_table(meta + 24, &ret_meta->free);
    page_read_table(meta + 24 + PAGE_TABLE_SIZE, &ret_meta->main);
    ret_meta->last_page = page_read_number(meta + 24 + 2 * PAGE_TABLE_SIZE);
    ret_meta->transaction = page_read_number(meta + 32 + 2 * PAGE_TABLE_SIZE);
    return NULL;
}

static const unsigned char *find_node(const unsigned char *bytes, size_t i)
{
    return bytes + read_16(bytes + PAGE_HEADER_SIZE + 2 * i);
}

static uint32_t read_length(const unsigned char *node)
{
    return read_16(node + NODE_LOW) | (uint32_t)read_16(node + NODE_HIGH) << 16;
}

/* Of a node whose header lies within the page. */
static uint64_t measure_node(const unsigned char *node, enum page_kind kind)
{
    uint64_t size = NODE_HEADER_SIZE + (uint64_t)read_16(node + NODE_KEY_LENGTH);

    if (kind == PAGE_LEAF)
        size += (read_16(node + NODE_FLAGS) & NODE_IS_LARGE) != 0 ? sizeof(uint64_t) : read_length(node);
    return size + (size & 1);
}

static const char *check_node(const unsigned char *bytes, uint32_t size, enum page_kind kind, uint32_t at)
{
    const unsigned char *node = bytes + at;
    /* Two nodes and their pointers fit into any page. */
    uint32_t most = (((size - PAGE_HEADER_SIZE) / 2) & ~1u) - 2;

    if (at > size - NODE_HEADER_SIZE)
        return "has an entry outside the page";
    if (read_16(node + NODE_KEY_LENGTH) > PAGE_KEY_MAX)
        return "has a key that is too long";
    if (measure_node(node, kind) > most || measure_node(node, kind) > size - at)
        return "has an entry that is too long";
    if (kind == PAGE_LEAF && (read_16(node + NODE_FLAGS) & ~(NODE_IS_LARGE | NODE_IS_TABLE)) != 0)
        return "has an entry of an unknown kind";
    return NULL;
}

/* Nodes fill the page from `upper` to its end, without a gap, each named once. */
static const char *check_tiling(const unsigned char *bytes, uint32_t size, enum page_kind kind, size_t count)
{
    unsigned char starts[PAGE_SIZE_MAX / 16] = {0};
    uint32_t at = read_16(bytes + AT_UPPER);

    for (size_t i = 0; i < count; i++) {
        uint32_t start = (uint32_t)(find_node(bytes, i) - bytes) / 2;

        if ((starts[start / 8] >> (start % 8) & 1) != 0)
            return "names an entry twice";
        starts[start / 8] |= (unsigned char)(1u << (start % 8));
    }
    for (size_t i = 0; i < count; i++) {
        if (at >= size || (starts[at / 2 / 8] >> (at / 2 % 8) & 1) == 0)
            return "has entries that overlap";
        at += (uint32_t)measure_node(bytes + at, kind);
    }
    return at == size ? NULL : "has entries that overlap";
}

static const char *check_nodes(const unsigned char *bytes, uint32_t size, enum page_kind kind, size_t count)
{
    uint32_t upper = read_16(bytes + AT_UPPER);

    for (size_t i = 0; i < count; i++) {
        uint32_t at = read_16(bytes + PAGE_HEADER_SIZE + 2 * i);
        const char *wrong;

        if (at < upper || at % 2 != 0)
            return "has an entry outside the page";
        wrong = check_node(bytes, size, kind, at);
        if (wrong != NULL)
            return wrong;
    }
    return check_tiling(bytes, size, kind, count);
}

const char *page_check(const unsigned char *bytes, uint32_t size, uint64_t number, enum page_kind *ret_kind,
                       size_t *ret_count)
{
    uint16_t flags = read_16(bytes + AT_FLAGS), lower = read_16(bytes + AT_LOWER);
    uint16_t upper = read_16(bytes + AT_UPPER);
    enum page_kind kind = flags == PAGE_BRANCH ? PAGE_BRANCH : PAGE_LEAF;
    size_t count = lower >= PAGE_HEADER_SIZE ? (lower - PAGE_HEADER_SIZE) / 2u : 0;
    const char *wrong;

    if (page_read_number(bytes) != number)
        return "has the number of another page";
    if (flags != PAGE_BRANCH && flags != PAGE_LEAF)
        return "is neither branch nor leaf";
    if (lower % 2 != 0 || upper % 2 != 0 || lower > upper || upper > size)
        return "has invalid bounds";
    if (count == 0)
        return "has no entries";
    wrong = check_nodes(bytes, size, kind, count);
    if (wrong != NULL)
        return wrong;
    *ret_kind = kind;
    *ret_count = count;
    return NULL;
}

void page_get_node(const unsigned char *bytes, enum page_kind kind, size_t i, struct page_node *ret_node)
{
    const unsigned char *node = find_node(bytes, i);
    uint16_t flags = read_16(node + NODE_FLAGS);

    *ret_node = (struct page_node){
        .key = node + NODE_HEADER_SIZE,
        .key_length = read_16(node + NODE_KEY_LENGTH),
    };
    if (kind == PAGE_BRANCH) {
        ret_node->page = read_length(node) | (uint64_t)flags << 32;
        return;
    }
    ret_node->length = read_length(node);
    ret_node->is_large = (flags & NODE_IS_LARGE) != 0;
    ret_node->is_table = (flags & NODE_IS_TABLE) != 0;
    if (ret_node->is_large)
        ret_node->page = page_read_number(ret_node->key + ret_node->key_length);
    else
        ret_node->value = ret_node->key + ret_node->key_length;
}

const char *page_check_overflow(const unsigned char *bytes, uint32_t size, uint64_t number, uint32_t length,
                                uint64_t *ret_pages)
{
    uint64_t pages = read_32(bytes + AT_PAGES);

    if (page_read_number(bytes) != number)
        return "has the number of another page";
    if (read_16(bytes + AT_FLAGS) != PAGE_OVERFLOW)
        return "does not hold the large value that it should";
    if (pages == 0 || pages * size - PAGE_HEADER_SIZE < length)
        return "is too short for the large value that it holds";
    *ret_pages = pages;
    return NULL;
}

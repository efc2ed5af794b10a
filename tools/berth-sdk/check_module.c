/* SPDX-License-Identifier: Apache-2.0 */
/* Compares the bytes of a module's constant with the contract this SDK was built for. */
#include <inttypes.h>
#include <string.h>

#include <berth/plugin.h>

#include "check_rules.h"

static const char check[] = "abi";

static const struct field {
    const char *name;
    size_t offset;
    uint32_t expected;
} fields[] = {
    {"the size of uv_loop_t", offsetof(struct berth_module, uv_loop_size), sizeof(uv_loop_t)},
    {"the size of uv_async_t", offsetof(struct berth_module, uv_async_size), sizeof(uv_async_t)},
    {"the size of uv_pipe_t", offsetof(struct berth_module, uv_pipe_size), sizeof(uv_pipe_t)},
    {"the size of uv_poll_t", offsetof(struct berth_module, uv_poll_size), sizeof(uv_poll_t)},
    {"the size of uv_process_t", offsetof(struct berth_module, uv_process_size), sizeof(uv_process_t)},
    {"the size of uv_tcp_t", offsetof(struct berth_module, uv_tcp_size), sizeof(uv_tcp_t)},
    {"the size of uv_timer_t", offsetof(struct berth_module, uv_timer_size), sizeof(uv_timer_t)},
};

/* Is the member part of the module's own table, and in the file? */
static bool read_member(const struct elf_table *table, uint32_t size, size_t offset, void *ret, size_t length)
{
    if (offset + length > size || offset + length > table->length)
        return false;
    memcpy(ret, table->bytes + offset, length);
    return true;
}

static void check_uv(const struct elf_table *table, uint32_t size, struct check_report *report)
{
    uint32_t value;

    if (read_member(table, size, offsetof(struct berth_module, uv_version), &value, sizeof(value)) &&
        value >> 16 != UV_VERSION_HEX >> 16)
        check_report_add(report, CHECK_ERROR, check,
                         "it was built for libuv %u.%u, this SDK is for %u.%u: build it against this one",
                         value >> 16, value >> 8 & 0xff, UV_VERSION_MAJOR, UV_VERSION_MINOR);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (read_member(table, size, fields[i].offset, &value, sizeof(value)) && value != fields[i].expected)
            check_report_add(report, CHECK_ERROR, check,
                             "%s is %u in the module and %u here: build it against this libuv",
                             fields[i].name, value, fields[i].expected);
}

static void check_hash(const struct elf_table *table, uint32_t size, const struct manifest *manifest,
                       struct check_report *report)
{
    uint64_t hash;

    if (manifest == NULL ||
        !read_member(table, size, offsetof(struct berth_module, note_hash), &hash, sizeof(hash)))
        return;
    if (hash != 0 && hash != manifest->hash)
        check_report_add(report, CHECK_ERROR, check,
                         "stale build: it was made for a manifest with hash %016" PRIx64
                         " and holds one with %016" PRIx64 ": generate and build it again",
                         hash, manifest->hash);
}

void check_module(const struct elf_image *image, const struct manifest *manifest, struct check_report *report)
{
    Elf64_Sym symbol;
    struct elf_table table;
    uint32_t abi, size;

    if (!elf_image_find_symbol(image, BERTH_MODULE_SYMBOL, &symbol)) {
        check_report_add(report, CHECK_ERROR, check,
                         "it does not export %s: link the source that berth-sdk generate writes, or use "
                         "BERTH_MODULE",
                         BERTH_MODULE_SYMBOL);
        return;
    }
    table = elf_image_at(image, symbol.st_value, sizeof(struct berth_module));
    if (!read_member(&table, UINT32_MAX, 0, &abi, sizeof(abi)) ||
        !read_member(&table, UINT32_MAX, offsetof(struct berth_module, size), &size, sizeof(size))) {
        check_report_add(report, CHECK_ERROR, check, "%s is no constant of this file", BERTH_MODULE_SYMBOL);
        return;
    }
    if (abi != BERTH_ABI) {
        check_report_add(report, CHECK_ERROR, check,
                         "it has contract version %u, this SDK has %u: build it against this SDK", abi,
                         BERTH_ABI);
        return;
    }
    if (size < sizeof(struct berth_module))
        check_report_add(report, CHECK_ERROR, check,
                         "%s says it is %u bytes long, a host wants at least %zu: build it against this SDK",
                         BERTH_MODULE_SYMBOL, size, sizeof(struct berth_module));
    check_uv(&table, size, report);
    check_hash(&table, size, manifest, report);
}

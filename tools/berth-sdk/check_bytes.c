/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All checks that need nothing but the file's bytes: the manifest as a host reads it, the constant and its
 * tables, exports besides that constant, and what runs when the file is loaded or weakens the process.
 */
#include <stdlib.h>
#include <string.h>

#include <berth/plugin.h>

#include <core/manifest/manifest.h>
#include <core/elf/elf.h>
#include <sdk/base/memory.h>
#include <tools/protoc-gen-berth/names.h>

#include "check.h"
#include "module_image.h"

static void keep_names(const struct manifest *manifest, struct check_report *report)
{
    report->module = memory_format("%s %s", manifest->module, manifest->version);
    report->plugins = memory_allocate(manifest->plugin_count + 1, sizeof(*report->plugins));
    for (size_t i = 0; i < manifest->plugin_count; i++)
        report->plugins[report->plugin_count++] = memory_copy(manifest->plugins[i].uri);
}

static void keep_diagnostics(struct config_diagnostics *diagnostics, struct check_report *report)
{
    config_diagnostics_sort(diagnostics);
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct config_diagnostic *item = &diagnostics->items[i];
        enum check_severity severity = item->severity == CONFIG_ERROR ? CHECK_ERROR : CHECK_WARNING;

        if (item->mark.line == 0)
            check_report_add(report, severity, "manifest", "%s", item->message);
        else
            check_report_add(report, severity, "manifest", "line %u, column %u of the note: %s",
                             item->mark.line, item->mark.column, item->message);
    }
    config_diagnostics_finish(diagnostics);
}

/* Requirements that every host's plan rejects. */
static void check_requirements(const struct manifest_plugin *plugin, struct check_report *report)
{
    for (size_t i = 0; i < plugin->requirement_count; i++) {
        const char *name = plugin->requirements[i].name;

        if (strcmp(name, "*") == 0 && plugin->requirement_count > 1)
            check_report_add(report, CHECK_ERROR, "manifest",
                             "%s: requires \"*\" and others; use \"*\" alone", plugin->uri);
        if (strcmp(name, plugin->uri) == 0 || strcmp(name, plugin->type) == 0)
            check_report_add(report, CHECK_ERROR, "manifest", "%s: requires itself, as %s", plugin->uri,
                             name);
    }
}

/* What an operator who isolates it will meet. */
static void check_isolation(const struct manifest_plugin *plugin, struct check_report *report)
{
    const char *obstacle = manifest_find_obstacle(plugin);

    if (obstacle != NULL)
        check_report_add(report, CHECK_NOTE, "isolation", "%s cannot run in a process of its own: it %s",
                         plugin->uri, obstacle);
    else if (plugin->interface != NULL && manifest_has_remote(plugin, plugin->interface))
        check_report_add(report, CHECK_NOTE, "isolation",
                         "%s can run in a process of its own only if every plugin that uses its interface "
                         "lists %s under remote",
                         plugin->uri, plugin->interface);
    else if (plugin->interface != NULL)
        check_report_add(report, CHECK_NOTE, "isolation",
                         "%s can run in a process of its own only if no other plugin uses its interface: to "
                         "cross processes, it must be declared by a .proto, and listed under remote",
                         plugin->uri);
}

static struct manifest *check_manifest(const void *bytes, size_t length, const char *path,
                                       struct check_report *report)
{
    struct config_diagnostics diagnostics = {0};
    struct manifest *manifest;
    struct berth_error err;
    size_t text_length;
    char *text;

    if (note_find(bytes, length, path, &text, &text_length, &err) != BERTH_OK) {
        check_report_add(report, CHECK_ERROR, "manifest", "%s", check_report_strip(report, err.message));
        return NULL;
    }
    manifest = manifest_parse(path, text, text_length, &diagnostics);
    free(text);
    keep_diagnostics(&diagnostics, report);
    if (manifest == NULL)
        return NULL;
    keep_names(manifest, report);
    for (size_t i = 0; i < manifest->plugin_count; i++)
        check_requirements(&manifest->plugins[i], report);
    for (size_t i = 0; i < manifest->plugin_count; i++)
        check_isolation(&manifest->plugins[i], report);
    return manifest;
}

static void check_tables(const struct elf_image *image, const Elf64_Sym *symbol,
                         const struct manifest *manifest, struct check_report *report)
{
    struct berth_error err;
    struct module_image *module = module_image_create(image, symbol->st_value, symbol->st_size, &err);

    if (module == NULL || manifest_check(module_image_get(module), manifest, &err) != BERTH_OK)
        check_report_add(report, CHECK_ERROR, "abi", "%s", check_report_strip(report, err.message));
    module_image_destroy(module);
}

static void check_module(const struct elf_image *image, const struct manifest *manifest,
                         struct check_report *report)
{
    struct elf_table head;
    Elf64_Sym symbol;
    uint32_t members[2];

    if (!elf_image_find_symbol(image, BERTH_MODULE_SYMBOL, &symbol)) {
        check_report_add(
            report, CHECK_ERROR, "abi",
            "does not export %s: link the source that berth-sdk generate writes, or use BERTH_MODULE",
            BERTH_MODULE_SYMBOL);
        return;
    }
    head = elf_image_at(image, symbol.st_value, sizeof(members));
    if (head.length < sizeof(members) || symbol.st_size < sizeof(members)) {
        check_report_add(report, CHECK_ERROR, "abi", "%s is not a constant in this file",
                         BERTH_MODULE_SYMBOL);
        return;
    }
    memcpy(members, head.bytes, sizeof(members));
    if (members[0] == BERTH_ABI && symbol.st_size < members[1])
        check_report_add(report, CHECK_ERROR, "abi",
                         "%s has %llu bytes but declares %u: build it against this SDK", BERTH_MODULE_SYMBOL,
                         (unsigned long long)symbol.st_size, members[1]);
    else if (manifest != NULL)
        check_tables(image, &symbol, manifest, report);
}

/* How many names a message lists; others are only counted. */
#define NAMES_MAX 5

struct names {
    char text[512];
    size_t count;
};

static void add_name(struct names *names, const char *name)
{
    size_t length = strlen(names->text);

    if (names->count++ < NAMES_MAX)
        snprintf(names->text + length, sizeof(names->text) - length, "%s%.80s", length == 0 ? "" : ", ",
                 name);
    else if (names->count == NAMES_MAX + 1)
        snprintf(names->text + length, sizeof(names->text) - length, ", …");
}

static void check_exports(const struct elf_image *image, struct check_report *report)
{
    struct names names = {0};
    Elf64_Sym symbol;

    for (size_t i = 1; elf_image_symbol(image, i, &symbol); i++) {
        const char *name = elf_image_string(image, symbol.st_name);

        if (name == NULL || !elf_symbol_is_exported(&symbol) || strcmp(name, BERTH_MODULE_SYMBOL) == 0)
            continue;
        if (ELF64_ST_BIND(symbol.st_info) != STB_GNU_UNIQUE && ELF64_ST_TYPE(symbol.st_info) != STT_SECTION &&
            symbol.st_shndx != SHN_ABS)
            add_name(&names, name);
    }
    if (names.count > 0)
        check_report_add(report, CHECK_WARNING, "exports",
                         "exports %zu symbols besides %s: %s; link with the version script of "
                         "`pkg-config --variable=modulemap berth`",
                         names.count, BERTH_MODULE_SYMBOL, names.text);
}

/* What keeps it in memory once another generation has taken over. */
static void check_unload(const struct elf_image *image, struct check_report *report)
{
    struct names unique = {0};
    struct residence residence;
    Elf64_Sym symbol;
    char text[1024];

    residence_predict(image, &residence);
    residence_format(&residence, text, sizeof(text));
    if (text[0] == '\0')
        return;
    for (size_t i = 1; elf_image_symbol(image, i, &symbol); i++)
        if (ELF64_ST_BIND(symbol.st_info) == STB_GNU_UNIQUE &&
            elf_image_string(image, symbol.st_name) != NULL)
            add_name(&unique, elf_image_string(image, symbol.st_name));
    check_report_add(report, residence.certain != 0 ? CHECK_WARNING : CHECK_NOTE, "unload", "%s%s%s", text,
                     unique.count > 0 ? "; they are " : "", unique.text);
}

static void check_segments(const struct elf_image *image, struct check_report *report)
{
    bool has_stack = false, has_relro = false;
    Elf64_Phdr segment;

    for (size_t i = 0; elf_image_segment(image, i, &segment); i++) {
        has_relro = has_relro || segment.p_type == PT_GNU_RELRO;
        if (segment.p_type == PT_LOAD && (segment.p_flags & PF_W) != 0 && (segment.p_flags & PF_X) != 0)
            check_report_add(
                report, CHECK_ERROR, "segments",
                "segment %zu is both writable and executable: link without -N and without such sections", i);
        if (segment.p_type != PT_GNU_STACK)
            continue;
        has_stack = true;
        if ((segment.p_flags & PF_X) != 0)
            check_report_add(
                report, CHECK_ERROR, "stack",
                "requests an executable stack: link with -z noexecstack, and end assembler files "
                "with a .note.GNU-stack section");
    }
    if (!has_stack)
        check_report_add(report, CHECK_ERROR, "stack",
                         "does not request a non-executable stack: link with -z noexecstack");
    if (!has_relro)
        check_report_add(report, CHECK_WARNING, "relro", "linked without -z relro: its tables stay writable");
}

static void check_flags(const struct elf_image *image, struct check_report *report)
{
    uint64_t flags = elf_image_flags(image, DT_FLAGS);
    uint64_t flags_1 = elf_image_flags(image, DT_FLAGS_1);
    uint64_t value;

    if ((flags & DF_BIND_NOW) == 0 && (flags_1 & DF_1_NOW) == 0 &&
        !elf_image_dynamic(image, DT_BIND_NOW, 0, &value))
        check_report_add(report, CHECK_WARNING, "now",
                         "linked without -z now: its jump table stays writable");
    if ((flags & DF_TEXTREL) != 0 || elf_image_dynamic(image, DT_TEXTREL, 0, &value))
        check_report_add(report, CHECK_ERROR, "textrel",
                         "has text relocations: compile all of its code with -fPIC");
    if ((flags & DF_STATIC_TLS) != 0)
        check_report_add(report, CHECK_WARNING, "tls",
                         "uses static thread-local storage, which is scarce in a running process: compile "
                         "without -ftls-model=initial-exec");
    if ((flags_1 & DF_1_NOOPEN) != 0)
        check_report_add(report, CHECK_ERROR, "open", "forbids dlopen: link without -z nodlopen");
    if ((flags_1 & DF_1_PIE) != 0)
        check_report_add(report, CHECK_ERROR, "open", "is an executable: link with -shared");
}

/* gcc and clang put one function, frame_dummy, into every shared object. */
static void check_constructors(const struct elf_image *image, struct check_report *report)
{
    uint64_t count = elf_image_flags(image, DT_INIT_ARRAYSZ) / sizeof(Elf64_Addr);

    if (count > 1)
        check_report_add(report, CHECK_WARNING, "constructors",
                         "%llu functions run when the file is loaded, but only one is the compiler's: move "
                         "the work of constructors and global objects to init",
                         (unsigned long long)count);
}

static void check_path(const struct elf_image *image, int64_t tag, const char *name,
                       struct check_report *report)
{
    uint64_t offset;
    const char *path;

    if (!elf_image_dynamic(image, tag, 0, &offset))
        return;
    path = elf_image_string(image, offset);
    if (path == NULL) {
        check_report_add(report, CHECK_ERROR, "rpath", "its %s is outside the file", name);
        return;
    }
    check_report_add(report, CHECK_WARNING, "rpath",
                     "its %s \"%.200s\" is searched before the system's libraries: link without -rpath "
                     "unless these directories are installed with it",
                     name, path);
}

static void check_hardening(const struct elf_image *image, struct check_report *report)
{
    check_segments(image, report);
    check_flags(image, report);
    check_constructors(image, report);
    check_path(image, DT_RPATH, "RPATH", report);
    check_path(image, DT_RUNPATH, "RUNPATH", report);
}

void check_bytes(const void *bytes, size_t length, const char *path, struct check_report *report)
{
    struct manifest *manifest = check_manifest(bytes, length, path, report);
    struct elf_image image;

    if (!elf_image_init(&image, bytes, length) || image.header.e_type != ET_DYN)
        goto out;
    if (image.dynamic.length == 0) {
        check_report_add(report, CHECK_ERROR, "dynamic", "no dynamic section: link with -shared");
        goto out;
    }
    check_module(&image, manifest, report);
    check_exports(&image, report);
    check_hardening(&image, report);
    check_unload(&image, report);
out:
    manifest_destroy(manifest);
}

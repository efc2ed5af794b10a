/* SPDX-License-Identifier: Apache-2.0 */
/* Reports what runs when the file is loaded, or weakens the process. */
#include <string.h>

#include "check_rules.h"

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
    if ((flags_1 & DF_1_NODELETE) != 0)
        check_report_add(report, CHECK_WARNING, "open", "cannot be unloaded: link without -z nodelete");
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

void check_hardening(const struct elf_image *image, struct check_report *report)
{
    check_segments(image, report);
    check_flags(image, report);
    check_constructors(image, report);
    check_path(image, DT_RPATH, "RPATH", report);
    check_path(image, DT_RUNPATH, "RUNPATH", report);
}

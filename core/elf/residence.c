/* SPDX-License-Identifier: Apache-2.0 */
/* Predicts from a shared object's dynamic section and symbols whether it can be unloaded. */
#include "residence.h"

#include <stdio.h>
#include <string.h>

#define PAGE_BYTES 4096u

static const struct {
    const char *name, *remedy;
} causes[RESIDENCE_CAUSES] = {
    {"unique symbols", "build with -fno-gnu-unique or hide them with the version script"},
    {"linked with -z nodelete", "link without it"},
    {"thread_local variables with destructors", "give them none, or keep such data in the instance"},
    {"threads", "join each of them in close"},
    {"thread-specific data with a destructor", "delete the key in close"},
    {"signal handlers", "restore the earlier handler in close"},
    {"timers or notifications that call a function", "delete them in close"},
    {"exit handlers of on_exit", "use atexit"},
    {"handles or requests on the loop", "close them, and report close as done only after their callbacks"},
    {"kept by the loader", "find out which other file needs it"},
};

/* Functions that leave something behind which only the module itself can take back. */
static const struct {
    const char *name;
    enum residence_cause cause;
} imports[] = {
    {"__cxa_thread_atexit", RESIDENCE_THREAD_LOCAL},
    {"__cxa_thread_atexit_impl", RESIDENCE_THREAD_LOCAL},
    {"pthread_create", RESIDENCE_THREAD},
    {"thrd_create", RESIDENCE_THREAD},
    {"uv_thread_create", RESIDENCE_THREAD},
    {"uv_thread_create_ex", RESIDENCE_THREAD},
    {"pthread_key_create", RESIDENCE_KEY},
    {"tss_create", RESIDENCE_KEY},
    {"signal", RESIDENCE_SIGNAL},
    {"sigaction", RESIDENCE_SIGNAL},
    {"bsd_signal", RESIDENCE_SIGNAL},
    {"sysv_signal", RESIDENCE_SIGNAL},
    {"__sysv_signal", RESIDENCE_SIGNAL},
    {"sigset", RESIDENCE_SIGNAL},
    {"sigvec", RESIDENCE_SIGNAL},
    {"timer_create", RESIDENCE_NOTIFICATION},
    {"mq_notify", RESIDENCE_NOTIFICATION},
    {"getaddrinfo_a", RESIDENCE_NOTIFICATION},
    {"aio_read", RESIDENCE_NOTIFICATION},
    {"aio_read64", RESIDENCE_NOTIFICATION},
    {"aio_write", RESIDENCE_NOTIFICATION},
    {"aio_write64", RESIDENCE_NOTIFICATION},
    {"aio_fsync", RESIDENCE_NOTIFICATION},
    {"aio_fsync64", RESIDENCE_NOTIFICATION},
    {"lio_listio", RESIDENCE_NOTIFICATION},
    {"lio_listio64", RESIDENCE_NOTIFICATION},
    {"on_exit", RESIDENCE_EXIT},
};

static uint32_t cause_of_import(const char *name)
{
    for (size_t i = 0; i < sizeof(imports) / sizeof(imports[0]); i++)
        if (strcmp(imports[i].name, name) == 0)
            return imports[i].cause;
    return 0;
}

static uint64_t mapped_bytes(const struct elf_image *image)
{
    uint64_t first = UINT64_MAX, end = 0;
    Elf64_Phdr segment;

    for (size_t i = 0; elf_image_segment(image, i, &segment); i++) {
        if (segment.p_type != PT_LOAD || segment.p_memsz > UINT64_MAX - segment.p_vaddr - PAGE_BYTES)
            continue;
        if (segment.p_vaddr < first)
            first = segment.p_vaddr;
        if (segment.p_vaddr + segment.p_memsz > end)
            end = segment.p_vaddr + segment.p_memsz;
    }
    return end == 0 ? 0
                    : ((end + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1)) -
                          (first & ~(uint64_t)(PAGE_BYTES - 1));
}

void residence_predict(const struct elf_image *image, struct residence *ret_residence)
{
    struct residence residence = {.bytes = mapped_bytes(image)};
    Elf64_Sym symbol;

    if ((elf_image_flags(image, DT_FLAGS_1) & DF_1_NODELETE) != 0)
        residence.certain |= RESIDENCE_NODELETE;
    for (size_t i = 1; elf_image_symbol(image, i, &symbol); i++) {
        const char *name = elf_image_string(image, symbol.st_name);

        if (ELF64_ST_BIND(symbol.st_info) == STB_GNU_UNIQUE)
            residence.certain |= RESIDENCE_UNIQUE;
        else if (symbol.st_shndx == SHN_UNDEF && name != NULL)
            residence.possible |= cause_of_import(name);
    }
    *ret_residence = residence;
}

static unsigned index_of(enum residence_cause cause)
{
    return (unsigned)__builtin_ctz(cause);
}

const char *residence_name(enum residence_cause cause)
{
    return causes[index_of(cause)].name;
}

void residence_format(const struct residence *residence, char *text, size_t size)
{
    uint32_t shown = residence->certain != 0 ? residence->certain : residence->possible;
    size_t length;
    const char *separator = "";

    text[0] = '\0';
    if (shown == 0)
        return;
    length = (size_t)snprintf(text, size, "%s stay resident after an upgrade (%llu KiB): ",
                              residence->certain != 0 ? "will" : "may",
                              (unsigned long long)residence->bytes / 1024);
    for (unsigned i = 0; i < RESIDENCE_CAUSES && length < size; i++) {
        if ((shown & 1u << i) == 0)
            continue;
        length += (size_t)snprintf(text + length, size - length, "%s%s (%s)", separator, causes[i].name,
                                   causes[i].remedy);
        separator = ", ";
    }
}

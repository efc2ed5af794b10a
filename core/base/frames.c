/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a thread is: the frames of its stack, and their names. Symbols are read from the module's file, with
 * small buffers on the stack and nothing but open, pread and close: it works in a signal handler, with a
 * broken heap, and whatever the file contains.
 */
#include "frames.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

/* The most that a file may make us read. */
#define SECTIONS_MAX 4096
#define SYMBOLS_MAX (1u << 20)
#define NOTES_MAX 8192
#define NAME_BYTES 128

struct walk {
    void **frames;
    size_t count, size;
    uintptr_t at;
};

static _Unwind_Reason_Code on_frame(struct _Unwind_Context *frame, void *context)
{
    struct walk *walk = context;
    uintptr_t address = _Unwind_GetIP(frame), at = _Unwind_GetCFA(frame);
    bool is_again =
        walk->count > 0 && at == walk->at && walk->frames[walk->count - 1] == (void *)(address - 1);

    /* The outermost frame may have no address; a broken stack may lead back to an earlier frame. */
    if (walk->count == walk->size || address == 0 || is_again)
        return _URC_END_OF_STACK;
    walk->at = at;
    walk->frames[walk->count++] = (void *)(address - 1);
    return _URC_NO_REASON;
}

/*
 * Not by backtrace(3): its first call loads a library, which takes locks and memory. The unwinder is part of
 * the program, and finds the tables of a file by _dl_find_object.
 */
size_t frames_take(void **frames, size_t count)
{
    struct walk walk = {.frames = frames, .size = count};

    _Unwind_Backtrace(on_frame, &walk);
    return walk.count;
}

/* False if we do not know how this processor keeps it. */
static bool find_interrupted(const void *context, uintptr_t *ret_instruction, uintptr_t *ret_caller)
{
#if defined(__x86_64__)
    const ucontext_t *interrupted = context;
    uintptr_t stack = (uintptr_t)interrupted->uc_mcontext.gregs[REG_RSP];

    *ret_instruction = (uintptr_t)interrupted->uc_mcontext.gregs[REG_RIP];
    *ret_caller = stack;
    return true;
#elif defined(__aarch64__)
    const ucontext_t *interrupted = context;

    *ret_instruction = (uintptr_t)interrupted->uc_mcontext.pc;
    *ret_caller = (uintptr_t)interrupted->uc_mcontext.regs[30];
    return true;
#else
    return false;
#endif
}

/*
 * A call of a bad function pointer: no frame can be found from its target, but the caller's address was just
 * pushed on the stack, or stored in the link register.
 */
static size_t take_bad_call(uintptr_t instruction, uintptr_t caller, void **frames, size_t count)
{
#if defined(__x86_64__)
    if (caller == 0 || caller % sizeof(void *) != 0)
        return 0;
    caller = *(const uintptr_t *)caller;
#endif
    if (count < 2)
        return 0;
    frames[0] = (void *)instruction;
    frames[1] = (void *)(caller - 1);
    return 2;
}

size_t frames_take_interrupted(const void *context, void **frames, size_t count)
{
    uintptr_t instruction, caller;
    size_t taken = frames_take(frames, count), first = 0;

    if (!find_interrupted(context, &instruction, &caller))
        return taken;
    while (first < taken && (uintptr_t)frames[first] + 1 != instruction)
        first++;
    if (first + 1 >= taken && taken < count)
        return take_bad_call(instruction, caller, frames, count);
    if (first == taken)
        return taken;
    memmove(frames, frames + first, (taken - first) * sizeof(*frames));
    frames[0] = (void *)instruction;
    return taken - first;
}

/*
 * Where frames_take_guarded continues, and whether this thread is in it. Thread-local variables of the
 * program itself exist from a thread's start, so a signal handler may use them.
 */
static _Thread_local sigjmp_buf after_frames;
static _Thread_local volatile sig_atomic_t is_taking;

size_t frames_take_guarded(const void *context, void **frames, size_t count)
{
    volatile size_t taken = 0;
    uintptr_t instruction, caller;

    if (sigsetjmp(after_frames, 1) == 0) {
        is_taking = 1;
        taken = frames_take_interrupted(context, frames, count);
    }
    is_taking = 0;
    if (taken > 0 || count == 0 || !find_interrupted(context, &instruction, &caller))
        return taken;
    frames[0] = (void *)instruction;
    return 1;
}

void frames_recover(void)
{
    if (!is_taking)
        return;
    is_taking = 0;
    siglongjmp(after_frames, 1);
}

/* A file that is loaded, and the file on disk if it is still the same. */
struct image {
    const char *path;
    uintptr_t base;
    const ElfW(Ehdr) * header;
    int fd;
};

static bool find_image(const void *address, struct image *ret_image)
{
#if defined(DLFO_STRUCT_HAS_EH_DBASE)
    struct dl_find_object object;

    if (_dl_find_object((void *)(uintptr_t)address, &object) != 0 || object.dlfo_link_map == NULL)
        return false;
    *ret_image = (struct image){.path = object.dlfo_link_map->l_name,
                                .base = object.dlfo_link_map->l_addr,
                                .header = object.dlfo_map_start,
                                .fd = -1};
    return true;
#else
    /* dladdr(3) takes locks that the interrupted code may hold. */
    return false;
#endif
}

bool frames_find_file(const void *address, const char **ret_path, uintptr_t *ret_offset)
{
    struct image image;

    if (!find_image(address, &image))
        return false;
    *ret_path = image.path;
    *ret_offset = (uintptr_t)address - image.base;
    return true;
}

static bool read_at(int fd, uint64_t offset, void *buffer, size_t size)
{
    size_t done = 0;

    if (offset > INT64_MAX - size)
        return false;
    while (done < size) {
        ssize_t got = pread(fd, (char *)buffer + done, size - done, (off_t)(offset + done));

        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

/* Does the file have the same bytes there as memory? */
static bool is_same(int fd, uint64_t offset, const void *memory, size_t size)
{
    char buffer[512];

    for (size_t done = 0; done < size; done += sizeof(buffer)) {
        size_t part = size - done < sizeof(buffer) ? size - done : sizeof(buffer);

        if (!read_at(fd, offset + done, buffer, part) ||
            memcmp(buffer, (const char *)memory + done, part) != 0)
            return false;
    }
    return true;
}

/* The notes hold the build ID and the manifest: a file that was replaced since has others. */
static bool is_loaded_file(const struct image *image)
{
    const ElfW(Ehdr) *header = image->header;
    const ElfW(Phdr) *segments = (const ElfW(Phdr) *)((const char *)header + sizeof(*header));

    if (header->e_phoff != sizeof(*header) || header->e_phnum > 64 ||
        !is_same(image->fd, 0, header, sizeof(*header) + header->e_phnum * sizeof(*segments)))
        return false;
    for (size_t i = 0; i < header->e_phnum; i++)
        if (segments[i].p_type == PT_NOTE && segments[i].p_filesz <= NOTES_MAX &&
            !is_same(image->fd, segments[i].p_offset, (const void *)(image->base + segments[i].p_vaddr),
                     segments[i].p_filesz))
            return false;
    return true;
}

static bool open_file(struct image *image)
{
    struct stat status;

    image->fd =
        open(image->path[0] != '\0' ? image->path : "/proc/self/exe", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return image->fd >= 0 && fstat(image->fd, &status) == 0 && S_ISREG(status.st_mode) &&
           memcmp(image->header->e_ident, ELFMAG, SELFMAG) == 0 &&
           image->header->e_shentsize == sizeof(ElfW(Shdr)) && is_loaded_file(image);
}

/* The full table if it was not stripped, else that of the exported functions. */
static bool find_symbols(const struct image *image, ElfW(Shdr) * ret_symbols, ElfW(Shdr) * ret_names)
{
    const ElfW(Ehdr) *header = image->header;
    ElfW(Shdr) section;
    bool is_found = false;

    *ret_symbols = (ElfW(Shdr)){0};
    for (size_t i = 0; i < header->e_shnum && i < SECTIONS_MAX; i++) {
        if (!read_at(image->fd, header->e_shoff + i * sizeof(section), &section, sizeof(section)))
            return false;
        if (section.sh_type != SHT_SYMTAB && (section.sh_type != SHT_DYNSYM || is_found))
            continue;
        *ret_symbols = section;
        is_found = true;
    }
    return is_found && ret_symbols->sh_entsize == sizeof(ElfW(Sym)) &&
           read_at(image->fd, header->e_shoff + (uint64_t)ret_symbols->sh_link * sizeof(section), ret_names,
                   sizeof(*ret_names));
}

static bool read_name(const struct image *image, const ElfW(Shdr) * names, size_t offset, char *name)
{
    size_t size = NAME_BYTES - 1;

    if (offset >= names->sh_size)
        return false;
    if (size > names->sh_size - offset)
        size = names->sh_size - offset;
    if (!read_at(image->fd, names->sh_offset + offset, name, size))
        return false;
    name[size] = '\0';
    for (char *byte = name; *byte != '\0'; byte++)
        if (*byte <= ' ' || *byte > '~' || *byte == '"' || *byte == '\\')
            *byte = '?';
    return name[0] != '\0';
}

/* The function that contains the address; of several the one that begins last. */
static bool find_function(const struct image *image, uintptr_t offset, char *name)
{
    ElfW(Shdr) symbols, names;
    ElfW(Sym) batch[64];
    size_t count, best_name = 0;
    uintptr_t best = 0;

    if (!find_symbols(image, &symbols, &names))
        return false;
    count = symbols.sh_size / sizeof(*batch) < SYMBOLS_MAX ? symbols.sh_size / sizeof(*batch) : SYMBOLS_MAX;
    for (size_t i = 0; i < count; i++) {
        const ElfW(Sym) *symbol = &batch[i % 64];

        if (i % 64 == 0 && !read_at(image->fd, symbols.sh_offset + i * sizeof(*batch), batch,
                                    (count - i < 64 ? count - i : 64) * sizeof(*batch)))
            return false;
        if ((symbol->st_info & 0xf) != STT_FUNC || symbol->st_shndx == SHN_UNDEF || symbol->st_value < best ||
            offset < symbol->st_value || offset - symbol->st_value >= symbol->st_size)
            continue;
        best = symbol->st_value;
        best_name = symbol->st_name;
    }
    return best != 0 && read_name(image, &names, best_name, name);
}

/* snprintf(3) is not async-signal-safe. */
static void add_text(char *text, size_t size, size_t *length, const char *more)
{
    while (*more != '\0' && *length + 1 < size)
        text[(*length)++] = *more++;
    text[*length] = '\0';
}

static void add_hex(char *text, size_t size, size_t *length, uintptr_t value)
{
    char digits[2 + 2 * sizeof(value) + 1];
    size_t i = sizeof(digits) - 1;

    digits[i] = '\0';
    do
        digits[--i] = "0123456789abcdef"[value % 16];
    while ((value /= 16) != 0);
    digits[--i] = 'x';
    digits[--i] = '0';
    add_text(text, size, length, digits + i);
}

const char *frames_file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (path[0] == '\0')
        return program_invocation_short_name;
    return slash != NULL ? slash + 1 : path;
}

void frames_describe(const void *address, char *text, size_t size)
{
    int saved_errno = errno;
    struct image image;
    char function[NAME_BYTES];
    size_t length = 0;

    if (size == 0)
        return;
    text[0] = '\0';
    if (!find_image(address, &image)) {
        add_hex(text, size, &length, (uintptr_t)address);
        return;
    }
    add_text(text, size, &length, frames_file_name(image.path));
    add_text(text, size, &length, "+");
    add_hex(text, size, &length, (uintptr_t)address - image.base);
    if (open_file(&image) && find_function(&image, (uintptr_t)address - image.base, function)) {
        add_text(text, size, &length, " (");
        add_text(text, size, &length, function);
        add_text(text, size, &length, ")");
    }
    if (image.fd >= 0)
        close(image.fd);
    errno = saved_errno;
}

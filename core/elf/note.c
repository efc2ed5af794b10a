/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the manifest's text in an ELF file: the one note of owner "berth" in its note segments. */
#include "note.h"

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <berth/plugin.h>
#include <berth/utf8.h>

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#elif defined(__riscv)
#define HOST_MACHINE EM_RISCV
#elif defined(__loongarch__)
#define HOST_MACHINE EM_LOONGARCH
#elif defined(__powerpc64__)
#define HOST_MACHINE EM_PPC64
#endif
#if !defined(HOST_MACHINE) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || __SIZEOF_POINTER__ != 8
#error "berth knows 64-bit little-endian machines only; add yours here"
#endif

/* Far above what linkers write, and low enough that a hostile file costs little. */
#define HEADERS_MAX 256
#define NOTES_MAX 1024

struct source {
    const uint8_t *bytes;
    uint64_t length;
    const char *path;
};

/* Where the text stands, once its note has been found. */
struct found {
    bool any;
    uint64_t offset;
    uint32_t length;
};

static bool fits(const struct source *source, uint64_t offset, uint64_t length)
{
    return offset <= source->length && length <= source->length - offset;
}

static enum berth_code truncated(const struct source *source, const char *what, struct berth_error *err)
{
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "%s: truncated: its %s lie beyond its %llu bytes; copy or rebuild it",
                           source->path, what, (unsigned long long)source->length);
}

static enum berth_code read_at(const struct source *source, uint64_t offset, void *buffer, size_t length,
                               const char *what, struct berth_error *err)
{
    if (!fits(source, offset, length))
        return truncated(source, what, err);
    memcpy(buffer, source->bytes + offset, length);
    return BERTH_OK;
}

static const char *machine_name(unsigned machine, char unknown[static 32])
{
    static const struct {
        unsigned machine;
        const char *name;
    } machines[] = {
        {EM_X86_64, "x86-64"},       {EM_AARCH64, "aarch64"}, {EM_RISCV, "riscv64"}, {EM_PPC64, "ppc64"},
        {EM_LOONGARCH, "loongarch"}, {EM_386, "i386"},        {EM_ARM, "arm"},       {EM_S390, "s390x"},
        {EM_MIPS, "mips"},           {EM_SPARCV9, "sparc64"},
    };

    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        if (machines[i].machine == machine)
            return machines[i].name;
    }
    snprintf(unknown, 32, "machine number %u", machine);
    return unknown;
}

static const char *type_name(unsigned type)
{
    switch (type) {
    case ET_REL:
        return "an object file (.o)";
    case ET_EXEC:
        return "a program";
    case ET_CORE:
        return "a core dump";
    default:
        return "of an unknown kind";
    }
}

static enum berth_code check_ident(const struct source *source, const unsigned char *ident,
                                   struct berth_error *err)
{
    if (ident[EI_CLASS] != ELFCLASS64)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: is %s, this host is 64-bit", source->path,
                               ident[EI_CLASS] == ELFCLASS32 ? "32-bit" : "of an unknown ELF class");
    if (ident[EI_DATA] != ELFDATA2LSB)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: is %s, this host is little-endian",
                               source->path,
                               ident[EI_DATA] == ELFDATA2MSB ? "big-endian" : "of an unknown byte order");
    if (ident[EI_VERSION] != EV_CURRENT)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: has ELF version %u, this host reads %u",
                               source->path, ident[EI_VERSION], EV_CURRENT);
    return BERTH_OK;
}

static enum berth_code check_header(const struct source *source, const Elf64_Ehdr *header,
                                    struct berth_error *err)
{
    char theirs[32], ours[32];
    enum berth_code code = check_ident(source, header->e_ident, err);

    if (code != BERTH_OK)
        return code;
    if (header->e_machine != HOST_MACHINE)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: is for %s, this host is %s", source->path,
                               machine_name(header->e_machine, theirs), machine_name(HOST_MACHINE, ours));
    if (header->e_type != ET_DYN)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: is %s, not a shared object; link it with -shared", source->path,
                               type_name(header->e_type));
    if (header->e_phnum == 0 || header->e_phnum > HEADERS_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: has %u program headers, expected 1 to %d",
                               source->path, header->e_phnum, HEADERS_MAX);
    if (header->e_phentsize != sizeof(Elf64_Phdr))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: has program headers of %u bytes, expected %zu", source->path,
                               header->e_phentsize, sizeof(Elf64_Phdr));
    return BERTH_OK;
}

static enum berth_code read_header(const struct source *source, Elf64_Ehdr *ret_header,
                                   struct berth_error *err)
{
    Elf64_Ehdr header;
    enum berth_code code;

    if (source->length < SELFMAG || memcmp(source->bytes, ELFMAG, SELFMAG) != 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: is not an ELF file", source->path);
    code = read_at(source, 0, &header, sizeof(header), "headers", err);
    if (code == BERTH_OK)
        code = check_header(source, &header, err);
    if (code == BERTH_OK)
        *ret_header = header;
    return code;
}

/* Takes a berth note after checking it. */
static enum berth_code take_note(const struct source *source, const Elf64_Nhdr *note, uint64_t text_offset,
                                 struct found *found, struct berth_error *err)
{
    if (note->n_type != BERTH_NOTE_TYPE)
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "%s: its berth note has type %u, this host reads type %u: rebuild it with this host's SDK",
            source->path, note->n_type, BERTH_NOTE_TYPE);
    if (found->any)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: has two berth notes, expected one",
                               source->path);
    if (note->n_descsz > BERTH_NOTE_MAX + 1)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: its berth note has %u bytes, the maximum is %u", source->path,
                               note->n_descsz, BERTH_NOTE_MAX);
    *found = (struct found){.any = true, .offset = text_offset, .length = note->n_descsz};
    return BERTH_OK;
}

static bool is_ours(const Elf64_Nhdr *note, const char *owner)
{
    return note->n_namesz == sizeof(BERTH_NOTE_OWNER) &&
           memcmp(owner, BERTH_NOTE_OWNER, sizeof(BERTH_NOTE_OWNER)) == 0;
}

static uint64_t align_up(uint64_t offset, uint64_t align)
{
    return (offset + align - 1) & ~(align - 1);
}

/* Walks one note segment. It lies within the file, so sums of 32-bit sizes in it cannot overflow. */
static enum berth_code walk_segment(const struct source *source, const Elf64_Phdr *segment,
                                    unsigned *note_count, struct found *found, struct berth_error *err)
{
    uint64_t align = segment->p_align == 8 ? 8 : 4;
    uint64_t size = segment->p_filesz;

    if (!fits(source, segment->p_offset, size))
        return truncated(source, "notes", err);
    for (uint64_t at = 0; at < size && size - at >= sizeof(Elf64_Nhdr);) {
        Elf64_Nhdr note;
        char owner[sizeof(BERTH_NOTE_OWNER)] = {0};
        uint64_t text, end;
        enum berth_code code = read_at(source, segment->p_offset + at, &note, sizeof(note), "notes", err);

        if (code != BERTH_OK)
            return code;
        text = align_up(at + sizeof(note) + note.n_namesz, align);
        end = text + note.n_descsz;
        if (end > size)
            return truncated(source, "notes", err);
        if (++*note_count > NOTES_MAX)
            return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: has more than %d notes", source->path,
                                   NOTES_MAX);
        if (note.n_namesz == sizeof(owner))
            code = read_at(source, segment->p_offset + at + sizeof(note), owner, sizeof(owner), "notes", err);
        if (code == BERTH_OK && is_ours(&note, owner))
            code = take_note(source, &note, segment->p_offset + text, found, err);
        if (code != BERTH_OK)
            return code;
        at = align_up(end, align);
    }
    return BERTH_OK;
}

static enum berth_code find_in_segments(const struct source *source, const Elf64_Ehdr *header,
                                        struct found *ret_found, struct berth_error *err)
{
    Elf64_Phdr segments[HEADERS_MAX];
    struct found found = {0};
    unsigned note_count = 0;
    enum berth_code code = read_at(source, header->e_phoff, segments, header->e_phnum * sizeof(segments[0]),
                                   "program headers", err);

    for (size_t i = 0; code == BERTH_OK && i < header->e_phnum; i++) {
        /* If mapped, a segment that ends past the file would kill the process on access.
         */
        if (segments[i].p_type == PT_LOAD && !fits(source, segments[i].p_offset, segments[i].p_filesz))
            code = truncated(source, "segments", err);
        else if (segments[i].p_type == PT_NOTE)
            code = walk_segment(source, &segments[i], &note_count, &found, err);
    }
    if (code != BERTH_OK)
        return code;
    if (!found.any)
        return berth_error_set(err, BERTH_NOT_FOUND,
                               "%s: has no berth note: an ordinary library, or built without its plugin.yaml",
                               source->path);
    *ret_found = found;
    return BERTH_OK;
}

static enum berth_code check_text(const struct source *source, const char *text, size_t length,
                                  struct berth_error *err)
{
    for (size_t i = 0; i < length;) {
        size_t step = berth_utf8_character(text + i, length - i);

        if (text[i] == '\0')
            return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: its berth note has a NUL at byte %zu",
                                   source->path, i);
        if (step == 0)
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "%s: its berth note is not UTF-8 at byte %zu (0x%02x)", source->path, i,
                                   (unsigned char)text[i]);
        i += step;
    }
    return BERTH_OK;
}

static enum berth_code copy_text(const struct source *source, const struct found *found, char **ret_text,
                                 size_t *ret_length, struct berth_error *err)
{
    size_t length = found->length;
    char *text = malloc(length + 1);
    enum berth_code code;

    if (text == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for its note", source->path);
    code = read_at(source, found->offset, text, length, "notes", err);
    if (code == BERTH_OK && length > 0 && text[length - 1] == '\0')
        length--;
    if (code == BERTH_OK && length > BERTH_NOTE_MAX)
        code = berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: its berth note has %zu bytes, the maximum is %u", source->path, length,
                               BERTH_NOTE_MAX);
    if (code == BERTH_OK)
        code = check_text(source, text, length, err);
    if (code != BERTH_OK) {
        free(text);
        return code;
    }
    text[length] = '\0';
    *ret_text = text;
    *ret_length = length;
    return BERTH_OK;
}

enum berth_code note_find(const void *file, size_t file_length, const char *path, char **ret_text,
                          size_t *ret_length, struct berth_error *err)
{
    const struct source source = {.bytes = file, .length = file_length, .path = path};
    Elf64_Ehdr header;
    struct found found;
    enum berth_code code = read_header(&source, &header, err);

    if (code == BERTH_OK)
        code = find_in_segments(&source, &header, &found, err);
    if (code == BERTH_OK)
        code = copy_text(&source, &found, ret_text, ret_length, err);
    return code;
}

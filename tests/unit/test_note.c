/* SPDX-License-Identifier: Apache-2.0 */
/* The note's reader against files that are made up byte by byte, whole and broken. */
#include <core/elf/elf.h>

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <berth/plugin.h>

#define TEXT "module: greeter\n"

/* A file of one header, up to three program headers and room for notes. */
struct image {
    uint8_t bytes[256 * 1024];
    size_t length;
    size_t notes_at;
};

static Elf64_Ehdr *header_of(struct image *image)
{
    return (Elf64_Ehdr *)image->bytes;
}

static Elf64_Phdr *segment_of(struct image *image, size_t i)
{
    return (Elf64_Phdr *)(image->bytes + sizeof(Elf64_Ehdr)) + i;
}

static void add_note(struct image *image, const char *owner, uint32_t type, const void *text, uint32_t length)
{
    Elf64_Nhdr note = {.n_namesz = (uint32_t)strlen(owner) + 1, .n_descsz = length, .n_type = type};
    Elf64_Phdr *segment = segment_of(image, 1);

    memcpy(image->bytes + image->length, &note, sizeof(note));
    image->length += sizeof(note);
    memcpy(image->bytes + image->length, owner, note.n_namesz);
    image->length += (note.n_namesz + 3u) & ~3u;
    memcpy(image->bytes + image->length, text, length);
    image->length += (length + 3u) & ~3u;
    segment->p_filesz = image->length - segment->p_offset;
}

static void make_empty(struct image *image)
{
    *header_of(image) = (Elf64_Ehdr)
    {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_DYN,
#if defined(__x86_64__)
        .e_machine = EM_X86_64,
#else
        .e_machine = EM_AARCH64,
#endif
        .e_version = EV_CURRENT, .e_phoff = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 2,
    };
    image->length = sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr);
    *segment_of(image, 0) = (Elf64_Phdr){.p_type = PT_LOAD, .p_align = 4096};
    *segment_of(image, 1) = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = image->length, .p_align = 4};
}

static struct image *image_create(void)
{
    struct image *image = calloc(1, sizeof(*image));

    assert_non_null(image);
    make_empty(image);
    add_note(image, "GNU", 3, "0123456789abcdefghij", 20);
    image->notes_at = image->length;
    add_note(image, "berth", 1, TEXT, sizeof(TEXT));
    return image;
}

static void expect_text(struct image *image, const char *text)
{
    struct berth_error err;
    char *found = NULL;
    size_t length = 0;

    if (note_find(image->bytes, image->length, "/p/x.so", &found, &length, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(length, strlen(text));
    assert_string_equal(found, text);
    free(found);
}

static void the_text_is_found_among_other_notes(void **state)
{
    struct image *image = image_create();

    expect_text(image, TEXT);
    free(image);
}

static void a_note_without_the_closing_nul_is_whole(void **state)
{
    struct image *image = calloc(1, sizeof(*image));

    assert_non_null(image);
    make_empty(image);
    add_note(image, "berth", 1, TEXT, sizeof(TEXT) - 1);
    expect_text(image, TEXT);
    free(image);
}

static void a_note_behind_notes_aligned_to_eight_is_found(void **state)
{
    struct image *image = calloc(1, sizeof(*image));

    assert_non_null(image);
    make_empty(image);
    header_of(image)->e_phnum = 3;
    add_note(image, "GNU", 5, "0123456789abcdef", 16);
    *segment_of(image, 2) = *segment_of(image, 1);
    segment_of(image, 2)->p_align = 8;
    segment_of(image, 1)->p_offset = image->length;
    add_note(image, "berth", 1, TEXT, sizeof(TEXT));
    expect_text(image, TEXT);
    free(image);
}

static void the_largest_text_is_taken_and_one_byte_more_is_not(void **state)
{
    struct image *image = calloc(1, sizeof(*image));
    char *text = malloc(BERTH_NOTE_MAX + 2);
    struct berth_error err;
    char *found;
    size_t length;

    assert_non_null(image);
    assert_non_null(text);
    memset(text, 'a', BERTH_NOTE_MAX + 1);
    text[BERTH_NOTE_MAX + 1] = '\0';
    make_empty(image);
    add_note(image, "berth", 1, text, BERTH_NOTE_MAX + 1);
    assert_int_equal(note_find(image->bytes, image->length, "x.so", &found, &length, &err),
                     BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "65537 bytes, the maximum is 65536"));
    make_empty(image);
    text[BERTH_NOTE_MAX] = '\0';
    add_note(image, "berth", 1, text, BERTH_NOTE_MAX + 1);
    expect_text(image, text);
    free(text);
    free(image);
}

static void break_magic(struct image *image)
{
    image->bytes[0] = '#';
}

static void break_class(struct image *image)
{
    header_of(image)->e_ident[EI_CLASS] = ELFCLASS32;
}

static void break_byte_order(struct image *image)
{
    header_of(image)->e_ident[EI_DATA] = ELFDATA2MSB;
}

static void break_machine(struct image *image)
{
    header_of(image)->e_machine = EM_S390;
}

static void break_type(struct image *image)
{
    header_of(image)->e_type = ET_REL;
}

static void break_header_count(struct image *image)
{
    header_of(image)->e_phnum = PN_XNUM;
}

static void break_header_size(struct image *image)
{
    header_of(image)->e_phentsize = 32;
}

static void break_header_offset(struct image *image)
{
    header_of(image)->e_phoff = UINT64_MAX - 8;
}

static void break_segment_offset(struct image *image)
{
    segment_of(image, 1)->p_offset = UINT64_MAX - 3;
}

static void break_segment_size(struct image *image)
{
    segment_of(image, 1)->p_filesz = UINT64_MAX;
}

static void break_loaded_segment(struct image *image)
{
    segment_of(image, 0)->p_offset = image->length - 8;
    segment_of(image, 0)->p_filesz = 9;
}

static void break_owner_size(struct image *image)
{
    ((Elf64_Nhdr *)(image->bytes + image->notes_at))->n_namesz = UINT32_MAX;
}

static void break_text_size(struct image *image)
{
    ((Elf64_Nhdr *)(image->bytes + image->notes_at))->n_descsz = UINT32_MAX;
}

static void break_note_type(struct image *image)
{
    ((Elf64_Nhdr *)(image->bytes + image->notes_at))->n_type = 2;
}

static void add_second_note(struct image *image)
{
    add_note(image, "berth", 1, "module: other\n", 15);
}

static void add_many_notes(struct image *image)
{
    for (int i = 0; i < 2000; i++)
        add_note(image, "GNU", 3, "", 0);
}

static void break_text_with_nul(struct image *image)
{
    image->bytes[image->length - 8] = '\0';
}

static void break_text_encoding(struct image *image)
{
    memcpy(image->bytes + image->length - 10, "\xed\xa0\x80", 3);
}

static void cut_in_header(struct image *image)
{
    image->length = 40;
}

static void cut_in_program_headers(struct image *image)
{
    image->length = 100;
}

static void cut_in_notes(struct image *image)
{
    image->length -= 8;
}

static void cut_to_nothing(struct image *image)
{
    image->length = 0;
}

static void remove_note(struct image *image)
{
    memcpy(image->bytes + image->notes_at + sizeof(Elf64_Nhdr), "birth", 5);
}

static const struct broken_case {
    const char *name;
    void (*break_image)(struct image *image);
    enum berth_code code;
    /** Two pieces that the sentence must have. */
    const char *first, *second;
} broken_cases[] = {
    {"magic", break_magic, BERTH_INVALID_ARGUMENT, "/p/x.so", "is not an ELF file"},
    {"class", break_class, BERTH_INVALID_ARGUMENT, "is 32-bit", "this host is 64-bit"},
    {"byte order", break_byte_order, BERTH_INVALID_ARGUMENT, "is big-endian", "little-endian"},
    {"machine", break_machine, BERTH_INVALID_ARGUMENT, "is for s390x", "this host is"},
    {"type", break_type, BERTH_INVALID_ARGUMENT, "an object file", "-shared"},
    {"header count", break_header_count, BERTH_INVALID_ARGUMENT, "65535 program headers", "1 to 256"},
    {"header size", break_header_size, BERTH_INVALID_ARGUMENT, "of 32 bytes", "expected 56"},
    {"header offset", break_header_offset, BERTH_INVALID_ARGUMENT, "truncated", "program headers"},
    {"segment offset", break_segment_offset, BERTH_INVALID_ARGUMENT, "truncated", "notes"},
    {"segment size", break_segment_size, BERTH_INVALID_ARGUMENT, "truncated", "notes"},
    {"loaded segment", break_loaded_segment, BERTH_INVALID_ARGUMENT, "truncated", "its segments lie beyond"},
    {"owner size", break_owner_size, BERTH_INVALID_ARGUMENT, "truncated", "notes"},
    {"text size", break_text_size, BERTH_INVALID_ARGUMENT, "truncated", "notes"},
    {"note type", break_note_type, BERTH_INVALID_ARGUMENT, "has type 2", "reads type 1"},
    {"two notes", add_second_note, BERTH_INVALID_ARGUMENT, "two berth notes", "expected one"},
    {"many notes", add_many_notes, BERTH_INVALID_ARGUMENT, "more than 1024", "notes"},
    {"NUL", break_text_with_nul, BERTH_INVALID_ARGUMENT, "NUL", "byte"},
    {"surrogate", break_text_encoding, BERTH_INVALID_ARGUMENT, "not UTF-8", "0xed"},
    {"cut header", cut_in_header, BERTH_INVALID_ARGUMENT, "truncated", "40 bytes"},
    {"cut program headers", cut_in_program_headers, BERTH_INVALID_ARGUMENT, "truncated", "program headers"},
    {"cut notes", cut_in_notes, BERTH_INVALID_ARGUMENT, "truncated", "notes"},
    {"nothing", cut_to_nothing, BERTH_INVALID_ARGUMENT, "/p/x.so", "is not an ELF file"},
    {"no note", remove_note, BERTH_NOT_FOUND, "no berth note", "ordinary library"},
};

static void a_broken_file_is_refused_with_its_reason(void **state)
{
    for (size_t i = 0; i < sizeof(broken_cases) / sizeof(broken_cases[0]); i++) {
        const struct broken_case *broken = &broken_cases[i];
        struct image *image = image_create();
        struct berth_error err = {{0}};
        char *text = NULL;
        size_t length = 0;
        enum berth_code code;

        broken->break_image(image);
        code = note_find(image->bytes, image->length, "/p/x.so", &text, &length, &err);
        if (code != broken->code || strstr(err.message, broken->first) == NULL ||
            strstr(err.message, broken->second) == NULL)
            fail_msg("%s: %s: %s", broken->name, berth_code_name(code), err.message);
        assert_null(text);
        free(image);
    }
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    struct image *image = image_create();

    for (size_t length = 0; length < image->length; length++) {
        uint8_t *copy = malloc(length + 1);
        struct berth_error err;
        char *text;
        size_t text_length;

        assert_non_null(copy);
        memcpy(copy, image->bytes, length);
        if (note_find(copy, length, "x.so", &text, &text_length, &err) == BERTH_OK)
            fail_msg("cut to %zu of %zu bytes it was taken", length, image->length);
        free(copy);
    }
    free(image);
}

static void a_note_far_behind_the_first_page_is_read(void **state)
{
    struct image *image = calloc(1, sizeof(*image));

    assert_non_null(image);
    make_empty(image);
    image->length = 100000;
    segment_of(image, 1)->p_offset = image->length;
    add_note(image, "berth", 1, TEXT, sizeof(TEXT));
    expect_text(image, TEXT);
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_found_among_other_notes),
        cmocka_unit_test(a_note_without_the_closing_nul_is_whole),
        cmocka_unit_test(a_note_behind_notes_aligned_to_eight_is_found),
        cmocka_unit_test(the_largest_text_is_taken_and_one_byte_more_is_not),
        cmocka_unit_test(a_broken_file_is_refused_with_its_reason),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(a_note_far_behind_the_first_page_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

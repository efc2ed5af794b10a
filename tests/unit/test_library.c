/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries of files that are made to be hard to search for. */
#include <core/elf/elf.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include "scratch.h"

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_RISCV
#endif

#define STRINGS_AT 512
#define FILE_BYTES ((size_t)1 << 20)

/* A shared object with a dynamic section and strings, one after the other. */
struct object {
    unsigned char bytes[FILE_BYTES];
    Elf64_Dyn dynamic[1024];
    size_t count, strings_length;
};

static void add(struct object *object, int64_t tag, const char *text)
{
    size_t length = strlen(text) + 1;

    assert_true(STRINGS_AT + object->strings_length + length + sizeof(object->dynamic) < FILE_BYTES);
    memcpy(object->bytes + STRINGS_AT + object->strings_length, text, length);
    object->dynamic[object->count++] = (Elf64_Dyn){.d_tag = tag, .d_un.d_val = object->strings_length};
    object->strings_length += length;
}

static struct object *begin(void)
{
    struct object *object = calloc(1, sizeof(*object));

    assert_non_null(object);
    add(object, DT_DEBUG, "");
    return object;
}

/* @return how many bytes of the object count. */
static size_t end(struct object *object)
{
    size_t at = (STRINGS_AT + object->strings_length + 15) / 16 * 16, length;
    Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                         .e_type = ET_DYN,
                         .e_machine = MACHINE,
                         .e_phoff = sizeof(header),
                         .e_phentsize = sizeof(Elf64_Phdr),
                         .e_phnum = 2};
    Elf64_Phdr segments[2] = {{.p_type = PT_LOAD}, {.p_type = PT_DYNAMIC, .p_offset = at}};

    object->dynamic[object->count++] = (Elf64_Dyn){.d_tag = DT_STRTAB, .d_un.d_val = STRINGS_AT};
    object->dynamic[object->count++] = (Elf64_Dyn){.d_tag = DT_STRSZ, .d_un.d_val = object->strings_length};
    segments[1].p_filesz = object->count * sizeof(Elf64_Dyn);
    length = at + segments[1].p_filesz;
    segments[0].p_filesz = length;
    memcpy(object->bytes, &header, sizeof(header));
    memcpy(object->bytes + sizeof(header), segments, sizeof(segments));
    memcpy(object->bytes + at, object->dynamic, segments[1].p_filesz);
    return length;
}

static void write_file(const char *folder, const char *name, const struct object *object, size_t length)
{
    char path[PATH_MAX];
    int fd;

    assert_true(snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path));
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, object->bytes, length), length);
    close(fd);
}

/* What was complained of, and the last sentence. */
struct heard {
    size_t count;
    char last[2048];
};

static void on_problem(void *context, const struct library_problem *problem)
{
    struct heard *heard = context;

    heard->count++;
    snprintf(heard->last, sizeof(heard->last), "%s", problem->message);
}

static void search(const struct object *object, size_t length, const char *path, struct heard *heard)
{
    struct library_finder *finder = library_finder_create(false);
    struct library_list list;
    struct elf_image image;

    assert_true(elf_image_init(&image, object->bytes, length));
    library_find_all(finder, &image, path, on_problem, heard, &list);
    library_list_finish(&list);
    library_finder_destroy(finder);
}

static void a_folder_that_is_longer_than_any_path_is_not_written_out(void **state)
{
    char *text = calloc(1, FILE_BYTES / 2 + 1), path[PATH_MAX];
    struct object *object = begin();
    struct heard heard = {0};

    assert_non_null(text);
    for (size_t i = 0; i + 7 <= FILE_BYTES / 2; i += 7)
        memcpy(text + i, "$ORIGIN", 7);
    memset(path, 'a', sizeof(path));
    path[0] = path[4000] = '/';
    strcpy(path + 4001, "m.so");
    add(object, DT_RUNPATH, text);
    search(object, end(object), path, &heard);
    assert_int_equal(heard.count, 1);
    assert_non_null(strstr(heard.last, "which cannot be checked"));
    free(object);
    free(text);
}

/* Eight libraries, each with 200 more that are nowhere, in 60 folders that are there. */
static void what_is_looked_at_for_one_module_has_a_bound(void **state)
{
    char folder[PATH_MAX], path[PATH_MAX + 8], name[32], folders[4096] = "$ORIGIN";
    struct object *module = begin();
    struct heard heard = {0};

    scratch_create(folder);
    for (size_t i = 0; i < 59; i++)
        for (size_t k = 0; k <= i; k++)
            strcat(folders, k == 0 ? ":$ORIGIN/" : "/");
    for (size_t i = 0; i < 8; i++) {
        struct object *library = begin();

        for (size_t k = 0; k < 200; k++) {
            snprintf(name, sizeof(name), "libberth-no-%zu-%zu.so", i, k);
            add(library, DT_NEEDED, name);
        }
        add(library, DT_RUNPATH, folders);
        snprintf(name, sizeof(name), "libberth-%zu.so", i);
        write_file(folder, name, library, end(library));
        free(library);
        add(module, DT_NEEDED, name);
    }
    add(module, DT_RUNPATH, "$ORIGIN");
    snprintf(path, sizeof(path), "%s/m.so", folder);
    search(module, end(module), path, &heard);
    assert_true(heard.count < 1600);
    assert_string_equal(heard.last, "its libraries were not found within 65536 files and folders");
    free(module);
    scratch_remove(folder);
}

static void a_dynamic_section_without_measure_is_no_object(void **state)
{
    struct object *object = begin();
    size_t length = end(object);
    Elf64_Phdr segments[2];
    struct elf_image image;

    assert_true(elf_image_init(&image, object->bytes, length));
    memcpy(segments, object->bytes + sizeof(Elf64_Ehdr), sizeof(segments));
    segments[1].p_filesz = FILE_BYTES;
    memcpy(object->bytes + sizeof(Elf64_Ehdr), segments, sizeof(segments));
    assert_false(elf_image_init(&image, object->bytes, sizeof(object->bytes)));
    free(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_that_is_longer_than_any_path_is_not_written_out),
        cmocka_unit_test(what_is_looked_at_for_one_module_has_a_bound),
        cmocka_unit_test(a_dynamic_section_without_measure_is_no_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

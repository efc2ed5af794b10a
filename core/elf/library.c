/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for shared libraries along the dynamic linker's path (ld.so(8)) and at each folder on the way, and
 * finds modules that need different ones under one name. */
#include "library.h"

#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <search.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <core/scan/scan.h>
#include <sdk/base/memory.h>

/* More than any module has, few enough that a hostile file costs little. */
#define NEEDED_MAX 256
#define LIBRARIES_MAX 512
#define FOLDERS_MAX 64
#define NAME_MAX_BYTES 1024
/* Files and folders that are looked at for one module, all libraries together. */
#define LOOKS_MAX 65536

#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#elif defined(__riscv)
#define MULTIARCH "riscv64-linux-gnu"
#else
#define MULTIARCH "."
#endif

/*
 * The cache of the system's libraries that ldconfig writes, in glibc's format since 2.2 (its
 * sysdeps/generic/dl-cache.h). Empty if there is none.
 */
struct linker_cache {
    const char *bytes;
    size_t length;
};

static const char cache_path[] = "/etc/ld.so.cache";
static const char magic[] = "glibc-ld.so.cache1.1";

#define CACHE_MAX_BYTES ((size_t)64 << 20)

struct cache_header {
    char magic[sizeof(magic) - 1];
    uint32_t count;
    uint32_t strings_length;
    uint8_t flags, padding[3];
    uint32_t extension_offset;
    uint32_t unused[3];
};

struct cache_entry {
    int32_t flags;
    uint32_t name, path;
    uint32_t os_version;
    uint64_t hardware;
};

static void linker_cache_init(struct linker_cache *cache)
{
    int fd = open(cache_path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    void *bytes = MAP_FAILED;

    *cache = (struct linker_cache){NULL, 0};
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && (size_t)status.st_size > sizeof(struct cache_header) &&
        (size_t)status.st_size <= CACHE_MAX_BYTES)
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes != MAP_FAILED)
        *cache = (struct linker_cache){bytes, (size_t)status.st_size};
}

static void linker_cache_finish(struct linker_cache *cache)
{
    if (cache->bytes != NULL)
        munmap((void *)(uintptr_t)cache->bytes, cache->length);
    *cache = (struct linker_cache){NULL, 0};
}

/* Offsets count from the header. */
static const char *string_at(const struct linker_cache *cache, uint32_t offset)
{
    if (offset >= cache->length || memchr(cache->bytes + offset, '\0', cache->length - offset) == NULL)
        return "";
    return cache->bytes + offset;
}

/* Offers each path that the cache has for a library until one is taken. @return whether one was. */
static bool linker_cache_visit(const struct linker_cache *cache, const char *name,
                               bool (*on_path)(void *context, const char *path), void *context)
{
    struct cache_header header;

    if (cache->bytes == NULL)
        return false;
    memcpy(&header, cache->bytes, sizeof(header));
    if (memcmp(header.magic, magic, sizeof(header.magic)) != 0)
        return false;
    for (size_t i = 0; i < header.count && i < (cache->length - sizeof(header)) / sizeof(struct cache_entry);
         i++) {
        struct cache_entry entry;

        memcpy(&entry, cache->bytes + sizeof(header) + i * sizeof(entry), sizeof(entry));
        if (strcmp(string_at(cache, entry.name), name) == 0 && on_path(context, string_at(cache, entry.path)))
            return true;
    }
    return false;
}

static const char *const default_folders[] = {
    "/lib/" MULTIARCH, "/usr/lib/" MULTIARCH, "/lib64", "/usr/lib64", "/lib", "/usr/lib",
};

/* A path that was tried; without bytes if there is no library. */
struct file {
    char *path;
    bool is_mapped;
    struct stat status;
    void *bytes;
    size_t length;
    struct elf_image image;
    /** BERTH_UNKNOWN until somebody asks. */
    enum berth_code trust;
    char *objection;
};

/* A folder of a RUNPATH or RPATH. */
struct folder {
    struct folder *next;
    char *path;
    enum berth_code trust;
    char *objection;
};

/* A library of this process. */
struct loaded {
    const char *name;
    const struct file *file;
};

/* The file that a name resolves to without a search path of its own. */
struct known {
    char *name;
    const struct file *file;
    bool is_system;
};

struct library_finder {
    struct linker_cache cache;
    /* A tree of struct file, for tsearch. */
    void *files;
    struct folder *folders;
    struct known *known;
    size_t known_count;
    struct loaded *loaded;
    size_t loaded_count;
    /** LD_LIBRARY_PATH, or NULL. */
    const char *environment;
    /** For the module at hand. */
    size_t looks;
    bool trusts_all;
};

/* Maps a regular file, once. If others could truncate it meanwhile, it has to be verified first. */
static void map(struct file *file)
{
    int fd = file->is_mapped ? -1 : open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;

    file->is_mapped = true;
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

        if (bytes != MAP_FAILED) {
            file->bytes = bytes;
            file->length = (size_t)status.st_size;
            file->status = status;
        }
    }
    close(fd);
    if (file->bytes != NULL && !elf_image_init(&file->image, file->bytes, file->length)) {
        munmap(file->bytes, file->length);
        file->bytes = NULL;
    }
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static void free_file(void *node)
{
    struct file *file = node;

    if (file->bytes != NULL)
        munmap(file->bytes, file->length);
    free(file->path);
    free(file->objection);
    free(file);
}

static struct file *get_file(struct library_finder *finder, const char *path)
{
    struct file *file = memory_allocate(1, sizeof(*file));
    struct file *known;

    *file = (struct file){.path = memory_copy(path), .trust = BERTH_UNKNOWN};
    known = *(struct file **)memory_or_abort(tsearch(file, &finder->files, compare_paths));
    if (known != file)
        free_file(file);
    return known;
}

static const struct folder *get_folder(struct library_finder *finder, const char *path)
{
    struct folder *folder = finder->folders;
    struct berth_error err = {""};

    finder->looks++;
    while (folder != NULL && strcmp(folder->path, path) != 0)
        folder = folder->next;
    if (folder != NULL)
        return folder;
    folder = memory_allocate(1, sizeof(*folder));
    *folder = (struct folder){.next = finder->folders, .path = memory_copy(path)};
    folder->trust = finder->trusts_all ? BERTH_OK : verify_way(path, &err);
    folder->objection = memory_copy(err.message);
    finder->folders = folder;
    return folder;
}

static enum berth_code check_file(const struct library_finder *finder, struct file *file)
{
    struct berth_error err = {""};

    if (file->trust == BERTH_UNKNOWN) {
        file->trust = finder->trusts_all ? BERTH_OK : verify_way(file->path, &err);
        file->objection = memory_copy(err.message);
    }
    return file->trust;
}

struct walk {
    struct library_finder *finder;
    struct library_list *list;
    const struct elf_image *module;
    const char *path;
    void (*on_problem)(void *context, const struct library_problem *problem);
    void *context;
};

BERTH_PRINTF(4, 5)
static void complain(const struct walk *walk, enum berth_code code, bool is_of_place, const char *pattern,
                     ...)
{
    struct berth_error text;
    va_list arguments;

    va_start(arguments, pattern);
    vsnprintf(text.message, sizeof(text.message), pattern, arguments);
    va_end(arguments);
    walk->on_problem(walk->context, &(struct library_problem){code, is_of_place, text.message});
}

static const struct elf_image *image_of(const struct walk *walk, size_t user)
{
    return user == LIBRARY_MODULE ? walk->module : walk->list->items[user].image;
}

static const char *path_of(const struct walk *walk, size_t user)
{
    return user == LIBRARY_MODULE ? walk->path : walk->list->items[user].path;
}

/* Problems are reported for the module, so it is "its" there. */
static const char *whose(const struct walk *walk, size_t user)
{
    return user == LIBRARY_MODULE ? "its" : walk->list->items[user].path;
}

/* The text under RUNPATH or RPATH; NULL if it has none. */
static const char *search_path(const struct elf_image *image, int64_t tag)
{
    uint64_t offset;

    return elf_image_dynamic(image, tag, 0, &offset) ? elf_image_string(image, offset) : NULL;
}

static bool starts_token(const char *text, const char *name, size_t *ret_length)
{
    size_t length = strlen(name);

    if (text[1] == '{' && strncmp(text + 2, name, length) == 0 && text[2 + length] == '}') {
        *ret_length = length + 3;
        return true;
    }
    *ret_length = length + 1;
    return strncmp(text + 1, name, length) == 0;
}

/*
 * One folder of a path, or a name, with $ORIGIN replaced by the folder of its file. NULL for other tokens,
 * which only the dynamic linker understands, and for anything longer than a path.
 */
static char *expand(const char *text, size_t length, const char *user_path)
{
    const char *slash = strrchr(user_path, '/');
    size_t origin_length = slash == NULL ? 0 : (size_t)(slash - user_path);
    char *result = memory_allocate(1, 1);
    size_t used = 0;

    for (size_t i = 0; i < length;) {
        const char *piece = text + i;
        size_t piece_length = strcspn(piece, "$"), token = 0;
        bool is_known;

        if (piece_length > length - i)
            piece_length = length - i;
        is_known = piece_length > 0 || starts_token(piece, "ORIGIN", &token);

        if (token > 0) {
            piece = user_path;
            piece_length = origin_length;
        }
        if (!is_known || piece_length >= PATH_MAX - used) {
            free(result);
            return NULL;
        }
        result = memory_or_abort(realloc(result, used + piece_length + 1));
        memcpy(result + used, piece, piece_length);
        used += piece_length;
        result[used] = '\0';
        i += token > 0 ? token : piece_length;
    }
    return result;
}

/* Meson fills up a path that it will shorten at installation with these. */
static bool is_padding(const char *text, size_t length)
{
    return length > 0 && strspn(text, "X") >= length;
}

/* Calls for each folder of a path until one answers true. */
static bool each_folder(const char *folders, const char *user_path,
                        bool (*on_folder)(void *context, const char *text, size_t length, const char *folder),
                        void *context)
{
    size_t count = 0;

    for (const char *begin = folders; count < FOLDERS_MAX; count++) {
        size_t length = strcspn(begin, ":");
        char *folder = is_padding(begin, length) ? NULL : expand(begin, length, user_path);
        bool is_done = !is_padding(begin, length) && on_folder(context, begin, length, folder);

        free(folder);
        if (is_done || begin[length] == '\0')
            return is_done;
        begin += length + 1;
    }
    return false;
}

struct folder_check {
    const struct walk *walk;
    const char *name;
    size_t user;
};

/* Was the library found there? Then that folder has been judged, or LD_LIBRARY_PATH names it. */
static bool is_own_folder(const char *user_path, const char *folder)
{
    const char *slash = strrchr(user_path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - user_path);

    return length > 0 && strncmp(folder, user_path, length) == 0 &&
           folder[length + strspn(folder + length, "/")] == '\0';
}

static bool check_folder(void *context, const char *text, size_t length, const char *folder)
{
    const struct folder_check *check = context;
    bool is_of_place = check->user == LIBRARY_MODULE && memchr(text, '$', length) != NULL;
    const struct folder *known;

    if (folder == NULL || folder[0] != '/') {
        complain(check->walk, BERTH_INVALID_ARGUMENT, false,
                 "%s %s has \"%.*s\", %s: name an absolute folder or one below $ORIGIN",
                 whose(check->walk, check->user), check->name, (int)(length < 200 ? length : 200), text,
                 folder == NULL ? "which cannot be checked"
                                : "which depends on the working directory of berthd");
        return false;
    }
    if (check->user != LIBRARY_MODULE && is_own_folder(path_of(check->walk, check->user), folder))
        return false;
    known = get_folder(check->walk->finder, folder);
    if (known->trust != BERTH_OK)
        complain(check->walk, known->trust, is_of_place,
                 "%s %s has \"%.*s\", which is not a safe place to load from: %.1200s",
                 whose(check->walk, check->user), check->name, (int)(length < 200 ? length : 200), text,
                 known->objection);
    return false;
}

static bool has_too_many(const char *folders)
{
    size_t count = 1;

    for (; (folders = strchr(folders, ':')) != NULL; folders++)
        count++;
    return count > FOLDERS_MAX;
}

static void check_search_path(const struct walk *walk, size_t user, int64_t tag, const char *name)
{
    struct folder_check check = {walk, name, user};
    const char *folders = search_path(image_of(walk, user), tag);

    if (folders == NULL)
        return;
    if (has_too_many(folders))
        complain(walk, BERTH_INVALID_ARGUMENT, false, "%s %s has more than %d folders", whose(walk, user),
                 name, FOLDERS_MAX);
    each_folder(folders, path_of(walk, user), check_folder, &check);
}

/* The loader returns a library known under a soname to anyone who asks for a file of that path. */
static void check_soname(const struct walk *walk, size_t user)
{
    const char *soname = search_path(image_of(walk, user), DT_SONAME);

    if (soname != NULL && strchr(soname, '/') != NULL)
        complain(walk, BERTH_INVALID_ARGUMENT, false,
                 "%s soname is the path %.500s, so the loader would take it for that file: link with a "
                 "soname without a slash",
                 whose(walk, user), soname);
}

struct attempt {
    struct library_finder *finder;
    const char *name;
    unsigned machine;
    /** Where the module or one of its libraries says, not the machine: it is verified before it is read. */
    bool is_own;
    struct file *found;
    /** Where the machine keeps its libraries. */
    bool is_system;
};

static bool try_path(void *context, const char *path)
{
    struct attempt *attempt = context;
    struct file *file;

    if (attempt->finder->looks++ >= LOOKS_MAX)
        return false;
    file = get_file(attempt->finder, path);
    if (attempt->is_own && access(path, F_OK) == 0 && check_file(attempt->finder, file) != BERTH_OK) {
        attempt->found = file;
        return true;
    }
    map(file);
    if (file->bytes == NULL || file->image.header.e_machine != attempt->machine)
        return false;
    attempt->found = file;
    return true;
}

static bool try_folder(void *context, const char *text, size_t length, const char *folder)
{
    struct attempt *attempt = context;
    char *path;
    bool is_found;

    (void)text, (void)length;
    if (folder == NULL)
        return false;
    path = memory_format("%s/%s", folder, attempt->name);
    is_found = try_path(attempt, path);
    free(path);
    return is_found;
}

/* Like try_folder, but opens nothing in a folder that is not trusted. */
static bool try_trusted_folder(void *context, const char *text, size_t length, const char *folder)
{
    struct attempt *attempt = context;

    return folder != NULL && folder[0] == '/' && get_folder(attempt->finder, folder)->trust == BERTH_OK &&
           try_folder(context, text, length, folder);
}

/* Its own RPATH, then that of who loaded it, and so on; each counts only without a RUNPATH. */
static bool try_rpaths(const struct walk *walk, size_t user, struct attempt *attempt)
{
    if (search_path(image_of(walk, user), DT_RUNPATH) != NULL)
        return false;
    for (;;) {
        const struct elf_image *image = image_of(walk, user);
        const char *folders = search_path(image, DT_RUNPATH) == NULL ? search_path(image, DT_RPATH) : NULL;

        if (folders != NULL && each_folder(folders, path_of(walk, user), try_trusted_folder, attempt))
            return true;
        if (user == LIBRARY_MODULE)
            return false;
        user = walk->list->items[user].user;
    }
}

static bool try_runpath(const struct walk *walk, size_t user, struct attempt *attempt)
{
    const char *folders = search_path(image_of(walk, user), DT_RUNPATH);

    return folders != NULL && each_folder(folders, path_of(walk, user), try_trusted_folder, attempt);
}

static bool try_environment(struct library_finder *finder, struct attempt *attempt)
{
    for (const char *begin = finder->environment; begin != NULL;) {
        size_t length = strcspn(begin, ":;");
        char *folder = length == 0 ? memory_copy(".") : memory_format("%.*s", (int)length, begin);
        bool is_found = try_folder(attempt, begin, length, folder);

        free(folder);
        if (is_found)
            return true;
        begin = begin[length] == '\0' ? NULL : begin + length + 1;
    }
    return false;
}

static bool try_system(struct library_finder *finder, struct attempt *attempt)
{
    if (linker_cache_visit(&finder->cache, attempt->name, try_path, attempt))
        return true;
    for (size_t i = 0; i < sizeof(default_folders) / sizeof(default_folders[0]); i++)
        if (try_folder(attempt, NULL, 0, default_folders[i]))
            return true;
    for (size_t i = 0; i < finder->loaded_count; i++)
        if (strcmp(finder->loaded[i].name, attempt->name) == 0 &&
            try_path(attempt, finder->loaded[i].file->path))
            return true;
    return false;
}

/* Searches environment and system, whose answer is the same for everyone and cached. */
static bool try_known(struct library_finder *finder, struct attempt *attempt)
{
    struct known *known;

    for (size_t i = 0; i < finder->known_count; i++)
        if (strcmp(finder->known[i].name, attempt->name) == 0 && finder->known[i].file != NULL &&
            finder->known[i].file->image.header.e_machine == attempt->machine) {
            attempt->is_system = finder->known[i].is_system;
            return try_path(attempt, finder->known[i].file->path);
        }
    attempt->is_system = !try_environment(finder, attempt);
    if (attempt->is_system && !try_system(finder, attempt))
        return false;
    finder->known = memory_grow(finder->known, finder->known_count, sizeof(*finder->known));
    known = &finder->known[finder->known_count++];
    *known = (struct known){
        .name = memory_copy(attempt->name), .file = attempt->found, .is_system = attempt->is_system};
    return true;
}

static bool has_own_path(const struct walk *walk, size_t user)
{
    for (;; user = walk->list->items[user].user) {
        const struct elf_image *image = image_of(walk, user);

        if (search_path(image, DT_RUNPATH) != NULL || search_path(image, DT_RPATH) != NULL)
            return true;
        if (user == LIBRARY_MODULE)
            return false;
    }
}

/* @param attempt  what is sought; afterwards what was found, and where. */
static bool search(const struct walk *walk, size_t user, struct attempt *attempt)
{
    attempt->is_own = true;
    if (strchr(attempt->name, '/') != NULL)
        return attempt->name[0] == '/' && try_path(attempt, attempt->name);
    if (has_own_path(walk, user)) {
        if (try_rpaths(walk, user, attempt))
            return true;
        attempt->is_own = false;
        if (try_environment(walk->finder, attempt))
            return true;
        attempt->is_own = true;
        if (try_runpath(walk, user, attempt))
            return true;
    }
    attempt->is_own = false;
    return try_known(walk->finder, attempt);
}

static bool is_listed(const struct library_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return true;
    return false;
}

static void add(struct library_list *list, const struct attempt *attempt, size_t user)
{
    list->items = memory_grow(list->items, list->count, sizeof(*list->items));
    list->items[list->count++] = (struct library){.name = attempt->name,
                                                  .path = attempt->found->path,
                                                  .device = attempt->found->status.st_dev,
                                                  .inode = attempt->found->status.st_ino,
                                                  .status = &attempt->found->status,
                                                  .image = &attempt->found->image,
                                                  .user = user,
                                                  .is_system = attempt->is_system,
                                                  .is_own = attempt->is_own};
}

static void say_missing(const struct walk *walk, size_t user, const char *name)
{
    if (name[0] != '/' && strchr(name, '/') != NULL)
        complain(walk, BERTH_INVALID_ARGUMENT, false,
                 "needs the library %.500s, a path that depends on the working directory of berthd", name);
    else if (user == LIBRARY_MODULE)
        complain(walk, BERTH_NOT_FOUND, false, "needs the library %.500s, which is not installed", name);
    else
        complain(walk, BERTH_NOT_FOUND, false, "needs the library %.500s for %.500s, which is not installed",
                 name, path_of(walk, user));
}

static void add_named(struct walk *walk, size_t user, const char *name, bool is_optional)
{
    struct attempt attempt = {
        .finder = walk->finder, .name = name, .machine = walk->module->header.e_machine};

    if (is_listed(walk->list, name))
        return;
    if (!search(walk, user, &attempt)) {
        if (!is_optional)
            say_missing(walk, user, name);
        return;
    }
    if (attempt.found->bytes == NULL)
        complain(walk, attempt.found->trust, false,
                 "needs the library %.200s, which is not safe to load: %.1200s", name,
                 attempt.found->objection);
    else
        add(walk->list, &attempt, user);
}

static void add_needed(struct walk *walk, size_t user, int64_t tag, bool is_optional)
{
    uint64_t offset;

    for (size_t i = 0; elf_image_dynamic(image_of(walk, user), tag, i, &offset); i++) {
        const char *name = elf_image_string(image_of(walk, user), offset);

        if (walk->finder->looks > LOOKS_MAX)
            return;
        if (i == NEEDED_MAX || name == NULL || strlen(name) > NAME_MAX_BYTES || strchr(name, '$') != NULL) {
            complain(walk, BERTH_INVALID_ARGUMENT, false, "%s list of libraries is damaged or too long",
                     whose(walk, user));
            return;
        }
        if (walk->list->count == LIBRARIES_MAX) {
            complain(walk, BERTH_INVALID_ARGUMENT, false, "needs more than %d libraries", LIBRARIES_MAX);
            return;
        }
        add_named(walk, user, name, is_optional);
    }
}

static void visit(struct walk *walk, size_t user)
{
    check_soname(walk, user);
    check_search_path(walk, user, DT_RPATH, "RPATH");
    check_search_path(walk, user, DT_RUNPATH, "RUNPATH");
    add_needed(walk, user, DT_NEEDED, false);
    add_needed(walk, user, DT_FILTER, false);
    add_needed(walk, user, DT_AUXILIARY, true);
}

void library_find_all(struct library_finder *finder, const struct elf_image *module, const char *path,
                      void (*on_problem)(void *context, const struct library_problem *problem), void *context,
                      struct library_list *ret_list)
{
    struct walk walk = {.finder = finder,
                        .list = ret_list,
                        .module = module,
                        .path = path,
                        .on_problem = on_problem,
                        .context = context};

    *ret_list = (struct library_list){0};
    finder->looks = 0;
    visit(&walk, LIBRARY_MODULE);
    for (size_t i = 0; i < ret_list->count && finder->looks <= LOOKS_MAX; i++)
        visit(&walk, i);
    if (finder->looks > LOOKS_MAX)
        complain(&walk, BERTH_INVALID_ARGUMENT, false,
                 "its libraries were not found within %d files and folders", LOOKS_MAX);
    finder->looks = 0;
}

bool library_find(struct library_finder *finder, const char *name, unsigned machine,
                  struct library_list *list)
{
    struct attempt attempt = {.finder = finder, .name = name, .machine = machine};

    if (is_listed(list, name))
        return true;
    if (!try_known(finder, &attempt))
        return false;
    add(list, &attempt, LIBRARY_MODULE);
    return true;
}

void library_list_finish(struct library_list *list)
{
    free(list->items);
    *list = (struct library_list){0};
}

/*
 * The loader lists objects in the order in which they were loaded. What was there when somebody first looked
 * is the program's; what comes later comes with modules, and is not what they may collide with.
 */
static size_t host_count;

static int count_loaded(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)info, (void)size, (void)context;
    host_count++;
    return 0;
}

struct visit_loaded {
    struct library_finder *finder;
    size_t visited;
};

static int add_loaded(struct dl_phdr_info *info, size_t size, void *context)
{
    struct visit_loaded *visit = context;
    struct library_finder *finder = visit->finder;
    const char *slash = strrchr(info->dlpi_name, '/');
    struct file *file;

    (void)size;
    if (visit->visited++ == host_count)
        return 1;
    if (slash == NULL || info->dlpi_name[0] != '/')
        return 0;
    file = get_file(finder, info->dlpi_name);
    map(file);
    if (file->bytes == NULL)
        return 0;
    finder->loaded = memory_grow(finder->loaded, finder->loaded_count, sizeof(*finder->loaded));
    finder->loaded[finder->loaded_count++] =
        (struct loaded){.name = strrchr(file->path, '/') + 1, .file = file};
    return 0;
}

struct library_finder *library_finder_create(bool with_environment)
{
    struct library_finder *finder = memory_allocate(1, sizeof(*finder));
    const char *environment = with_environment ? getenv("LD_LIBRARY_PATH") : NULL;

    linker_cache_init(&finder->cache);
    finder->environment = environment != NULL && *environment != '\0' ? environment : NULL;
    if (host_count == 0)
        dl_iterate_phdr(count_loaded, NULL);
    dl_iterate_phdr(add_loaded, &(struct visit_loaded){.finder = finder});
    return finder;
}

void library_finder_trust_all(struct library_finder *finder)
{
    finder->trusts_all = true;
}

void library_finder_destroy(struct library_finder *finder)
{
    if (finder == NULL)
        return;
    tdestroy(finder->files, free_file);
    while (finder->folders != NULL) {
        struct folder *next = finder->folders->next;

        free(finder->folders->path);
        free(finder->folders->objection);
        free(finder->folders);
        finder->folders = next;
    }
    for (size_t i = 0; i < finder->known_count; i++)
        free(finder->known[i].name);
    free(finder->known);
    free(finder->loaded);
    linker_cache_finish(&finder->cache);
    free(finder);
}

/* The file under whose name this process has loaded a library, whatever a module would find; or NULL. */
static const char *find_loaded(const struct library_finder *finder, const char *name, dev_t *ret_device,
                               ino_t *ret_inode)
{
    for (size_t i = 0; i < finder->loaded_count; i++) {
        if (strcmp(finder->loaded[i].name, name) != 0)
            continue;
        *ret_device = finder->loaded[i].file->status.st_dev;
        *ret_inode = finder->loaded[i].file->status.st_ino;
        return finder->loaded[i].file->path;
    }
    return NULL;
}

void library_each_loaded(struct library_finder *finder,
                         void (*on_library)(void *context, const struct library *library), void *context)
{
    for (size_t i = 0; i < finder->loaded_count; i++) {
        const struct file *file = finder->loaded[i].file;
        struct library library = {.name = finder->loaded[i].name,
                                  .path = file->path,
                                  .device = file->status.st_dev,
                                  .inode = file->status.st_ino,
                                  .status = &file->status,
                                  .image = &file->image,
                                  .user = LIBRARY_MODULE};

        on_library(context, &library);
    }
}

/* The first under a name: a library and the module that needs it, or a module by its own soname. */
struct named {
    char *name;
    dev_t device;
    ino_t inode;
    char *path;
    char *module;
};

static int compare_named(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static void free_named(void *node)
{
    struct named *entry = node;

    free(entry->name);
    free(entry->path);
    free(entry->module);
    free(entry);
}

static const struct named *find_named(void *const *tree, const char *name)
{
    const struct named key = {.name = (char *)(uintptr_t)name};
    struct named *const *found = tfind(&key, tree, compare_named);

    return found == NULL ? NULL : *found;
}

static void keep_named(void **tree, const struct library *library, const char *module)
{
    struct named *entry;

    if (find_named(tree, library->name) != NULL)
        return;
    entry = memory_allocate(1, sizeof(*entry));
    *entry = (struct named){.name = memory_copy(library->name),
                            .device = library->device,
                            .inode = library->inode,
                            .path = memory_copy(library->path),
                            .module = memory_copy(module)};
    memory_or_abort(tsearch(entry, tree, compare_named));
}

static bool is_other(const struct named *entry, const struct library *library)
{
    return entry != NULL && (entry->device != library->device || entry->inode != library->inode);
}

static const char advice[] = "change the soname of one of them";

static char *compare_library(struct library_names *names, const struct library_finder *finder,
                             const struct library *library)
{
    const struct named *needed = find_named(&names->needed, library->name);
    const struct named *soname = find_named(&names->sonames, library->name);
    dev_t device = 0;
    ino_t inode = 0;
    const char *loaded = find_loaded(finder, library->name, &device, &inode);

    if (loaded != NULL && (device != library->device || inode != library->inode))
        return memory_format("it links %s, but would get the host's own %s of the same name; %s",
                             library->path, loaded, advice);
    if (is_other(needed, library))
        return memory_format("it links %s, and %s links %s of the same name: whichever module is loaded "
                             "second gets the library of the first; %s",
                             library->path, needed->module, needed->path, advice);
    if (is_other(soname, library))
        return memory_format(
            "it links %s, but the module %s has that name as its soname: it may get the module instead; %s",
            library->path, soname->module, advice);
    return NULL;
}

/* A module whose soname is that of a library others need. */
static char *compare_soname(struct library_names *names, const struct library_finder *finder,
                            const char *soname)
{
    const struct named *needed = find_named(&names->needed, soname);
    dev_t device;
    ino_t inode;
    const char *loaded = find_loaded(finder, soname, &device, &inode);

    if (loaded == NULL && needed == NULL)
        return NULL;
    return memory_format(
        "its soname %.200s is also that of %s: modules that need the library may get this one; %s", soname,
        loaded != NULL ? loaded : needed->path, advice);
}

char *library_names_add(struct library_names *names, const struct library_finder *finder,
                        const struct elf_image *image, const char *module, const struct library_list *list)
{
    uint64_t offset;
    const char *soname =
        elf_image_dynamic(image, DT_SONAME, 0, &offset) ? elf_image_string(image, offset) : NULL;
    const struct library self = {.name = soname, .path = module};
    char *conflict = NULL;

    for (size_t i = 0; i < list->count; i++) {
        if (conflict == NULL)
            conflict = compare_library(names, finder, &list->items[i]);
        keep_named(&names->needed, &list->items[i], module);
    }
    if (soname == NULL)
        return conflict;
    if (conflict == NULL)
        conflict = compare_soname(names, finder, soname);
    keep_named(&names->sonames, &self, module);
    return conflict;
}

void library_names_finish(struct library_names *names)
{
    tdestroy(names->needed, free_named);
    tdestroy(names->sonames, free_named);
    *names = (struct library_names){NULL, NULL};
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the main file and its imports, bounded in depth, number and size. */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format.h"
#include <config/text/text.h>
#include "units.h"

struct loader {
    struct config_diagnostics *diagnostics;
    /* The main file, where it is a stream. */
    const char *stream;
    size_t file_count;
    size_t byte_count;
    bool failed;
};

/* A file being read, and the one that imports it. */
struct origin {
    const struct origin *parent;
    const char *path;
    unsigned depth;
    dev_t device;
    ino_t inode;
};

/* A file to read, and where it is named. */
struct source {
    /* Its name in marks. */
    const char *path;
    /* The text to read instead of a regular file; NULL for one. */
    const char *stream;
    /* NULL for the main file. */
    const struct config_mark *import;
    struct config_diagnostics *diagnostics;
};

static struct config_mark whole_file(const char *path)
{
    return (struct config_mark){.file = path};
}

/* A bad import is reported where it is written. */
BERTH_PRINTF(2, 3)
static bool refuse_file(const struct source *source, const char *format, ...)
{
    struct config_mark mark = whole_file(source->path);
    char why[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    if (source->import == NULL)
        config_diagnostics_add(source->diagnostics, CONFIG_ERROR, &mark, "%s", why);
    else
        config_diagnostics_add(source->diagnostics, CONFIG_ERROR, source->import, "%s: %s", source->path,
                               why);
    return false;
}

static bool check_size(const struct source *source, long long size, size_t most)
{
    char found[CONFIG_UNITS_MAX], bound[CONFIG_UNITS_MAX];

    if (size <= (long long)most)
        return true;
    config_format_bytes(size, found);
    config_format_bytes((int64_t)most, bound);
    return refuse_file(source, "too large: %s, at most %s; split it up with imports", found, bound);
}

static int open_stream(const char *path)
{
    if (strcmp(path, "-") == 0)
        return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

/* Does not block on a FIFO, and reads nothing of a file that is too large. */
static int open_file(const struct source *source, size_t most, struct stat *ret_status)
{
    int fd = source->stream != NULL ? open_stream(source->stream)
                                    : open(source->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool is_fine;

    if (fd < 0) {
        refuse_file(source, "cannot be opened: %s", strerror(errno));
        return -1;
    }
    if (fstat(fd, ret_status) != 0)
        is_fine = refuse_file(source, "cannot be examined: %s", strerror(errno));
    else if (S_ISDIR(ret_status->st_mode))
        is_fine = refuse_file(source, "is a directory");
    else if (!S_ISREG(ret_status->st_mode) && source->stream == NULL)
        is_fine = refuse_file(source, "not a regular file");
    else
        is_fine = check_size(source, (long long)ret_status->st_size, most);
    if (is_fine)
        return fd;
    close(fd);
    return -1;
}

/* A file may grow while being read: stop at the first byte too many. */
static char *read_bytes(int fd, const struct source *source, size_t most, size_t *ret_length)
{
    struct config_text text = {0};
    char chunk[16384];

    for (;;) {
        ssize_t got = read(fd, chunk, sizeof(chunk));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            refuse_file(source, "cannot be read: %s", strerror(errno));
        else if (got > 0)
            config_text_add_bytes(&text, chunk, (size_t)got);
        if (got < 0 || !check_size(source, (long long)text.length, most)) {
            config_text_finish(&text);
            return NULL;
        }
        if (got == 0)
            break;
    }
    *ret_length = text.length;
    return config_text_take(&text);
}

static char *load_bytes(const struct source *source, size_t most, struct stat *ret_status, size_t *ret_length)
{
    int fd = open_file(source, most, ret_status);
    char *bytes;

    if (fd < 0)
        return NULL;
    bytes = read_bytes(fd, source, most, ret_length);
    close(fd);
    return bytes;
}

bool config_load_is_stream(const char *path)
{
    return strcmp(path, "-") == 0 || strcmp(path, "/dev/stdin") == 0 || strncmp(path, "/dev/fd/", 8) == 0 ||
           strncmp(path, "/proc/self/fd/", 14) == 0;
}

/* Its name in messages. */
static const char *name_stream(const char *path)
{
    if (!config_load_is_stream(path))
        return path;
    return path[0] == '-' || path[5] == 's' ? "standard input" : "pipe";
}

char *config_load_bytes(const char *path, size_t most, struct config_diagnostics *diagnostics,
                        size_t *ret_length)
{
    const struct source source = {.path = name_stream(path),
                                  .stream = config_load_is_stream(path) ? path : NULL,
                                  .diagnostics = diagnostics};
    struct stat status;

    return load_bytes(&source, most, &status, ret_length);
}

static struct config_tree *read_tree(const struct source *source, const struct config_limits *limits,
                                     struct stat *ret_status, size_t *ret_length)
{
    char *bytes = load_bytes(source, limits->max_bytes, ret_status, ret_length);
    struct config_tree *tree;

    if (bytes == NULL)
        return NULL;
    tree = config_yaml_read(source->path, bytes, *ret_length, limits, source->diagnostics);
    free(bytes);
    return tree;
}

BERTH_PRINTF(3, 4)
static void fail(struct loader *loader, const struct config_mark *mark, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    config_diagnostics_vadd(loader->diagnostics, CONFIG_ERROR, mark, format, arguments);
    va_end(arguments);
    loader->failed = true;
}

/* "a.yaml -> b.yaml", from the main file on. */
static void add_chain(struct config_text *text, const struct origin *origin)
{
    if (origin->parent != NULL) {
        add_chain(text, origin->parent);
        config_text_add(text, " -> ");
    }
    config_text_add(text, "%s", origin->path);
}

static bool is_cycle(struct loader *loader, const struct origin *origin, const struct config_mark *mark)
{
    for (const struct origin *at = origin->parent; at != NULL; at = at->parent) {
        struct config_text chain = {0};

        if (at->device != origin->device || at->inode != origin->inode)
            continue;
        add_chain(&chain, origin);
        fail(loader, mark, "import cycle: %s", chain.bytes);
        config_text_finish(&chain);
        return true;
    }
    return false;
}

static struct config_tree *load_one(struct loader *loader, const struct origin *parent, const char *path,
                                    const struct config_mark *mark);

/* Relative to the folder of the importing file. In a pattern, wildcards in that folder's name are escaped. */
static char *absolute_name(const char *file, const char *name, bool is_pattern)
{
    const char *slash = strrchr(file, '/');
    struct config_text text = {0};

    for (const char *at = file; name[0] != '/' && slash != NULL && at <= slash; at++) {
        if (is_pattern && strchr("*?[\\", *at) != NULL)
            config_text_add(&text, "\\");
        config_text_add_bytes(&text, at, 1);
    }
    config_text_add(&text, "%s", name);
    return config_text_take(&text);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void import_file(struct loader *loader, const struct origin *origin, const struct config_node *import,
                        struct config_tree *tree, const char *path)
{
    struct config_tree *over = load_one(loader, origin, path, &import->mark);

    if (over != NULL)
        config_tree_merge(tree, over);
}

/* glob(3) hands its error function no context. */
static _Thread_local struct {
    char folder[512];
    int error;
} unreadable;

/* A missing folder has no match; an unreadable one may have some. */
static int on_unreadable_folder(const char *folder, int error)
{
    if (error == ENOENT)
        return 0;
    snprintf(unreadable.folder, sizeof(unreadable.folder), "%s", folder);
    unreadable.error = error;
    return 1;
}

static void import_pattern(struct loader *loader, const struct origin *origin,
                           const struct config_node *import, struct config_tree *tree)
{
    char *pattern = absolute_name(origin->path, import->text, true);
    glob_t found;
    int code = glob(pattern, GLOB_NOSORT, on_unreadable_folder, &found);

    if (code == 0) {
        qsort(found.gl_pathv, found.gl_pathc, sizeof(char *), compare_paths);
        for (size_t i = 0; i < found.gl_pathc; i++)
            import_file(loader, origin, import, tree, found.gl_pathv[i]);
    } else if (code == GLOB_ABORTED) {
        fail(loader, &import->mark, "%s: directory %s cannot be read: %s", import->text, unreadable.folder,
             strerror(unreadable.error));
    } else if (code != GLOB_NOMATCH) {
        fail(loader, &import->mark, "%s: out of memory", import->text);
    }
    globfree(&found);
    free(pattern);
}

static void import_entry(struct loader *loader, const struct origin *origin, const struct config_node *import,
                         struct config_tree *tree)
{
    struct berth_error err;
    char *path;

    if (import->kind != CONFIG_SCALAR || import->length == 0) {
        fail(loader, &import->mark, "expected a file name or a pattern such as conf.d/*.yaml");
        return;
    }
    if (!config_format_check_path(import->text, &err)) {
        fail(loader, &import->mark, "imports: %s", err.message);
        return;
    }
    if (strpbrk(import->text, "*?[") != NULL) {
        import_pattern(loader, origin, import, tree);
        return;
    }
    path = absolute_name(origin->path, import->text, false);
    import_file(loader, origin, import, tree, path);
    free(path);
}

static void import_all(struct loader *loader, const struct origin *origin, struct config_tree *tree)
{
    const struct config_node *imports = config_node_find(config_tree_root(tree), "imports");

    if (imports == NULL || config_node_is_empty(imports))
        return;
    if (imports->kind != CONFIG_LIST) {
        fail(loader, &imports->mark, "imports: expected a list of patterns, such as [conf.d/*.yaml]");
        return;
    }
    if (origin->depth >= CONFIG_LOAD_MAX_DEPTH && imports->count > 0) {
        fail(loader, &imports->mark, "imports nested deeper than %d levels (via %s)", CONFIG_LOAD_MAX_DEPTH,
             origin->path);
        return;
    }
    for (size_t i = 0; i < imports->count; i++)
        import_entry(loader, origin, imports->items[i], tree);
}

static bool root_is_map(struct loader *loader, struct config_tree *tree)
{
    struct config_node *root = config_tree_root(tree);

    if (root != NULL && config_node_is_empty(root))
        config_tree_set_root(tree, NULL);
    else if (root != NULL && root->kind != CONFIG_MAP) {
        if (config_node_lacks_space(root))
            fail(loader, &root->mark, "missing space after the colon in \"%.60s\"", root->text);
        else
            fail(loader, &root->mark, "expected a map of settings, such as version: 1");
        return false;
    }
    return true;
}

static bool is_within_bounds(struct loader *loader, size_t length, const struct config_mark *mark)
{
    loader->file_count++;
    loader->byte_count += length;
    if (loader->file_count <= CONFIG_LOAD_MAX_FILES && loader->byte_count <= CONFIG_LOAD_MAX_BYTES)
        return true;
    if (!loader->failed)
        fail(loader, mark,
             "the files of this configuration are too many or too large: at most %d files with %d bytes in "
             "all",
             CONFIG_LOAD_MAX_FILES, CONFIG_LOAD_MAX_BYTES);
    return false;
}

static struct config_tree *load_one(struct loader *loader, const struct origin *parent, const char *path,
                                    const struct config_mark *mark)
{
    struct origin origin = {.parent = parent, .path = path, .depth = parent == NULL ? 0 : parent->depth + 1};
    const struct source source = {
        .path = path,
        .stream = parent == NULL ? loader->stream : NULL,
        .import = parent == NULL ? NULL : mark,
        .diagnostics = loader->diagnostics,
    };
    struct config_tree *tree;
    struct stat status;
    size_t length = 0;

    if (loader->file_count > CONFIG_LOAD_MAX_FILES || loader->byte_count > CONFIG_LOAD_MAX_BYTES)
        return NULL;
    tree = read_tree(&source, &config_limits_file, &status, &length);
    if (tree == NULL) {
        loader->failed = true;
        return NULL;
    }
    config_tree_add_file(tree, path);
    origin.device = status.st_dev;
    origin.inode = status.st_ino;
    if (is_cycle(loader, &origin, mark) || !is_within_bounds(loader, length, mark) ||
        !root_is_map(loader, tree)) {
        config_tree_destroy(tree);
        return NULL;
    }
    import_all(loader, &origin, tree);
    if (parent != NULL && config_tree_root(tree) != NULL)
        config_node_take(config_tree_root(tree), "imports");
    return tree;
}

struct config_tree *config_load(const char *path, bool missing_is_fine,
                                struct config_diagnostics *diagnostics, bool *ret_is_complete)
{
    bool is_stream = config_load_is_stream(path);
    struct loader loader = {
        .diagnostics = diagnostics,
        .stream = is_stream ? path : NULL,
    };
    /* Without a slash: its folder is the working directory. */
    const char *name = name_stream(path);
    struct config_mark mark = whole_file(name);
    struct config_tree *tree;

    *ret_is_complete = true;
    if (missing_is_fine && access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return config_tree_create();
    tree = load_one(&loader, NULL, name, &mark);
    *ret_is_complete = !loader.failed;
    return tree;
}

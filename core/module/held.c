/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps rollbacks for later starts of the daemon. */
#include "held.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <config/text/text.h>
#include <sdk/base/error_code.h>
#include <sdk/base/memory.h>
#include <sdk/base/text_file.h>
#include <sdk/base/write_all.h>

#include "content.h"

#define FOLDER_NAME "rollbacks"
#define INDEX_NAME "index"
#define INDEX_BYTES_MAX ((size_t)1 << 20)
#define SIGNATURE_BYTES_MAX ((size_t)64 << 10)
#define FIRST_LINE "berth rollbacks 1"
#define NOTHING "-"
#define FIELDS 7

static enum berth_code fail(const char *path, const char *doing, struct berth_error *err)
{
    return berth_error_set(err, berth_code_of_errno(errno, BERTH_UNAVAILABLE), "%s: cannot %s: %s", path,
                           doing, strerror(errno));
}

static char *folder_in(const char *root)
{
    return memory_format("%s/" FOLDER_NAME, root);
}

static bool is_hash(const char *text)
{
    return strlen(text) == BERTH_SHA256_TEXT - 1 && strspn(text, "0123456789abcdef") == strlen(text);
}

/* Takes the fields apart, in place. @return are there just as many as a line has? */
static bool split(char *line, char *ret_fields[FIELDS])
{
    for (size_t i = 0; i < FIELDS; i++) {
        char *tab = strchr(line, '\t');

        ret_fields[i] = line;
        if ((tab == NULL) != (i + 1 == FIELDS) || *line == '\0')
            return false;
        if (tab != NULL) {
            *tab = '\0';
            line = tab + 1;
        }
    }
    return true;
}

static char *copy_field(const char *field)
{
    return strcmp(field, NOTHING) == 0 ? NULL : memory_copy(field);
}

static bool copy_hash(const char *field, char ret_hash[BERTH_SHA256_TEXT])
{
    bool is_none = strcmp(field, NOTHING) == 0;

    memset(ret_hash, 0, BERTH_SHA256_TEXT);
    if (!is_none && is_hash(field))
        memcpy(ret_hash, field, BERTH_SHA256_TEXT);
    return is_none || is_hash(field);
}

static void finish_item(struct held_item *item)
{
    if (item->fd >= 0)
        close(item->fd);
    free(item->path);
    free(item->name);
    free(item->instead);
    free(item->held_version);
    free(item->signature);
}

static bool read_line(struct held_item *item, char *line, char ret_signature[BERTH_SHA256_TEXT])
{
    char *fields[FIELDS];

    *item = (struct held_item){.fd = -1};
    if (!split(line, fields) || !copy_hash(fields[0], item->content) || !copy_hash(fields[1], item->held) ||
        !copy_hash(fields[2], ret_signature) || fields[6][0] != '/')
        return false;
    item->held_version = copy_field(fields[3]);
    item->name = memory_copy(fields[4]);
    item->instead = copy_field(fields[5]);
    item->path = memory_copy(fields[6]);
    return true;
}

/* Has the path what was held back? It may have been copied or touched. */
static bool is_still_held(const struct held_item *item)
{
    char sha256[BERTH_SHA256_TEXT];
    int fd = content_open(item->path);
    bool is_same;

    if (fd < 0)
        return errno == ENOENT && item->held[0] == '\0';
    is_same = item->held[0] != '\0' && content_hash(fd, sha256) && strcmp(sha256, item->held) == 0;
    close(fd);
    return is_same;
}

/* What is there must be what was stored. */
static enum berth_code open_content(const char *folder, struct held_item *item, const char *signature,
                                    struct berth_error *err)
{
    char *path = memory_format("%s/%s", folder, item->content), sha256[BERTH_SHA256_TEXT];
    enum berth_code code = BERTH_OK;
    size_t length;

    item->fd = content_open(path);
    if (item->fd < 0 || fstat(item->fd, &item->opened) != 0)
        code = fail(path, "open it", err);
    else if (!content_hash(item->fd, sha256) || strcmp(sha256, item->content) != 0)
        code = berth_error_set(err, BERTH_DATA_LOSS, "%s: its content is not what was stored", path);
    free(path);
    if (code != BERTH_OK || signature[0] == '\0')
        return code;
    path = memory_format("%s/%s", folder, signature);
    code = text_file_read(path, SIGNATURE_BYTES_MAX, &item->signature, &length, err);
    free(path);
    return code;
}

static enum berth_code add_line(struct held_files *kept, const char *folder, char *line,
                                struct berth_error *err)
{
    char signature[BERTH_SHA256_TEXT] = "";
    struct held_item item;
    enum berth_code code = BERTH_OK;

    if (!read_line(&item, line, signature)) {
        finish_item(&item);
        return berth_error_set(err, BERTH_DATA_LOSS, "%s/" INDEX_NAME ": it has a line that cannot be read",
                               folder);
    }
    if (item.content[0] != '\0')
        code = open_content(folder, &item, signature, err);
    if (code != BERTH_OK || !is_still_held(&item)) {
        finish_item(&item);
        return code;
    }
    kept->items = memory_grow(kept->items, kept->count, sizeof(*kept->items));
    kept->items[kept->count++] = item;
    return BERTH_OK;
}

static const struct held_item *find_item(const struct held_files *kept, const char *path)
{
    for (size_t i = 0; i < kept->count; i++)
        if (strcmp(kept->items[i].path, path) == 0)
            return &kept->items[i];
    return NULL;
}

static void remove_at(struct held_files *kept, size_t index)
{
    finish_item(&kept->items[index]);
    kept->count--;
    memmove(&kept->items[index], &kept->items[index + 1], (kept->count - index) * sizeof(*kept->items));
}

/* What is used in a file's place is no longer, if a new file has come in the other place. */
static void drop_without_partner(struct held_files *kept)
{
    for (size_t i = kept->count; i-- > 0;)
        if (kept->items[i].content[0] != '\0' && kept->items[i].instead != NULL &&
            find_item(kept, kept->items[i].instead) == NULL)
            remove_at(kept, i);
}

static enum berth_code read_lines(struct held_files *kept, const char *folder, char *text,
                                  struct berth_error *err)
{
    enum berth_code code = BERTH_OK;
    char *rest = text, *line = strsep(&rest, "\n");

    if (strcmp(line, FIRST_LINE) != 0)
        return berth_error_set(err, BERTH_DATA_LOSS,
                               "%s/" INDEX_NAME ": it does not begin with \"" FIRST_LINE "\"", folder);
    while (code == BERTH_OK && (line = strsep(&rest, "\n")) != NULL)
        if (*line != '\0')
            code = add_line(kept, folder, line, err);
    drop_without_partner(kept);
    return code;
}

enum berth_code held_read(const char *root, struct held_files *ret_kept, struct berth_error *err)
{
    char *folder = folder_in(root), *path = memory_format("%s/" INDEX_NAME, folder), *text = NULL;
    enum berth_code code = BERTH_OK;
    size_t length;

    *ret_kept = (struct held_files){0};
    if (access(path, F_OK) == 0 || errno != ENOENT)
        code = text_file_read(path, INDEX_BYTES_MAX, &text, &length, err);
    if (code == BERTH_OK && text != NULL) {
        ret_kept->text = memory_copy(text);
        code = read_lines(ret_kept, folder, text, err);
    }
    free(text);
    free(path);
    free(folder);
    return code;
}

struct scan_pin *held_pins(const struct held_files *kept)
{
    struct scan_pin *pins = memory_allocate(kept->count, sizeof(*pins));

    for (size_t i = 0; i < kept->count; i++)
        pins[i] = (struct scan_pin){
            .path = kept->items[i].path,
            .fd = kept->items[i].fd,
            .opened = kept->items[i].opened,
            .status = kept->items[i].opened,
            .held_back = kept->items[i].held_version,
            .instead = kept->items[i].instead,
            .signature = kept->items[i].signature,
        };
    return pins;
}

void held_drop(struct held_files *kept, const char *path)
{
    /* It may be one of theirs. */
    char *own = memory_copy(path);

    for (size_t i = kept->count; i-- > 0;)
        if (strcmp(kept->items[i].path, own) == 0 ||
            (kept->items[i].instead != NULL && strcmp(kept->items[i].instead, own) == 0))
            remove_at(kept, i);
    free(own);
}

void held_finish(struct held_files *kept)
{
    for (size_t i = 0; i < kept->count; i++)
        finish_item(&kept->items[i]);
    free(kept->items);
    free(kept->text);
    *kept = (struct held_files){0};
}

/* Writing */

static enum berth_code make_folder(const char *folder, struct berth_error *err)
{
    struct stat status;

    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return fail(folder, "create it", err);
    if (lstat(folder, &status) != 0)
        return fail(folder, "access it", err);
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 0022) != 0)
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%s: must be a directory of user %u with mode 0700; move it away", folder,
                               (unsigned)geteuid());
    return BERTH_OK;
}

/* Under a name that the index does not have yet, then under its own. */
static enum berth_code store_bytes(const char *folder, const char *name, const void *bytes, size_t length,
                                   struct berth_error *err)
{
    char *path = memory_format("%s/%s", folder, name), *next = memory_format("%s.new", path);
    enum berth_code code = BERTH_OK;
    int fd;

    unlink(next);
    fd = open(next, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        code = fail(next, "create it", err);
    else if (!berth_write_all(fd, bytes, length) || fsync(fd) != 0)
        code = fail(next, "write it", err);
    if (fd >= 0 && close(fd) != 0 && code == BERTH_OK)
        code = fail(next, "write it", err);
    if (code == BERTH_OK && rename(next, path) != 0)
        code = fail(next, "rename it", err);
    if (code != BERTH_OK)
        unlink(next);
    free(next);
    free(path);
    return code;
}

enum berth_code held_store(const char *root, int fd, char ret_content[BERTH_SHA256_TEXT],
                           struct berth_error *err)
{
    char *folder = folder_in(root);
    size_t length;
    void *bytes = content_read(fd, &length);
    enum berth_code code = bytes != NULL
                               ? make_folder(folder, err)
                               : berth_error_set(err, BERTH_UNAVAILABLE,
                                                 "%s: cannot store the module: it cannot be read", folder);

    if (code == BERTH_OK)
        code = berth_sha256(bytes, length, ret_content, err);
    if (code == BERTH_OK)
        code = store_bytes(folder, ret_content, bytes, length, err);
    free(bytes);
    free(folder);
    return code;
}

static const char *or_nothing(const char *text)
{
    return text == NULL || *text == '\0' ? NOTHING : text;
}

static bool hash_signature(const struct held_item *item, char ret_sha256[BERTH_SHA256_TEXT])
{
    struct berth_error err;

    ret_sha256[0] = '\0';
    return item->signature == NULL ||
           berth_sha256(item->signature, strlen(item->signature), ret_sha256, &err) == BERTH_OK;
}

char *held_format(const struct held_files *kept)
{
    struct config_text text = {0};
    char *copy;

    if (kept->count == 0)
        return NULL;
    config_text_add(&text, FIRST_LINE "\n");
    for (size_t i = 0; i < kept->count; i++) {
        const struct held_item *item = &kept->items[i];
        char signature[BERTH_SHA256_TEXT];

        hash_signature(item, signature);
        config_text_add(&text, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", or_nothing(item->content),
                        or_nothing(item->held), or_nothing(signature), or_nothing(item->held_version),
                        item->name, or_nothing(item->instead), item->path);
    }
    copy = memory_copy(text.bytes);
    config_text_finish(&text);
    return copy;
}

static enum berth_code store_signatures(const char *folder, const struct held_files *kept,
                                        struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < kept->count && code == BERTH_OK; i++) {
        const struct held_item *item = &kept->items[i];
        char name[BERTH_SHA256_TEXT];

        if (item->signature == NULL)
            continue;
        code = hash_signature(item, name)
                   ? store_bytes(folder, name, item->signature, strlen(item->signature), err)
                   : berth_error_set(err, BERTH_UNAVAILABLE, "%s: cannot hash a signature", folder);
    }
    return code;
}

/* A line has no place for these. */
static bool is_writable(const struct held_item *item)
{
    return strpbrk(item->path, "\t\n") == NULL &&
           (item->instead == NULL || strpbrk(item->instead, "\t\n") == NULL);
}

static bool is_named(const struct held_files *kept, const char *name)
{
    for (size_t i = 0; i < kept->count; i++) {
        char signature[BERTH_SHA256_TEXT];

        if (strcmp(kept->items[i].content, name) == 0 ||
            (hash_signature(&kept->items[i], signature) && strcmp(signature, name) == 0))
            return true;
    }
    return strcmp(name, INDEX_NAME) == 0 && kept->count > 0;
}

/* What is open stays until it is closed. */
static void tidy(const char *folder, const struct held_files *kept)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;

    while (directory != NULL && (entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.' && !is_named(kept, entry->d_name))
            unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory != NULL)
        closedir(directory);
    rmdir(folder);
}

enum berth_code held_write(const char *root, const struct held_files *kept, struct berth_error *err)
{
    char *folder = folder_in(root), *path = memory_format("%s/" INDEX_NAME, folder);
    char *text = held_format(kept);
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < kept->count && code == BERTH_OK; i++)
        if (!is_writable(&kept->items[i]))
            code = berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "%s: a path with a tab or a line feed cannot be kept", folder);
    if (code == BERTH_OK && text != NULL) {
        code = make_folder(folder, err);
        if (code == BERTH_OK)
            code = store_signatures(folder, kept, err);
        if (code == BERTH_OK)
            code = text_file_keep(path, text, NULL, err);
    } else if (code == BERTH_OK && unlink(path) != 0 && errno != ENOENT) {
        code = fail(path, "remove it", err);
    }
    if (code == BERTH_OK)
        tidy(folder, kept);
    free(text);
    free(path);
    free(folder);
    return code;
}

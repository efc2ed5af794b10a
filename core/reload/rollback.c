/* SPDX-License-Identifier: Apache-2.0 */
/* Remembers what ran before the last upgrade of each module, and which files are held back. */
#include "rollback.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <core/elf/elf.h>
#include <sdk/base/memory.h>

/* What is found at a path, mapped. */
struct content {
    struct stat status;
    void *bytes;
};

static bool content_map(struct content *content, int fd)
{
    if (fstat(fd, &content->status) != 0 || !S_ISREG(content->status.st_mode) ||
        content->status.st_size == 0 || (size_t)content->status.st_size > SCAN_COPY_MAX)
        return false;
    content->bytes = mmap(NULL, (size_t)content->status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    return content->bytes != MAP_FAILED;
}

static void content_unmap(struct content *content)
{
    munmap(content->bytes, (size_t)content->status.st_size);
}

static bool hash_descriptor(int fd, char ret_sha256[BERTH_SHA256_TEXT])
{
    struct content content;
    struct berth_error err;
    bool is_hashed;

    if (!content_map(&content, fd))
        return false;
    is_hashed = berth_sha256(content.bytes, (size_t)content.status.st_size, ret_sha256, &err) == BERTH_OK;
    content_unmap(&content);
    return is_hashed;
}

static int open_path(const char *path)
{
    return open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* What a module says its version is, malloced, whether or not it may run; NULL: that cannot be told. */
static char *read_version(const char *path, int fd)
{
    struct config_diagnostics diagnostics = {.forgives_unknown = true};
    struct manifest *manifest = NULL;
    struct content content;
    struct berth_error err;
    size_t length;
    char *text, *version;

    if (!content_map(&content, fd))
        return NULL;
    if (note_find(content.bytes, (size_t)content.status.st_size, path, &text, &length, &err) == BERTH_OK) {
        manifest = manifest_parse(path, text, length, &diagnostics);
        free(text);
    }
    content_unmap(&content);
    version = manifest != NULL ? memory_copy(manifest->version) : NULL;
    manifest_destroy(manifest);
    config_diagnostics_finish(&diagnostics);
    return version;
}

/* What is there when a rollback begins. @return has it the content that is gone back to? */
static bool look_at_file(struct rollback_pin *pin)
{
    char wanted[BERTH_SHA256_TEXT];
    int fd = open_path(pin->original->path);
    bool is_wanted;

    pin->had_file = lstat(pin->original->path, &pin->held_back) == 0;
    if (fd < 0)
        return false;
    if (!hash_descriptor(fd, pin->sha256))
        pin->sha256[0] = '\0';
    is_wanted = pin->sha256[0] != '\0' && hash_descriptor(pin->original->fd, wanted) &&
                strcmp(wanted, pin->sha256) == 0;
    pin->version = read_version(pin->original->path, fd);
    close(fd);
    return is_wanted;
}

/* A file that was copied or touched is still the same. */
static bool is_same_file(struct rollback_pin *pin)
{
    char sha256[BERTH_SHA256_TEXT];
    struct stat status;
    bool is_there = lstat(pin->original->path, &status) == 0, is_same = false;
    int fd;

    if (!is_there || !pin->had_file)
        return is_there == pin->had_file;
    if (verify_is_same_content(&pin->held_back, &status))
        return true;
    fd = pin->sha256[0] != '\0' ? open_path(pin->original->path) : -1;
    if (fd < 0)
        return false;
    is_same = hash_descriptor(fd, sha256) && strcmp(sha256, pin->sha256) == 0;
    close(fd);
    if (is_same)
        pin->held_back = status;
    return is_same;
}

static struct rollback_pin pin_copy(const struct rollback_pin *pin)
{
    struct rollback_pin copy = *pin;

    original_hold(copy.original);
    copy.version = pin->version != NULL ? memory_copy(pin->version) : NULL;
    return copy;
}

static void pin_finish(struct rollback_pin *pin)
{
    original_drop(pin->original);
    free(pin->version);
}

static struct rollback_pin *add(struct rollback_pins *pins, struct rollback_pin pin)
{
    pins->items = memory_grow(pins->items, pins->count, sizeof(*pins->items));
    pins->items[pins->count] = pin;
    return &pins->items[pins->count++];
}

struct rollback_pins rollback_pins_copy(const struct rollback *rollback)
{
    struct rollback_pins copy = {0};

    for (size_t i = 0; i < rollback->pins.count; i++)
        if (is_same_file(&rollback->pins.items[i]))
            add(&copy, pin_copy(&rollback->pins.items[i]));
    return copy;
}

void rollback_pins_remove(struct rollback_pins *pins, const char *path)
{
    size_t i = 0;

    while (i < pins->count && strcmp(pins->items[i].original->path, path) != 0)
        i++;
    if (i == pins->count)
        return;
    /* The path may be its own. */
    pin_finish(&pins->items[i]);
    pins->count--;
    memmove(&pins->items[i], &pins->items[i + 1], (pins->count - i) * sizeof(*pins->items));
}

void rollback_pins_finish(struct rollback_pins *pins)
{
    for (size_t i = 0; i < pins->count; i++)
        pin_finish(&pins->items[i]);
    free(pins->items);
    *pins = (struct rollback_pins){0};
}

struct scan_pin *rollback_pins_for_scan(const struct rollback_pins *pins)
{
    struct scan_pin *items = memory_allocate(pins->count, sizeof(*items));

    for (size_t i = 0; i < pins->count; i++)
        items[i] = (struct scan_pin){
            .path = pins->items[i].original->path,
            .fd = pins->items[i].original->fd,
            .opened = pins->items[i].original->opened,
            .status = pins->items[i].original->status,
            .held_back = pins->items[i].version,
            .signature = pins->items[i].original->signature,
        };
    return items;
}

static struct original *find_earlier(const struct rollback *rollback, const char *path)
{
    for (size_t i = 0; i < rollback->earlier_count; i++)
        if (strcmp(rollback->earlier[i]->path, path) == 0)
            return rollback->earlier[i];
    return NULL;
}

enum berth_code rollback_pins_add(struct rollback_pins *pins, const struct rollback *rollback,
                                  const char *path, struct berth_error *err)
{
    struct original *earlier = find_earlier(rollback, path);
    struct rollback_pin pin = {.original = earlier};

    if (earlier == NULL)
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "%s: its module has not been upgraded since berthd started, so there is no earlier version "
            "to go back to; install the version you want and run `berthctl plugins upgrade`",
            path);
    if (earlier->fd < 0)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: %s was not kept, because too many modules are loaded or its file had "
                               "changed; install it and run `berthctl plugins upgrade`",
                               path, earlier->name);
    if (!original_is_intact(earlier))
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "%s: the file of %s was overwritten in place, so nothing is left of it; install "
            "it and run `berthctl plugins upgrade`. Install files by renaming them into place",
            path, earlier->name);
    rollback_pins_remove(pins, path);
    if (look_at_file(&pin)) {
        free(pin.version);
        return BERTH_OK;
    }
    original_hold(earlier);
    add(pins, pin);
    return BERTH_OK;
}

void rollback_note(struct rollback *rollback, struct original *before)
{
    for (size_t i = 0; i < rollback->earlier_count; i++) {
        if (strcmp(rollback->earlier[i]->path, before->path) != 0)
            continue;
        original_hold(before);
        original_drop(rollback->earlier[i]);
        rollback->earlier[i] = before;
        return;
    }
    rollback->earlier = memory_grow(rollback->earlier, rollback->earlier_count, sizeof(*rollback->earlier));
    rollback->earlier[rollback->earlier_count++] = original_hold(before);
}

void rollback_review(struct rollback *rollback)
{
    struct rollback_pins valid = rollback_pins_copy(rollback);

    rollback_adopt(rollback, &valid);
}

void rollback_adopt(struct rollback *rollback, struct rollback_pins *pins)
{
    rollback_pins_finish(&rollback->pins);
    rollback->pins = *pins;
    *pins = (struct rollback_pins){0};
}

void rollback_finish(struct rollback *rollback)
{
    rollback_pins_finish(&rollback->pins);
    for (size_t i = 0; i < rollback->earlier_count; i++)
        original_drop(rollback->earlier[i]);
    free(rollback->earlier);
    *rollback = (struct rollback){0};
}

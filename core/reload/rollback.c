/* SPDX-License-Identifier: Apache-2.0 */
/* Remembers what ran before the last upgrade of each module, and which files are held back. */
#include "rollback.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <core/module/content.h>
#include <sdk/base/memory.h>

static char *copy_text(const char *text)
{
    return text != NULL ? memory_copy(text) : NULL;
}

/* What is there when a rollback begins. */
static struct rollback_pin look_at_file(const char *path)
{
    struct rollback_pin pin = {.path = memory_copy(path)};
    int fd = content_open(path);

    pin.had_file = lstat(path, &pin.held_back) == 0;
    if (fd < 0)
        return pin;
    if (!content_hash(fd, pin.sha256))
        pin.sha256[0] = '\0';
    pin.version = content_version(fd, path);
    close(fd);
    return pin;
}

static bool has_content_of(const struct rollback_pin *pin, const struct original *original)
{
    char wanted[BERTH_SHA256_TEXT];

    return pin->sha256[0] != '\0' && content_hash(original->fd, wanted) && strcmp(wanted, pin->sha256) == 0;
}

/* A file that was copied or touched is still the same. */
static bool is_same_file(struct rollback_pin *pin)
{
    char sha256[BERTH_SHA256_TEXT];
    struct stat status;
    bool is_there = lstat(pin->path, &status) == 0, is_same = false;
    int fd;

    if (!is_there || !pin->had_file)
        return is_there == pin->had_file;
    if (verify_is_same_content(&pin->held_back, &status))
        return true;
    fd = pin->sha256[0] != '\0' ? content_open(pin->path) : -1;
    if (fd < 0)
        return false;
    is_same = content_hash(fd, sha256) && strcmp(sha256, pin->sha256) == 0;
    close(fd);
    if (is_same)
        pin->held_back = status;
    return is_same;
}

static struct rollback_pin pin_copy(const struct rollback_pin *pin)
{
    struct rollback_pin copy = *pin;

    if (copy.original != NULL)
        original_hold(copy.original);
    copy.path = memory_copy(pin->path);
    copy.instead = copy_text(pin->instead);
    copy.version = copy_text(pin->version);
    return copy;
}

static void pin_finish(struct rollback_pin *pin)
{
    original_drop(pin->original);
    free(pin->path);
    free(pin->instead);
    free(pin->version);
}

static struct rollback_pin *add(struct rollback_pins *pins, struct rollback_pin pin)
{
    pins->items = memory_grow(pins->items, pins->count, sizeof(*pins->items));
    pins->items[pins->count] = pin;
    return &pins->items[pins->count++];
}

static void remove_at(struct rollback_pins *pins, size_t index)
{
    pin_finish(&pins->items[index]);
    pins->count--;
    memmove(&pins->items[index], &pins->items[index + 1], (pins->count - index) * sizeof(*pins->items));
}

const struct rollback_pin *rollback_pins_find(const struct rollback_pins *pins, const char *path)
{
    for (size_t i = 0; i < pins->count; i++)
        if (strcmp(pins->items[i].path, path) == 0)
            return &pins->items[i];
    return NULL;
}

static bool concerns(const struct rollback_pin *pin, const char *path)
{
    return strcmp(pin->path, path) == 0 || (pin->instead != NULL && strcmp(pin->instead, path) == 0);
}

bool rollback_pins_hold(const struct rollback_pins *pins, const char *path)
{
    for (size_t i = 0; i < pins->count; i++)
        if (concerns(&pins->items[i], path))
            return true;
    return false;
}

struct rollback_pins rollback_pins_copy(const struct rollback *rollback)
{
    struct rollback_pins copy = {0};

    for (size_t i = 0; i < rollback->pins.count; i++)
        if (is_same_file(&rollback->pins.items[i]))
            add(&copy, pin_copy(&rollback->pins.items[i]));
    /* What is used in a file's place is no longer, if a new file has come in the other place. */
    for (size_t i = copy.count; i-- > 0;)
        if (copy.items[i].original != NULL && copy.items[i].instead != NULL &&
            rollback_pins_find(&copy, copy.items[i].instead) == NULL)
            remove_at(&copy, i);
    return copy;
}

void rollback_pins_remove(struct rollback_pins *pins, const char *path)
{
    /* It may be one of theirs. */
    char *own = memory_copy(path);

    for (size_t i = pins->count; i-- > 0;)
        if (concerns(&pins->items[i], own))
            remove_at(pins, i);
    free(own);
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

    for (size_t i = 0; i < pins->count; i++) {
        const struct rollback_pin *pin = &pins->items[i];
        const struct original *original = pin->original;

        items[i] = (struct scan_pin){.path = pin->path, .fd = -1, .instead = pin->instead};
        if (original == NULL)
            continue;
        items[i].fd = original->fd;
        items[i].opened = original->opened;
        items[i].status = original->status;
        items[i].held_back = pin->version;
        items[i].signature = original->signature;
    }
    return items;
}

static struct original *find_earlier(const struct rollback *rollback, const char *path)
{
    for (size_t i = 0; i < rollback->earlier_count; i++)
        if (strcmp(rollback->earlier[i].path, path) == 0)
            return rollback->earlier[i].original;
    return NULL;
}

static enum berth_code check_earlier(const struct original *earlier, const char *path,
                                     struct berth_error *err)
{
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
    return BERTH_OK;
}

enum berth_code rollback_pins_add(struct rollback_pins *pins, const struct rollback *rollback,
                                  const char *path, const char **ret_path, struct berth_error *err)
{
    struct original *earlier = find_earlier(rollback, path);
    enum berth_code code = check_earlier(earlier, path, err);
    struct rollback_pin there, other = {0};

    if (code != BERTH_OK)
        return code;
    *ret_path = earlier->path;
    rollback_pins_remove(pins, path);
    rollback_pins_remove(pins, earlier->path);
    there = look_at_file(earlier->path);
    if (strcmp(path, earlier->path) != 0)
        other = look_at_file(path);
    if (other.had_file)
        other.instead = memory_copy(earlier->path);
    if (has_content_of(&there, earlier)) {
        pin_finish(&there);
    } else {
        if (other.had_file && !there.had_file) {
            free(there.version);
            there.version = copy_text(other.version);
        }
        there.instead = other.had_file ? memory_copy(path) : NULL;
        there.original = original_hold(earlier);
        add(pins, there);
    }
    if (other.had_file)
        add(pins, other);
    else
        pin_finish(&other);
    return BERTH_OK;
}

void rollback_note(struct rollback *rollback, struct original *before, const char *path)
{
    struct rollback_earlier *earlier = NULL;

    for (size_t i = 0; i < rollback->earlier_count && earlier == NULL; i++)
        if (strcmp(rollback->earlier[i].path, path) == 0)
            earlier = &rollback->earlier[i];
    original_hold(before);
    if (earlier != NULL) {
        original_drop(earlier->original);
        earlier->original = before;
        return;
    }
    rollback->earlier = memory_grow(rollback->earlier, rollback->earlier_count, sizeof(*rollback->earlier));
    rollback->earlier[rollback->earlier_count++] = (struct rollback_earlier){before, memory_copy(path)};
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

/* Later starts */

void rollback_restore(struct rollback *rollback, const struct held_files *kept, struct originals *originals)
{
    for (size_t i = 0; i < kept->count; i++) {
        const struct held_item *item = &kept->items[i];
        struct rollback_pin pin = {
            .path = memory_copy(item->path),
            .instead = copy_text(item->instead),
            .version = copy_text(item->held_version),
            .is_kept = true,
        };

        pin.had_file = lstat(item->path, &pin.held_back) == 0;
        memcpy(pin.sha256, item->held, sizeof(pin.sha256));
        memcpy(pin.content, item->content, sizeof(pin.content));
        if (item->fd >= 0)
            pin.original = originals_restore(originals, item->path, item->name, item->signature, item->fd,
                                             &item->opened);
        add(&rollback->pins, pin);
    }
    rollback->kept = copy_text(kept->text);
}

static bool is_one_of(const struct berth_strings *paths, const char *path)
{
    for (size_t i = 0; path != NULL && i < paths->count; i++)
        if (strcmp(paths->items[i], path) == 0)
            return true;
    return false;
}

enum berth_code rollback_pins_keep(struct rollback_pins *pins, const char *root,
                                   const struct berth_strings *paths, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < pins->count && code == BERTH_OK; i++) {
        struct rollback_pin *pin = &pins->items[i];

        if (pin->is_kept || !(is_one_of(paths, pin->path) || is_one_of(paths, pin->instead)))
            continue;
        if (pin->original != NULL)
            code = held_store(root, pin->original->fd, pin->content, err);
        pin->is_kept = code == BERTH_OK;
    }
    return code;
}

/* Borrows from the pins. */
static struct held_files list_kept(const struct rollback_pins *pins)
{
    struct held_files kept = {.items = memory_allocate(pins->count, sizeof(*kept.items))};

    for (size_t i = 0; i < pins->count; i++) {
        const struct rollback_pin *pin = &pins->items[i];
        struct held_item *item = &kept.items[kept.count];

        if (!pin->is_kept)
            continue;
        *item = (struct held_item){
            .path = pin->path,
            .name = pin->original != NULL ? pin->original->name : pin->instead,
            .instead = pin->instead,
            .held_version = pin->version,
            .signature = pin->original != NULL ? pin->original->signature : NULL,
            .fd = -1,
        };
        memcpy(item->content, pin->content, sizeof(item->content));
        memcpy(item->held, pin->sha256, sizeof(item->held));
        kept.count++;
    }
    return kept;
}

enum berth_code rollback_save(struct rollback *rollback, const char *root, struct berth_error *err)
{
    struct held_files kept = list_kept(&rollback->pins);
    char *text = held_format(&kept);
    bool is_known =
        text == NULL || rollback->kept == NULL ? text == rollback->kept : strcmp(text, rollback->kept) == 0;
    enum berth_code code = is_known ? BERTH_OK : held_write(root, &kept, err);

    if (!is_known && code == BERTH_OK) {
        free(rollback->kept);
        rollback->kept = text;
        text = NULL;
    }
    free(text);
    free(kept.items);
    return code;
}

void rollback_finish(struct rollback *rollback)
{
    rollback_pins_finish(&rollback->pins);
    for (size_t i = 0; i < rollback->earlier_count; i++) {
        original_drop(rollback->earlier[i].original);
        free(rollback->earlier[i].path);
    }
    free(rollback->earlier);
    free(rollback->kept);
    *rollback = (struct rollback){0};
}

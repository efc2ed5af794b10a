/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's rules for labels of containers, namespaces, leases and other objects. */
#ifndef BERTH_LABELS_H
#define BERTH_LABELS_H

#include <stddef.h>
#include <string.h>

#include <berth/error.h>
#include <berth/utf8.h>
#include <berth/wire_map.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Maximum length of a key and its value together, in bytes. */
#define BERTH_LABEL_MAX 4096

/** How much of an oversized key the error shows, in bytes. */
#define BERTH_LABEL_SHOWN 10

/** The length of the part shown, without splitting a character. */
static inline int berth_label_shown(const char *key, size_t length)
{
    size_t shown = 0;
    size_t bytes = berth_utf8_character(key, length);

    while (bytes > 0 && shown + bytes <= BERTH_LABEL_SHOWN) {
        shown += bytes;
        bytes = berth_utf8_character(key + shown, length - shown);
    }
    return (int)shown;
}

/**
 * Checks a label to be written. An empty value is valid: it removes the label, and the writer leaves it out.
 *
 * @param key  UTF-8, not necessarily NUL-terminated.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT with the message that containerd's clients know. The caller
 *         prefixes the field: "containers.Labels: …".
 */
static inline enum berth_code berth_label_check(const char *key, size_t key_length, size_t value_length,
                                                struct berth_error *err)
{
    if (key_length == 0 && value_length > 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "key required: invalid argument");
    if (key_length > BERTH_LABEL_MAX || value_length > BERTH_LABEL_MAX - key_length)
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "label key and value greater than maximum size (%d bytes), key: %.*s: invalid argument",
            BERTH_LABEL_MAX, berth_label_shown(key, key_length), key);
    return BERTH_OK;
}

/**
 * The same for every label of a map.
 * @param whose  prefixed to the message: "containers.Labels".
 */
static inline enum berth_code berth_labels_check(const struct berth_wire_map *labels, const char *whose,
                                                 struct berth_error *err)
{
    for (size_t i = 0; i < labels->count; i++) {
        const struct berth_wire_entry *label = &labels->entries[i];
        struct berth_error why;
        enum berth_code code =
            berth_label_check((const char *)label->key, label->key_length, label->value_length, &why);

        if (code != BERTH_OK)
            return berth_error_set(err, code, "%s: %.500s", whose, why.message);
    }
    return BERTH_OK;
}

/** Removes labels without a value, and settles the map. */
static inline void berth_labels_settle(struct berth_wire_map *labels)
{
    for (size_t i = 0; i < labels->count; i++)
        if (labels->entries[i].value_length == 0)
            labels->entries[i].value = NULL;
    berth_wire_map_settle(labels);
}

/** The key in a field mask's path: "a.b" for "labels.a.b"; NULL for any other path. */
static inline const char *berth_label_of_path(const char *path)
{
    return strncmp(path, "labels.", 7) == 0 ? path + 7 : NULL;
}

#ifdef __cplusplus
}
#endif

#endif

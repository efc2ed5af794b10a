/* SPDX-License-Identifier: Apache-2.0 */
/* Updates containers: fields that a mask names, or all that may change, over what the store has. */
#include "change.h"

#include <string.h>

#include <berth/labels.h>
#include <berth/protobuf.h>
#include <containerd/services/containers/v1/containers.pb-c.h>

#include "container.h"

#define EXTENSIONS_PREFIX "extensions."

static void replace_labels(struct container *container, const struct container *asked)
{
    container->labels.count = 0;
    berth_wire_map_take_all(&container->labels, &asked->labels);
}

/* Extensions are added and replaced, never removed. */
static void merge_extension(struct container *container, const struct container *asked, const char *key)
{
    if (berth_wire_map_find(&asked->extensions, key, strlen(key)) != NULL)
        berth_wire_map_take(&container->extensions, &asked->extensions, key, strlen(key));
}

static enum berth_code apply_path(struct container *container, const struct container *asked,
                                  const char *path, const char *id, struct berth_error *err)
{
    static const struct {
        const char *path;
        enum container_field field;
    } fields[] = {
        {"spec", CONTAINER_SPEC}, {"image", CONTAINER_IMAGE}, {"snapshotkey", CONTAINER_SNAPSHOT_KEY}};
    const char *label = berth_label_of_path(path);
    char quoted[BERTH_ERROR_MAX - 256];

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(path, fields[i].path) != 0)
            continue;
        container->fields[fields[i].field] = asked->fields[fields[i].field];
        return BERTH_OK;
    }
    if (strcmp(path, "labels") == 0)
        replace_labels(container, asked);
    else if (strcmp(path, "extensions") == 0)
        berth_wire_map_take_all(&container->extensions, &asked->extensions);
    else if (label != NULL)
        berth_wire_map_take(&container->labels, &asked->labels, label, strlen(label));
    else if (strncmp(path, EXTENSIONS_PREFIX, strlen(EXTENSIONS_PREFIX)) == 0)
        merge_extension(container, asked, path + strlen(EXTENSIONS_PREFIX));
    else {
        berth_identifier_quote(path, quoted, sizeof(quoted));
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "cannot update %s field on \"%s\": invalid argument", quoted, id);
    }
    return BERTH_OK;
}

static bool are_same(struct berth_store_bytes one, struct berth_store_bytes other)
{
    return one.length == other.length && (one.length == 0 || memcmp(one.data, other.data, one.length) == 0);
}

/* What cannot change must be the same where a whole container is given. */
static enum berth_code check_fixed(const struct container *container, const struct container *asked,
                                   struct berth_error *err)
{
    if (!are_same(container->fields[CONTAINER_SNAPSHOTTER], asked->fields[CONTAINER_SNAPSHOTTER]))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "container.Snapshotter field is immutable: invalid argument");
    if (!are_same(container_find(container->fields[CONTAINER_RUNTIME], CONTAINER_RUNTIME_NAME),
                  container_find(asked->fields[CONTAINER_RUNTIME], CONTAINER_RUNTIME_NAME)))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "container.Runtime.Name field is immutable: invalid argument");
    return BERTH_OK;
}

static enum berth_code apply_all(struct container *container, const struct container *asked, const char *id,
                                 struct berth_error *err)
{
    static const char *const paths[] = {"labels", "spec", "extensions", "image", "snapshotkey"};
    enum berth_code code = check_fixed(container, asked, err);

    for (size_t i = 0; code == BERTH_OK && i < sizeof(paths) / sizeof(paths[0]); i++)
        code = apply_path(container, asked, paths[i], id, err);
    return code;
}

static enum berth_code apply(const struct change *change, struct container *container,
                             const struct container *asked, struct berth_error *err)
{
    const char *path = (const char *)change->asked.bytes + change->asked_length;
    const char *end = (const char *)change->asked.bytes + change->asked.length;
    enum berth_code code = BERTH_OK;

    if (path == end)
        return apply_all(container, asked, change->id, err);
    for (; code == BERTH_OK && path < end; path += strlen(path) + 1)
        code = apply_path(container, asked, path, change->id, err);
    return code;
}

static enum berth_code complete(struct change *change, struct container *container, struct berth_error *err)
{
    struct berth_error why;
    uint8_t time[24];
    enum berth_code code = container_check(container, &why);

    if (code != BERTH_OK)
        return berth_error_set(err, code, "update failed validation: %.1900s", why.message);
    container->fields[CONTAINER_UPDATED_AT] = container_now(time);
    change->result.length = 0;
    return container_write(container, &change->result) ? BERTH_OK : change_no_memory(err);
}

static enum berth_code renew(struct change *change, struct container *container, struct berth_error *err)
{
    const struct berth_store_bytes value = {change->asked.bytes, change->asked_length};
    struct container asked = {0};
    enum berth_code code = container_read(&asked, value, err);

    if (code == BERTH_OK)
        code = apply(change, container, &asked, err);
    if (code == BERTH_OK)
        code = complete(change, container, err);
    container_finish(&asked);
    return code;
}

static enum berth_code update(struct berth_store_update *update, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    struct change *change = (struct change *)update;
    struct container container = {0};
    struct berth_store_bytes there;
    enum berth_code code = change_get(change, txn, &there, err);

    if (code == BERTH_NOT_FOUND)
        return berth_error_set(err, code, "container \"%s\": not found", change->id);
    if (code == BERTH_OK)
        code = container_read(&container, there, err);
    if (code == BERTH_INVALID_ARGUMENT)
        code = berth_error_set(err, BERTH_DATA_LOSS, "container \"%s\" is damaged in the store", change->id);
    if (code == BERTH_OK)
        code = renew(change, &container, err);
    if (code == BERTH_OK)
        code = change_put(change, txn, err);
    container_finish(&container);
    return code;
}

/* Once they have been taken over there is nothing more to do: but each time costs as much as the request is
 * large. */
static bool is_repeated(const char *path, unsigned *taken)
{
    unsigned bit = strcmp(path, "labels") == 0 ? 1 : strcmp(path, "extensions") == 0 ? 2 : 0;
    bool is_repeated = (*taken & bit) != 0;

    *taken |= bit;
    return is_repeated;
}

/* The change outlives the request. */
static bool keep(struct change *change, struct berth_store_bytes value, const char *const *paths,
                 size_t path_count)
{
    unsigned taken = 0;

    berth_wire_put(&change->asked, value.data, value.length);
    change->asked_length = value.length;
    for (size_t i = 0; i < path_count; i++)
        if (!is_repeated(paths[i], &taken))
            berth_wire_put(&change->asked, paths[i], strlen(paths[i]) + 1);
    return !change->asked.failed;
}

enum berth_code containers_update(void *instance, const char *namespace_name, struct berth_store_bytes value,
                                  const char *const *paths, size_t path_count, berth_containers_done *done,
                                  void *context, struct berth_error *err)
{
    const struct change_request request = {instance, namespace_name, done, context};
    struct berth_store_bytes id = container_find(value, CONTAINER_ID);
    struct change *change;
    enum berth_code code;

    if (id.length == 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "Container.ID required");
    code = berth_text_check(&containerd__services__containers__v1__container__descriptor, value.data,
                            value.length, err);
    if (code == BERTH_OK)
        code = change_create(&request, id, CONTAINER_UPDATED, &change, err);
    if (code != BERTH_OK)
        return code;
    if (!keep(change, value, paths, path_count)) {
        change_destroy(change);
        return change_no_memory(err);
    }
    change_submit(change, update);
    return BERTH_OK;
}

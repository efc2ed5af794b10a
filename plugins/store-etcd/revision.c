/* SPDX-License-Identifier: Apache-2.0 */
/* What became true together in etcd: gathered from events, applied to the mirror, told. */
#include "revision.h"

#include <stdlib.h>
#include <string.h>

struct revision *revision_create(int64_t number)
{
    struct revision *revision = calloc(1, sizeof(*revision));

    if (revision == NULL)
        return NULL;
    revision->number = number;
    revision->memory = sizeof(*revision);
    revision->end = &revision->first;
    return revision;
}

void revision_destroy(struct revision *revision)
{
    struct revision_change *change;

    if (revision == NULL)
        return;
    while ((change = revision->first) != NULL) {
        revision->first = change->next;
        /* A mirror owns what was put into it. */
        if (change->is_removal || !revision->is_applied)
            free(change->entry);
        free(change->before);
        free(change);
    }
    free(revision);
}

static bool add_change(struct revision *revision, const struct layout_name *name, bool is_removal,
                       const ProtobufCBinaryData *value)
{
    struct revision_change *change = calloc(1, sizeof(*change));

    if (change == NULL)
        return false;
    change->is_removal = is_removal;
    change->entry = mirror_entry_create(name, value->data, is_removal ? 0 : value->len);
    if (change->entry == NULL) {
        free(change);
        return false;
    }
    revision->memory += sizeof(*change) + mirror_entry_bytes(change->entry);
    if (!is_removal)
        revision->bytes += mirror_entry_bytes(change->entry);
    *revision->end = change;
    revision->end = &change->next;
    return true;
}

static void move_head(struct revision *revision, bool is_removal, const ProtobufCBinaryData *value)
{
    size_t length = value->len < sizeof(revision->head) ? value->len : sizeof(revision->head) - 1;

    revision->moves_head = true;
    revision->removes_head = is_removal;
    memset(revision->head, 0, sizeof(revision->head));
    if (!is_removal && length > 0)
        memcpy(revision->head, value->data, length);
}

bool revision_add(struct revision *revision, const struct layout *layout, const Mvccpb__Event *event)
{
    bool is_removal = event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
    struct layout_name name;

    switch (layout_parse(layout, event->kv->key.data, event->kv->key.len, &name)) {
    case LAYOUT_HEAD:
        move_head(revision, is_removal, &event->kv->value);
        return true;
    case LAYOUT_NODE:
        revision->nodes += is_removal ? -1 : event->kv->version == 1;
        return true;
    case LAYOUT_ENTRY:
        return add_change(revision, &name, is_removal, &event->kv->value);
    case LAYOUT_FOREIGN:
        break;
    }
    return true;
}

void revision_apply(struct revision *revision, struct mirror *mirror)
{
    for (struct revision_change *change = revision->first; change != NULL; change = change->next)
        change->before =
            change->is_removal ? mirror_remove(mirror, change->entry) : mirror_put(mirror, change->entry);
    if (revision->moves_head) {
        mirror->head_revision = revision->removes_head ? 0 : revision->number;
        memcpy(mirror->head, revision->head, sizeof(mirror->head));
    }
    mirror->nodes += revision->nodes;
    mirror->revision = revision->number;
    revision->is_applied = true;
}

static void tell(struct berth_store_core *core, enum berth_store_cause cause,
                 const struct mirror_entry *before, const struct mirror_entry *after)
{
    char bucket[BERTH_STORE_BUCKET_MAX + 1];
    struct berth_store_change change = {.size = sizeof(change), .cause = cause, .bucket = bucket};

    mirror_entry_bucket(after != NULL ? after : before, bucket);
    change.key = mirror_entry_key(after != NULL ? after : before);
    if (before != NULL)
        change.before = mirror_entry_value(before);
    if (after != NULL)
        change.after = mirror_entry_value(after);
    berth_store_core_tell(core, &change);
}

void revision_tell(const struct revision *revision, struct berth_store_core *core,
                   enum berth_store_cause cause)
{
    for (const struct revision_change *change = revision->first; change != NULL; change = change->next)
        if (change->before != NULL || !change->is_removal)
            tell(core, cause, change->before, change->is_removal ? NULL : change->entry);
}

static bool has_same_value(const struct mirror_entry *one, const struct mirror_entry *other)
{
    struct berth_store_bytes a = mirror_entry_value(one), b = mirror_entry_value(other);

    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

void revision_tell_difference(const struct mirror *before, const struct mirror *after,
                              struct berth_store_core *core)
{
    struct mirror_entry *old = mirror_first(before), *new = mirror_first(after);

    while (old != NULL || new != NULL) {
        int order = old == NULL ? 1 : new == NULL ? -1 : mirror_entry_compare(old, new);

        if (order < 0)
            tell(core, BERTH_STORE_CAUGHT_UP, old, NULL);
        else if (order > 0)
            tell(core, BERTH_STORE_CAUGHT_UP, NULL, new);
        else if (!has_same_value(old, new))
            tell(core, BERTH_STORE_CAUGHT_UP, old, new);
        old = order <= 0 ? mirror_following(old) : old;
        new = order >= 0 ? mirror_following(new) : new;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What .proto files define, by name: lists that are filled, sorted once, and searched. */
#include "descriptor_index.h"

#include <stdlib.h>
#include <string.h>

#include <berth/protobuf.h>
#include <google/protobuf/descriptor.pb-c.h>

/* All that an index may hold: texts and descriptors as well as the lists over them. */
#define INDEX_BYTES_MAX (64u * 1024 * 1024)
#define CHUNK_BYTES (64u * 1024)

struct chunk {
    struct chunk *next;
    size_t used, size;
    char bytes[];
};

struct entries {
    struct descriptor_entry *items;
    size_t count, capacity;
};

struct descriptor_index {
    struct chunk *chunks;
    size_t bytes;
    struct descriptor_file *files;
    size_t file_count, file_capacity;
    const char **imports;
    size_t import_count, import_capacity;
    /* `file` of an entry is its place in `files`. */
    struct entries by_name, symbols, extensions;
    const char **services;
    size_t service_count;
};

struct descriptor_index *descriptor_index_create(void)
{
    return calloc(1, sizeof(struct descriptor_index));
}

void descriptor_index_destroy(struct descriptor_index *index)
{
    if (index == NULL)
        return;
    while (index->chunks != NULL) {
        struct chunk *next = index->chunks->next;

        free(index->chunks);
        index->chunks = next;
    }
    free(index->files);
    free(index->imports);
    free(index->by_name.items);
    free(index->symbols.items);
    free(index->extensions.items);
    free(index->services);
    free(index);
}

static bool charge(struct descriptor_index *index, size_t bytes)
{
    if (bytes > INDEX_BYTES_MAX - index->bytes)
        return false;
    index->bytes += bytes;
    return true;
}

static bool add_chunk(struct descriptor_index *index, size_t size)
{
    size_t whole = size > CHUNK_BYTES ? size : CHUNK_BYTES;
    struct chunk *chunk;

    if (!charge(index, whole))
        return false;
    chunk = malloc(sizeof(*chunk) + whole);
    if (chunk == NULL)
        return false;
    *chunk = (struct chunk){.next = index->chunks, .size = whole};
    index->chunks = chunk;
    return true;
}

/* A copy that lives as long as the index; NULL where that is full. */
static const char *keep(struct descriptor_index *index, const void *bytes, size_t length)
{
    char *kept;

    if (length >= INDEX_BYTES_MAX)
        return NULL;
    if ((index->chunks == NULL || index->chunks->size - index->chunks->used <= length) &&
        !add_chunk(index, length + 1))
        return NULL;
    kept = index->chunks->bytes + index->chunks->used;
    if (length > 0)
        memcpy(kept, bytes, length);
    kept[length] = '\0';
    index->chunks->used += length + 1;
    return kept;
}

/* A list with room for one more; NULL where the index is full. */
static void *grow(struct descriptor_index *index, void *items, size_t count, size_t *capacity, size_t size)
{
    size_t wider = *capacity == 0 ? 16 : *capacity * 2;
    void *grown;

    if (count < *capacity)
        return items;
    if (!charge(index, (wider - *capacity) * size))
        return NULL;
    grown = reallocarray(items, wider, size);
    if (grown != NULL)
        *capacity = wider;
    return grown;
}

static bool add_entry(struct descriptor_index *index, struct entries *entries,
                      const struct descriptor_entry *entry)
{
    struct descriptor_entry *items =
        grow(index, entries->items, entries->count, &entries->capacity, sizeof(*entries->items));

    if (items == NULL)
        return false;
    entries->items = items;
    items[entries->count++] = *entry;
    return true;
}

static bool add_symbol(struct descriptor_index *index, const char *name, size_t file)
{
    struct descriptor_entry entry = {.name = keep(index, name, strlen(name)), .file = file};

    return entry.name != NULL && add_entry(index, &index->symbols, &entry);
}

static bool add_extension(struct descriptor_index *index, const char *type, int32_t number, size_t file)
{
    struct descriptor_entry entry = {.name = keep(index, type, strlen(type)), .number = number, .file = file};

    return entry.name != NULL && add_entry(index, &index->extensions, &entry);
}

/* How deep it goes is bounded where the descriptor is unpacked. */
struct walk {
    struct descriptor_index *index;
    size_t file;
    /* The scope that the walk is in. */
    char name[DESCRIPTOR_NAME_MAX + 1];
    size_t length;
    bool is_complete;
};

/* @return the scope to come back to; SIZE_MAX where the part is no part of a name. */
static size_t enter(struct walk *walk, const char *part)
{
    size_t before = walk->length;
    size_t length = part == NULL ? 0 : strlen(part);
    size_t dot = before > 0;

    if (length == 0 || length + dot > DESCRIPTOR_NAME_MAX - before) {
        walk->is_complete = false;
        return SIZE_MAX;
    }
    if (dot > 0)
        walk->name[before] = '.';
    memcpy(walk->name + before + dot, part, length + 1);
    walk->length = before + dot + length;
    return before;
}

static void leave(struct walk *walk, size_t before)
{
    walk->length = before;
    walk->name[before] = '\0';
}

static void add_here(struct walk *walk)
{
    if (!add_symbol(walk->index, walk->name, walk->file))
        walk->is_complete = false;
}

static void add_leaf(struct walk *walk, const char *name)
{
    size_t before = enter(walk, name);

    if (before == SIZE_MAX)
        return;
    add_here(walk);
    leave(walk, before);
}

/* protobuf puts an enum's values beside it, not inside. */
static void walk_enum(struct walk *walk, const Google__Protobuf__EnumDescriptorProto *descriptor)
{
    add_leaf(walk, descriptor->name);
    for (size_t i = 0; i < descriptor->n_value; i++)
        add_leaf(walk, descriptor->value[i]->name);
}

static void walk_extension(struct walk *walk, const Google__Protobuf__FieldDescriptorProto *descriptor)
{
    const char *type = descriptor->extendee;

    add_leaf(walk, descriptor->name);
    if (type == NULL || strlen(type) > DESCRIPTOR_NAME_MAX ||
        !add_extension(walk->index, type + (*type == '.'), descriptor->number, walk->file))
        walk->is_complete = false;
}

static void walk_message(struct walk *walk, const Google__Protobuf__DescriptorProto *descriptor)
{
    size_t before = enter(walk, descriptor->name);

    if (before == SIZE_MAX)
        return;
    add_here(walk);
    for (size_t i = 0; i < descriptor->n_field; i++)
        add_leaf(walk, descriptor->field[i]->name);
    for (size_t i = 0; i < descriptor->n_oneof_decl; i++)
        add_leaf(walk, descriptor->oneof_decl[i]->name);
    for (size_t i = 0; i < descriptor->n_extension; i++)
        walk_extension(walk, descriptor->extension[i]);
    for (size_t i = 0; i < descriptor->n_enum_type; i++)
        walk_enum(walk, descriptor->enum_type[i]);
    for (size_t i = 0; i < descriptor->n_nested_type; i++)
        walk_message(walk, descriptor->nested_type[i]);
    leave(walk, before);
}

static void walk_service(struct walk *walk, const Google__Protobuf__ServiceDescriptorProto *descriptor)
{
    size_t before = enter(walk, descriptor->name);

    if (before == SIZE_MAX)
        return;
    add_here(walk);
    for (size_t i = 0; i < descriptor->n_method; i++)
        add_leaf(walk, descriptor->method[i]->name);
    leave(walk, before);
}

/* Tells the index of all that one .proto file defines, each by its full name. False where something has no
 * name, one that is too long, or the index is full: it is left out. */
static bool walk_file(struct descriptor_index *index, size_t file,
                      const Google__Protobuf__FileDescriptorProto *descriptor)
{
    struct walk walk = {.index = index, .file = file, .is_complete = true};

    if (descriptor->package != NULL && *descriptor->package != '\0' &&
        enter(&walk, descriptor->package) == SIZE_MAX)
        return false;
    for (size_t i = 0; i < descriptor->n_message_type; i++)
        walk_message(&walk, descriptor->message_type[i]);
    for (size_t i = 0; i < descriptor->n_enum_type; i++)
        walk_enum(&walk, descriptor->enum_type[i]);
    for (size_t i = 0; i < descriptor->n_extension; i++)
        walk_extension(&walk, descriptor->extension[i]);
    for (size_t i = 0; i < descriptor->n_service; i++)
        walk_service(&walk, descriptor->service[i]);
    return walk.is_complete;
}

bool descriptor_index_add_service(struct descriptor_index *index, const char *service)
{
    const char **services = reallocarray(index->services, index->service_count + 1, sizeof(*index->services));
    const char *name = keep(index, service, strlen(service));

    if (services != NULL)
        index->services = services;
    if (services == NULL || name == NULL)
        return false;
    services[index->service_count++] = name;
    return true;
}

static bool add_import(struct descriptor_index *index, const char *name)
{
    const char **imports =
        grow(index, index->imports, index->import_count, &index->import_capacity, sizeof(*index->imports));
    const char *kept = keep(index, name, strlen(name));

    if (imports != NULL)
        index->imports = imports;
    if (imports == NULL || kept == NULL)
        return false;
    imports[index->import_count++] = kept;
    return true;
}

static bool add_descriptor(struct descriptor_index *index, const uint8_t *bytes, size_t length,
                           const Google__Protobuf__FileDescriptorProto *descriptor)
{
    struct descriptor_entry entry = {.file = index->file_count};
    struct descriptor_file *files =
        grow(index, index->files, index->file_count, &index->file_capacity, sizeof(*index->files));
    struct descriptor_file file = {.length = length, .first_import = index->import_count};

    if (files == NULL)
        return false;
    index->files = files;
    if (descriptor->name == NULL || strlen(descriptor->name) > DESCRIPTOR_NAME_MAX)
        return false;
    entry.name = file.name = keep(index, descriptor->name, strlen(descriptor->name));
    file.bytes = (const uint8_t *)keep(index, bytes, length);
    for (size_t i = 0; i < descriptor->n_dependency; i++)
        file.import_count += add_import(index, descriptor->dependency[i]);
    if (file.name == NULL || file.bytes == NULL || !add_entry(index, &index->by_name, &entry))
        return false;
    files[index->file_count++] = file;
    return walk_file(index, entry.file, descriptor);
}

static bool add_file(struct descriptor_index *index, const uint8_t *bytes, size_t length)
{
    struct berth_error err;
    ProtobufCMessage *message =
        berth_unpack(&google__protobuf__file_descriptor_proto__descriptor, bytes, length, &err);
    bool is_complete;

    if (message == NULL)
        return false;
    is_complete = add_descriptor(index, bytes, length, (const void *)message);
    protobuf_c_message_free_unpacked(message, NULL);
    return is_complete;
}

static bool read_varint(const uint8_t **cursor, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && *cursor < end; shift += 7) {
        uint8_t byte = *(*cursor)++;

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* A set is files in field 1 and nothing else; their own bytes are kept, whatever is in them. */
bool descriptor_index_add_set(struct descriptor_index *index, const void *set, size_t length)
{
    const uint8_t *cursor = set;
    const uint8_t *end = cursor + length;
    bool is_complete = true;

    while (cursor < end) {
        uint64_t tag, size;

        if (!read_varint(&cursor, end, &tag) || tag != 10 || !read_varint(&cursor, end, &size) ||
            size > (uint64_t)(end - cursor))
            return false;
        is_complete = add_file(index, cursor, (size_t)size) && is_complete;
        cursor += size;
    }
    return is_complete;
}

static int compare_keys(const char *a_name, int32_t a_number, const struct descriptor_entry *b)
{
    int order = strcmp(a_name, b->name);

    return order != 0 ? order : (a_number > b->number) - (a_number < b->number);
}

static int compare_entries(const void *a, const void *b)
{
    const struct descriptor_entry *left = a, *right = b;
    int order = compare_keys(left->name, left->number, right);

    return order != 0 ? order : (left->file > right->file) - (left->file < right->file);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Of duplicates the first file's entry is kept. */
static void sort(struct entries *entries)
{
    size_t kept = 0;

    if (entries->count == 0)
        return;
    qsort(entries->items, entries->count, sizeof(*entries->items), compare_entries);
    for (size_t i = 1; i < entries->count; i++)
        if (compare_keys(entries->items[i].name, entries->items[i].number, &entries->items[kept]) != 0)
            entries->items[++kept] = entries->items[i];
    entries->count = kept + 1;
}

void descriptor_index_seal(struct descriptor_index *index)
{
    sort(&index->by_name);
    sort(&index->symbols);
    sort(&index->extensions);
    if (index->service_count > 0)
        qsort(index->services, index->service_count, sizeof(*index->services), compare_texts);
}

/* The first entry that is not before the key. */
static size_t find_place(const struct entries *entries, const char *name, int32_t number)
{
    size_t low = 0, high = entries->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_keys(name, number, &entries->items[middle]) > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct descriptor_file *find(const struct descriptor_index *index, const struct entries *entries,
                                          const char *name, int32_t number)
{
    size_t place = find_place(entries, name, number);

    if (place == entries->count || compare_keys(name, number, &entries->items[place]) != 0)
        return NULL;
    return &index->files[entries->items[place].file];
}

const char *const *descriptor_index_services(const struct descriptor_index *index, size_t *ret_count)
{
    *ret_count = index->service_count;
    return index->services;
}

const struct descriptor_file *descriptor_index_file(const struct descriptor_index *index, const char *name)
{
    return find(index, &index->by_name, name, 0);
}

const struct descriptor_file *descriptor_index_symbol(const struct descriptor_index *index, const char *name)
{
    return find(index, &index->symbols, name, 0);
}

const struct descriptor_file *descriptor_index_extension(const struct descriptor_index *index,
                                                         const char *type, int32_t number)
{
    return find(index, &index->extensions, type, number);
}

const struct descriptor_entry *descriptor_index_extensions(const struct descriptor_index *index,
                                                           const char *type, size_t *ret_count)
{
    size_t first = find_place(&index->extensions, type, INT32_MIN);
    size_t last = first;

    while (last < index->extensions.count && strcmp(index->extensions.items[last].name, type) == 0)
        last++;
    *ret_count = last - first;
    return last > first ? &index->extensions.items[first] : NULL;
}

size_t descriptor_index_file_count(const struct descriptor_index *index)
{
    return index->file_count;
}

static bool is_among(const struct descriptor_file *const *files, size_t count,
                     const struct descriptor_file *file)
{
    for (size_t i = 0; i < count; i++)
        if (files[i] == file)
            return true;
    return false;
}

/* A list that grows while it is walked; no import of a descriptor need be one of these files. */
size_t descriptor_index_closure(const struct descriptor_index *index, const struct descriptor_file *file,
                                const struct descriptor_file **ret_files)
{
    size_t count = 1;

    ret_files[0] = file;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < ret_files[i]->import_count; k++) {
            const struct descriptor_file *import =
                descriptor_index_file(index, index->imports[ret_files[i]->first_import + k]);

            if (import != NULL && !is_among(ret_files, count, import))
                ret_files[count++] = import;
        }
    return count;
}

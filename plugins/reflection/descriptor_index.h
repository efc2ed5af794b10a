/* SPDX-License-Identifier: Apache-2.0 */
/* Index of what .proto files define: files, symbols, extensions. Tolerates malformed descriptors. */
#ifndef REFLECTION_DESCRIPTOR_INDEX_H
#define REFLECTION_DESCRIPTOR_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Longer names are omitted. */
#define DESCRIPTOR_NAME_MAX 1024

struct descriptor_file {
    const char *name;
    /** A serialised google.protobuf.FileDescriptorProto. */
    const uint8_t *bytes;
    size_t length;
    /** Its range in the list of all imports. */
    size_t first_import, import_count;
};

/** A name and the file that defines it; for an extension the name of the type that it extends. */
struct descriptor_entry {
    const char *name;
    int32_t number;
    size_t file;
};

struct descriptor_index;

/** NULL without memory. */
struct descriptor_index *descriptor_index_create(void);
void descriptor_index_destroy(struct descriptor_index *index);

/** Copied. @return false without memory. */
bool descriptor_index_add_service(struct descriptor_index *index, const char *service);
/**
 * Adds the files of a serialised google.protobuf.FileDescriptorSet, which is copied. Of two files with the
 * same name the first one is found.
 * @return false if some of it is malformed or exceeds the index's limits, and is omitted.
 */
bool descriptor_index_add_set(struct descriptor_index *index, const void *set, size_t length);
/** Makes everything added so far searchable; nothing may be added after. */
void descriptor_index_seal(struct descriptor_index *index);

/** In byte order. */
const char *const *descriptor_index_services(const struct descriptor_index *index, size_t *ret_count);
/** NULL if there is none. */
const struct descriptor_file *descriptor_index_file(const struct descriptor_index *index, const char *name);
/** Of "package.Message.field" and the like. */
const struct descriptor_file *descriptor_index_symbol(const struct descriptor_index *index, const char *name);
const struct descriptor_file *descriptor_index_extension(const struct descriptor_index *index,
                                                         const char *type, int32_t number);
/** The extensions of a type, by number; NULL if there are none. */
const struct descriptor_entry *descriptor_index_extensions(const struct descriptor_index *index,
                                                           const char *type, size_t *ret_count);
/**
 * A file and all its imports, each once, itself first.
 * @param ret_files  as many as the index has files.
 * @return their number.
 */
size_t descriptor_index_closure(const struct descriptor_index *index, const struct descriptor_file *file,
                                const struct descriptor_file **ret_files);
size_t descriptor_index_file_count(const struct descriptor_index *index);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Serialises a file and all its imports, for reflection. */
#include <stdbool.h>
#include <stdlib.h>

#include "protos.h"

/* Marks the imports of marked files; a file follows all its imports. */
static enum berth_code mark_imports(const struct protos *protos, size_t file, bool *wanted,
                                    struct berth_error *err)
{
    wanted[file] = true;
    for (size_t i = file + 1; i-- > 0;) {
        const Google__Protobuf__FileDescriptorProto *proto = protos->files[i].proto;

        for (size_t j = 0; wanted[i] && j < proto->n_dependency; j++) {
            size_t found = protos_find_file(protos, proto->dependency[j], i);

            if (found == i)
                return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                       "%s: imports %.200s, which does not precede it in the request: run "
                                       "this program through protoc",
                                       proto->name, proto->dependency[j]);
            wanted[found] = true;
        }
    }
    return BERTH_OK;
}

/* Comments and source locations are most of a file's bytes, and reflection does not need them. */
static void pack(const struct protos *protos, const bool *wanted, size_t count, uint8_t **ret_bytes,
                 size_t *ret_length)
{
    Google__Protobuf__FileDescriptorSet set = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_SET__INIT;
    Google__Protobuf__FileDescriptorProto *copies = calloc(count, sizeof(*copies));
    Google__Protobuf__FileDescriptorProto **files = calloc(count, sizeof(*files));

    if (copies == NULL || files == NULL)
        abort();
    set.file = files;
    for (size_t i = 0; i < count; i++) {
        if (!wanted[i])
            continue;
        copies[i] = *protos->files[i].proto;
        copies[i].source_code_info = NULL;
        files[set.n_file++] = &copies[i];
    }
    *ret_length = google__protobuf__file_descriptor_set__get_packed_size(&set);
    *ret_bytes = malloc(*ret_length + 1);
    if (*ret_bytes == NULL)
        abort();
    google__protobuf__file_descriptor_set__pack(&set, *ret_bytes);
    free(files);
    free(copies);
}

enum berth_code protos_descriptors(const struct protos *protos, size_t file, uint8_t **ret_bytes,
                                   size_t *ret_length, struct berth_error *err)
{
    bool *wanted = calloc(file + 1, sizeof(*wanted));
    enum berth_code code;

    if (wanted == NULL)
        abort();
    code = mark_imports(protos, file, wanted, err);
    if (code == BERTH_OK)
        pack(protos, wanted, file + 1, ret_bytes, ret_length);
    free(wanted);
    return code;
}

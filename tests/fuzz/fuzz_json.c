/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as JSON of a message, then any bytes as that message; the first byte says of which type. */
#include <berth/json.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <containerd/services/containers/v1/containers.berth.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct berth_json_types *types;

static const char *const names[] = {
    "containerd.services.containers.v1.CreateContainerRequest",
    "containerd.services.containers.v1.ListContainersResponse",
    "google.protobuf.Any",
    "google.protobuf.Struct",
    "google.protobuf.Duration",
    "google.protobuf.FileDescriptorProto",
};

static void create_types(void)
{
    struct berth_error err;

    if (berth_json_types_create(&types, &err) != BERTH_OK ||
        berth_json_types_add(
            types, berth_descriptors_containerd_2fservices_2fcontainers_2fv1_2fcontainers_2eproto,
            sizeof(berth_descriptors_containerd_2fservices_2fcontainers_2fv1_2fcontainers_2eproto),
            &err) != BERTH_OK)
        abort();
}

static void write(const char *name, const void *message, size_t length, bool with_defaults)
{
    const struct berth_json_options options = {
        .size = sizeof(options), .is_pretty = true, .emit_defaults = with_defaults, .max_bytes = 1 << 20};
    struct berth_error err = {""};
    char *text;
    size_t text_length;

    if (berth_json_from_message(types, name, message, length, &options, &text, &text_length, &err) ==
        BERTH_OK) {
        if (strlen(text) != text_length || text_length > 1 << 20)
            abort();
        free(text);
    } else if (err.message[0] == '\0') {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct berth_error err = {""};
    const char *name;
    void *message;
    size_t length;

    if (types == NULL)
        create_types();
    if (size == 0)
        return 0;
    name = names[data[0] % (sizeof(names) / sizeof(names[0]))];
    if (berth_json_to_message(types, name, (const char *)data + 1, size - 1, NULL, &message, &length, &err) ==
        BERTH_OK) {
        write(name, message, length, data[0] >= 128);
        free(message);
    } else if (err.message[0] == '\0' || strchr(err.message, '\n') != NULL) {
        abort();
    }
    write(name, data + 1, size - 1, data[0] >= 128);
    return 0;
}

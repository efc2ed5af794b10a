/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of server reflection over descriptors that may be anything: two bytes say where the one ends. */
#include <stdint.h>
#include <stdlib.h>

#include <berth/protobuf.h>
#include <grpc/reflection/v1/reflection.berth.h>
#include <plugins/reflection/answer.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct descriptor_index *index, const void *bytes, size_t length)
{
    struct berth_error err;
    ProtobufCMessage *request =
        berth_unpack(&grpc__reflection__v1__server_reflection_request__descriptor, bytes, length, &err);
    struct answer answer;
    uint8_t *packed;
    size_t size;

    if (request == NULL)
        return;
    answer_make(&answer, index, (const void *)request);
    size = protobuf_c_message_get_packed_size(&answer.response.base);
    packed = malloc(size + 1);
    if (packed == NULL || protobuf_c_message_pack(&answer.response.base, packed) != size)
        abort();
    free(packed);
    answer_finish(&answer);
    protobuf_c_message_free_unpacked(request, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct descriptor_index *index = descriptor_index_create();
    size_t set_length;

    if (index == NULL)
        abort();
    if (size >= 2) {
        set_length = ((size_t)data[0] << 8 | data[1]) % (size - 1);
        descriptor_index_add_service(index, "grpc.reflection.v1.ServerReflection");
        descriptor_index_add_set(index, berth_descriptors_grpc_2freflection_2fv1_2freflection_2eproto,
                                 sizeof(berth_descriptors_grpc_2freflection_2fv1_2freflection_2eproto));
        descriptor_index_add_set(index, data + 2, set_length);
        descriptor_index_seal(index);
        ask(index, data + 2 + set_length, size - 2 - set_length);
    }
    descriptor_index_destroy(index);
    return 0;
}

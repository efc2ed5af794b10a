/* SPDX-License-Identifier: Apache-2.0 */
/* protoc-gen-berth against any bytes that call themselves a request of protoc. */
#include <stdint.h>
#include <stdlib.h>

#include "plugin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Google__Protobuf__Compiler__CodeGeneratorRequest *request = plugin_unpack(data, size);
    struct plugin_options options;
    struct berth_error err;
    uint8_t *answer;
    size_t length;

    if (request == NULL)
        return 0;
    if (plugin_options_parse(request->parameter, &options, &err) == BERTH_OK &&
        plugin_generate(request, &options, &answer, &length, &err) == BERTH_OK)
        free(answer);
    google__protobuf__compiler__code_generator_request__free_unpacked(request, NULL);
    return 0;
}

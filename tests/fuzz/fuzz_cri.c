/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a section of one of CRI's three plugins, which migrates, checks, uses and describes it. The
 * first byte chooses the plugin. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <berth/testing.h>
#include <berth/types/cri.h>
#include <plugins/cri/describe.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *choose(uint8_t byte)
{
    switch (byte) {
    case 'i':
        return BERTH_CRI_IMAGES_URI;
    case 'r':
        return BERTH_CRI_RUNTIME_URI;
    default:
        return "io.containerd.grpc.v1.cri";
    }
}

/* It is JSON, and describes each runtime. */
static void describe(struct berth_testing *testing)
{
    const struct berth_cri_part *part = berth_testing_interface(testing);
    struct cri cri = {.host = berth_testing_host(testing)};
    struct berth_json_writer json = {0};
    struct berth_error err;
    size_t depth = 0;
    bool quoted = false;

    cri.runtime_settings = part->settings(berth_testing_instance(testing));
    assert(runtime_config_init(&cri.runtime, cri.runtime_settings, &err) == BERTH_OK);
    describe_runtime(&json, &cri);
    assert(!json.failed);
    for (size_t i = 0; i < json.length; i++) {
        if (json.bytes[i] == '\\')
            i++;
        else if (json.bytes[i] == '"')
            quoted = !quoted;
        else if (!quoted && strchr("{[", json.bytes[i]) != NULL)
            depth++;
        else if (!quoted && strchr("}]", json.bytes[i]) != NULL)
            assert(depth-- > 0);
    }
    assert(depth == 0 && !quoted);
    berth_json_finish(&json);
    runtime_config_finish(&cri.runtime);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct berth_testing *testing;
    struct berth_error err = {""};
    char *text;

    if (size == 0 || memchr(data, 0, size) != NULL)
        return 0;
    text = calloc(1, size);
    assert(text != NULL);
    memcpy(text, data + 1, size - 1);
    testing = berth_testing_create(&berth_module, choose(data[0]), text, &err);
    assert(testing != NULL || err.message[0] != '\0');
    if (testing != NULL) {
        berth_testing_set_callback_limit(testing, 0);
        if (berth_testing_start(testing, &err) == BERTH_OK && data[0] == 'r')
            describe(testing);
        if (berth_testing_destroy(testing, &err) != BERTH_OK)
            abort();
    }
    free(text);
    return 0;
}

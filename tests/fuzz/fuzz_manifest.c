/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest's reader against any text: it gives a manifest or says what is wrong, never both or neither.
 */
#include <core/manifest.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->plugin_count; i++) {
        const struct manifest_plugin *plugin = &manifest->plugins[i];
        size_t type_length;

        if (plugin->config == NULL || !manifest_uri_split(plugin->uri, &type_length) ||
            type_length != strlen(plugin->type))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_diagnostics diagnostics = {0};
    struct manifest *manifest = manifest_parse("/fuzz.so", (const char *)data, size, &diagnostics);

    if ((manifest == NULL) != (diagnostics.error_count > 0))
        abort();
    if (manifest != NULL)
        check(manifest);
    manifest_destroy(manifest);
    config_diagnostics_finish(&diagnostics);
    return 0;
}

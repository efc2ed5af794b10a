/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest's reader against any text: it gives a manifest or says what is wrong, never both or neither.
 */
#include <config/schema/value.h>
#include <core/manifest/manifest.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever stands under skip_unless can be looked up. */
static void check_conditions(const struct manifest_plugin *plugin)
{
    struct config_check_options options = {.partial = true};
    struct config_diagnostics diagnostics = {0};
    struct config_values *values = config_values_create(plugin->config, NULL, &options, &diagnostics);
    const char *unset = values == NULL ? NULL : manifest_find_unset(plugin, config_values_settings(values));
    struct berth_error sentence;

    if (unset != NULL)
        manifest_explain_unset(unset, &sentence);
    config_values_destroy(values);
    config_diagnostics_finish(&diagnostics);
}

static void check(const struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->plugin_count; i++) {
        const struct manifest_plugin *plugin = &manifest->plugins[i];
        size_t type_length;

        if (plugin->config == NULL || !manifest_uri_split(plugin->uri, &type_length) ||
            type_length != strlen(plugin->type))
            abort();
        check_conditions(plugin);
    }
}

static void parse(const uint8_t *data, size_t size, bool forgives_unknown)
{
    struct config_diagnostics diagnostics = {.forgives_unknown = forgives_unknown};
    struct manifest *manifest = manifest_parse("/fuzz.so", (const char *)data, size, &diagnostics);

    if ((manifest == NULL) != (diagnostics.error_count > 0))
        abort();
    if (manifest != NULL)
        check(manifest);
    manifest_destroy(manifest);
    config_diagnostics_finish(&diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse(data, size, false);
    parse(data, size, true);
    return 0;
}

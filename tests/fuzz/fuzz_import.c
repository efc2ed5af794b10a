/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as containerd's configuration: what is made of it is a valid configuration of berth. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sdk/base/text_file.h>
#include <tools/berth-import/import.h>

static const struct manifest *manifests[2];
static struct catalog catalog;
static int file = -1;
static char path[64];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct manifest *read_manifest(const char *name)
{
    struct config_diagnostics diagnostics = {0};
    struct berth_error err;
    struct manifest *manifest;
    char *text, *note;
    size_t length;

    assert(text_file_read(name, 1024 * 1024, &text, &length, &err) == BERTH_OK);
    manifest = manifest_parse_source(name, text, length, &diagnostics, &note);
    assert(manifest != NULL);
    free(note);
    free(text);
    return manifest;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    manifests[0] = read_manifest(BERTH_SOURCE_DIR "/plugins/cri/plugin.yaml");
    manifests[1] = read_manifest(BERTH_SOURCE_DIR "/plugins/servers/plugin.yaml");
    catalog_init(&catalog, manifests, 2);
    file = memfd_create("config.toml", 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    return 0;
}

static void put(const void *data, size_t size)
{
    assert(ftruncate(file, 0) == 0);
    assert(pwrite(file, data, size, 0) == (ssize_t)size);
}

static void check(const char *text)
{
    struct settings_options options = {.path = path};
    struct config_diagnostics diagnostics = {0};
    struct settings *settings;

    put(text, strlen(text));
    settings = settings_load(&options, &diagnostics);
    if (settings == NULL || !settings_check_plugins(settings, &catalog, false, &diagnostics)) {
        for (size_t i = 0; i < diagnostics.count; i++)
            fprintf(stderr, "%u:%u: %s\n", diagnostics.items[i].mark.line, diagnostics.items[i].mark.column,
                    diagnostics.items[i].message);
        fputs(text, stderr);
        abort();
    }
    settings_destroy(settings);
    config_diagnostics_finish(&diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_diagnostics diagnostics = {0};
    struct import import = {.catalog = &catalog,
                            .diagnostics = &diagnostics,
                            .decides = size % 3 == 0,
                            .replaces_sections = size % 3 == 1};
    char *text;

    /* Imports would read whatever is on this machine. */
    if (memmem(data, size, "imports", 7) != NULL)
        return 0;
    put(data, size);
    if (import_read(&import, path) && import_translate(&import)) {
        text = import_print(&import);
        check(text);
        free(text);
    } else {
        assert(diagnostics.error_count > 0);
    }
    import_finish(&import);
    config_diagnostics_finish(&diagnostics);
    return 0;
}

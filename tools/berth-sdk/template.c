/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the SDK's template and writes it with the names of one plugin. */
#include "template.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tools/cli/text_file.h>
#include <tools/protoc-gen-berth/names.h>

#define TEXT_MAX_BYTES ((size_t)1 << 20)

/* File names of the template and of the plugin's directory. */
static const struct {
    const char *source;
    const char *target;
} files[TEMPLATE_FILES] = {
    {"plugin.yaml.in", "plugin.yaml"},     {"plugin.c.in", "@name@.c"},
    {"messages.proto.in", "@name@.proto"}, {"test.c.in", "test_@name@.c"},
    {"meson.build.in", "meson.build"},     {"README.md.in", "README.md"},
    {"gitignore.in", ".gitignore"},        {"call.c.in", "call_@name@.c"},
};

struct marker {
    const char *mark;
    char *text;
};

#define MARKERS 11

/* Splits a service's name at its last dot. */
static char *package_of(const char *service)
{
    return names_format("%.*s", (int)(strrchr(service, '.') - service), service);
}

/* The name of the Python module that protoc writes. */
static char *python_module(const char *name)
{
    char *module = names_format("%s", name);

    for (char *c = module; *c != '\0'; c++)
        *c = *c == '-' ? '_' : *c;
    return module;
}

static char *table_name(const char *plugin, const char *service)
{
    char *words = names_words(strrchr(service, '.') + 1);
    char *table = names_format("%s_%s_handlers", plugin, words);

    free(words);
    return table;
}

/* "symbol" is the prefix of protobuf-c's functions for the package's messages. */
static void markers_init(struct marker markers[static MARKERS], const char *name, const char *type,
                         const char *service)
{
    char *package = package_of(service);
    char *c_name = names_for_plugin(name);
    char *symbol = names_symbol(package);

    markers[0] = (struct marker){"@name@", names_format("%s", name)};
    markers[1] = (struct marker){"@c_name@", c_name};
    markers[2] = (struct marker){"@package@", package};
    markers[3] = (struct marker){"@camel@", names_type(package)};
    markers[4] = (struct marker){"@upper@", names_upper(symbol)};
    markers[5] = (struct marker){"@type@", names_format("%s", type)};
    markers[6] = (struct marker){"@service@", names_format("%s", strrchr(service, '.') + 1)};
    markers[7] = (struct marker){"@symbol@", symbol};
    markers[8] = (struct marker){"@stem@", names_for_service(service)};
    markers[9] = (struct marker){"@table@", table_name(c_name, service)};
    markers[10] = (struct marker){"@module@", python_module(name)};
}

static void markers_finish(struct marker markers[static MARKERS])
{
    for (size_t i = 0; i < MARKERS; i++)
        free(markers[i].text);
}

static const struct marker *marker_at(const struct marker markers[static MARKERS], const char *text)
{
    for (size_t i = 0; i < MARKERS; i++)
        if (strncmp(text, markers[i].mark, strlen(markers[i].mark)) == 0)
            return &markers[i];
    return NULL;
}

/* The caller frees. */
static char *fill(const char *text, const struct marker markers[static MARKERS])
{
    char *result;
    size_t length;
    FILE *out = open_memstream(&result, &length);

    if (out == NULL)
        abort();
    while (*text != '\0') {
        const struct marker *marker = *text == '@' ? marker_at(markers, text) : NULL;

        if (marker == NULL) {
            fputc(*text++, out);
        } else {
            fputs(marker->text, out);
            text += strlen(marker->mark);
        }
    }
    fclose(out);
    return result;
}

/* Where the SDK was installed, or beside this program if the installation was moved. */
static char *find_directory(void)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    if (access(BERTH_TEMPLATE_DIR, R_OK) == 0 || length < 0)
        return names_format("%s", BERTH_TEMPLATE_DIR);
    self[length] = '\0';
    slash = strrchr(self, '/');
    return names_format("%.*s/../share/berth/template", slash == NULL ? 0 : (int)(slash - self), self);
}

enum berth_code template_load(struct template *template, const char *directory, struct berth_error *err)
{
    char *from = directory == NULL ? find_directory() : names_format("%s", directory);
    enum berth_code code = BERTH_OK;

    *template = (struct template){0};
    for (size_t i = 0; i < TEMPLATE_FILES && code == BERTH_OK; i++) {
        char *path = names_format("%s/%s", from, files[i].source);
        size_t length;

        code = text_file_read(path, TEXT_MAX_BYTES, &template->texts[i], &length, err);
        free(path);
    }
    free(from);
    if (code != BERTH_OK)
        template_finish(template);
    return code;
}

void template_finish(struct template *template)
{
    for (size_t i = 0; i < TEMPLATE_FILES; i++)
        free(template->texts[i]);
    *template = (struct template){0};
}

static enum berth_code write_one(const char *directory, const char *target, const char *text,
                                 const struct marker markers[static MARKERS], struct berth_error *err)
{
    char *name = fill(target, markers);
    char *path = names_format("%s/%s", directory, name);
    char *filled = fill(text, markers);
    enum berth_code code = text_file_write(path, filled, err);

    free(filled);
    free(path);
    free(name);
    return code;
}

enum berth_code template_write(const struct template *template, const char *directory, const char *name,
                               const char *type, const char *service, struct berth_error *err)
{
    struct marker markers[MARKERS];
    enum berth_code code = BERTH_OK;

    markers_init(markers, name, type, service);
    for (size_t i = 0; i < TEMPLATE_FILES && code == BERTH_OK; i++)
        code = write_one(directory, files[i].target, template->texts[i], markers, err);
    markers_finish(markers);
    return code;
}

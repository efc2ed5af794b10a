/* SPDX-License-Identifier: Apache-2.0 */
/* berth-sdk new: creates a plugin's directory from the SDK's template. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <core/manifest/manifest.h>
#include <sdk/base/memory.h>
#include <sdk/base/text_file.h>
#include <tools/protoc-gen-berth/names.h>

#include "command.h"

#define TEMPLATE_FILES 8

struct template
{
    char *texts[TEMPLATE_FILES];
};

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
    return memory_format("%.*s", (int)(strrchr(service, '.') - service), service);
}

/* The name of the Python module that protoc writes. */
static char *python_module(const char *name)
{
    char *module = memory_copy(name);

    for (char *c = module; *c != '\0'; c++)
        *c = *c == '-' ? '_' : *c;
    return module;
}

static char *table_name(const char *plugin, const char *service)
{
    char *words = names_words(strrchr(service, '.') + 1);
    char *table = memory_format("%s_%s_handlers", plugin, words);

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

    markers[0] = (struct marker){"@name@", memory_format("%s", name)};
    markers[1] = (struct marker){"@c_name@", c_name};
    markers[2] = (struct marker){"@package@", package};
    markers[3] = (struct marker){"@camel@", names_type(package)};
    markers[4] = (struct marker){"@upper@", names_upper(symbol)};
    markers[5] = (struct marker){"@type@", memory_format("%s", type)};
    markers[6] = (struct marker){"@service@", memory_format("%s", strrchr(service, '.') + 1)};
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
        return memory_copy(BERTH_TEMPLATE_DIR);
    self[length] = '\0';
    slash = strrchr(self, '/');
    return memory_format("%.*s/../share/berth/template", slash == NULL ? 0 : (int)(slash - self), self);
}

static void template_finish(struct template *template)
{
    for (size_t i = 0; i < TEMPLATE_FILES; i++)
        free(template->texts[i]);
    *template = (struct template){0};
}

/* Reads all files of the template. @param directory  NULL: where the SDK is installed. */
static enum berth_code template_load(struct template *template, const char *directory,
                                     struct berth_error *err)
{
    char *from = directory == NULL ? find_directory() : memory_copy(directory);
    enum berth_code code = BERTH_OK;

    *template = (struct template){0};
    for (size_t i = 0; i < TEMPLATE_FILES && code == BERTH_OK; i++) {
        char *path = memory_format("%s/%s", from, files[i].source);
        size_t length;

        code = text_file_read(path, TEXT_MAX_BYTES, &template->texts[i], &length, err);
        free(path);
    }
    free(from);
    if (code != BERTH_OK)
        template_finish(template);
    return code;
}

static enum berth_code write_one(const char *directory, const char *target, const char *text,
                                 const struct marker markers[static MARKERS], struct berth_error *err)
{
    char *name = fill(target, markers);
    char *path = memory_format("%s/%s", directory, name);
    char *filled = fill(text, markers);
    enum berth_code code = text_file_write(path, filled, err);

    free(filled);
    free(path);
    free(name);
    return code;
}

/* Writes them into an empty directory. @param service  including its package: "harbour.v1.Ships". */
static enum berth_code template_write(const struct template *template, const char *directory,
                                      const char *name, const char *type, const char *service,
                                      struct berth_error *err)
{
    struct marker markers[MARKERS];
    enum berth_code code = BERTH_OK;

    markers_init(markers, name, type, service);
    for (size_t i = 0; i < TEMPLATE_FILES && code == BERTH_OK; i++)
        code = write_one(directory, files[i].target, template->texts[i], markers, err);
    markers_finish(markers);
    return code;
}

#define NAME_MAX_LENGTH 60
#define SERVICE_MAX_LENGTH 200

struct arguments {
    const char *name;
    const char *directory;
    const char *type;
    const char *service;
    const char *template;
};

/*
 * Lower-case letters, digits and single dashes: it becomes an id, a file name, a package and part of C names.
 */
static bool name_is_valid(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > NAME_MAX_LENGTH || !islower((unsigned char)name[0]))
        return false;
    for (size_t i = 1; i < length; i++) {
        bool dash = name[i] == '-';

        if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]) && !dash)
            return false;
        if (dash && (name[i - 1] == '-' || name[i + 1] == '\0'))
            return false;
    }
    return true;
}

static bool service_is_valid(const char *service)
{
    return names_is_full(service) && strchr(service, '.') != NULL && strlen(service) <= SERVICE_MAX_LENGTH;
}

/* "harbour-2" exports "harbour_2.Greeter". The caller frees. */
static char *default_service(const char *name)
{
    char *service = memory_format("%s.Greeter", name);

    for (char *c = service; *c != '\0'; c++)
        *c = *c == '-' ? '_' : *c;
    return service;
}

static bool make_directory(const char *path)
{
    if (mkdir(path, 0777) == 0)
        return true;
    /* Removing succeeds only for an empty directory. */
    if (errno == EEXIST && rmdir(path) == 0 && mkdir(path, 0777) == 0)
        return true;
    if (errno == ENOTEMPTY || errno == ENOTDIR || errno == EEXIST)
        fprintf(stderr,
                "berth-sdk: %s already exists and is not empty; nothing was written (choose another --dir)\n",
                path);
    else
        fprintf(stderr, "berth-sdk: %s: cannot be created: %s\n", path, strerror(errno));
    return false;
}

static void print_next(const struct arguments *arguments)
{
    printf("%s: created the plugin %s.%s. Next:\n"
           "\n"
           "    cd %s\n"
           "    meson setup build && meson test -C build\n"
           "\n"
           "Then see its README.md, and its settings in plugin.yaml.\n",
           arguments->directory, arguments->type, arguments->name, arguments->directory);
}

static int read_arguments(const struct cli_line *line, struct arguments *ret)
{
    *ret = (struct arguments){
        .name = line->words[0],
        .directory = cli_has(line, "dir") ? cli_value(line, "dir") : line->words[0],
        .type = cli_has(line, "type") ? cli_value(line, "type") : "io.containerd.grpc.v1",
        .service = cli_value(line, "service"),
        .template = cli_value(line, "template"),
    };
    if (!name_is_valid(ret->name))
        return cli_refuse(
            line,
            "\"%s\" is not a valid name: use lower-case letters, digits and single dashes, at most "
            "%d, starting with a letter",
            ret->name, NAME_MAX_LENGTH);
    if (!manifest_type_is_valid(ret->type))
        return cli_refuse(line, "--type: \"%s\" is not a type; use a name such as io.containerd.grpc.v1",
                          ret->type);
    if (ret->service != NULL && !service_is_valid(ret->service))
        return cli_refuse(line, "--service: \"%s\" is not PACKAGE.SERVICE, such as harbour.v1.Ships",
                          ret->service);
    return CLI_GO_ON;
}

static enum berth_code write_folder(const struct arguments *arguments, const struct template *template,
                                    struct berth_error *err)
{
    char *service = arguments->service != NULL ? memory_format("%s", arguments->service)
                                               : default_service(arguments->name);
    enum berth_code code =
        template_write(template, arguments->directory, arguments->name, arguments->type, service, err);

    free(service);
    return code;
}

int command_new(const struct command_options *options)
{
    struct arguments arguments;
    int code = read_arguments(options->line, &arguments);
    struct template template;
    struct berth_error err;

    if (code != CLI_GO_ON)
        return code;
    if (template_load(&template, arguments.template, &err) != BERTH_OK) {
        fprintf(stderr, "berth-sdk: %s\n", err.message);
        return EXIT_BAD;
    }
    code = EXIT_BAD;
    if (make_directory(arguments.directory)) {
        if (write_folder(&arguments, &template, &err) == BERTH_OK)
            code = EXIT_FINE;
        else
            fprintf(stderr, "berth-sdk: %s\n", err.message);
    }
    template_finish(&template);
    if (code == EXIT_FINE)
        print_next(&arguments);
    return code;
}

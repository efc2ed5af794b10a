/* SPDX-License-Identifier: Apache-2.0 */
/* berth-sdk new: creates a plugin's directory from the SDK's template. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <core/manifest/manifest.h>
#include <tools/protoc-gen-berth/names.h>

#include "command.h"
#include "template.h"

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
    char *service = names_format("%s.Greeter", name);

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
    char *service = arguments->service != NULL ? names_format("%s", arguments->service)
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

/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl services and describe: what a server offers, as its reflection says. */
#include "command.h"

#include <stdlib.h>
#include <string.h>

#include <config/print/json.h>
#include <config/text/utf8.h>

#include <sdk/base/memory.h>

#include <tools/berthctl/print/json_text.h>
#include <tools/berthctl/daemon/reflect.h>
#include <tools/berthctl/print/table.h>

static const char *kind_name(enum berth_method_kind kind)
{
    static const char *const names[] = {"unary", "server stream", "client stream", "bidi stream"};

    return names[kind];
}

static void add_methods(struct table *table, const struct reflect *reflect, const char *service)
{
    struct berth_json_method method;

    for (size_t i = 0; berth_json_method_at(reflect->types, service, i, &method); i++) {
        char path[2048];

        snprintf(path, sizeof(path), "%s/%s", service, method.name);
        table_add(table, path);
        table_add(table, kind_name(method.kind));
        table_add(table, method.input);
        table_add(table, method.output);
        table_end_line(table);
    }
}

static void print_services(const struct reflect *reflect, const struct reflect_names *services,
                           const struct command_options *options)
{
    struct table table = {0};

    for (size_t i = 0; i < services->count; i++)
        if (options->with_methods)
            add_methods(&table, reflect, services->names[i]);
        else
            puts(services->names[i]);
    table_print(&table, stdout, options->with_colours);
    table_finish(&table);
}

static void print_services_json(const struct reflect *reflect, const struct reflect_names *services)
{
    struct config_json json = {.out = stdout};
    struct berth_json_method method;

    config_json_open(&json, NULL, '[');
    for (size_t i = 0; i < services->count; i++) {
        config_json_open(&json, NULL, '{');
        config_json_string(&json, "name", services->names[i]);
        config_json_open(&json, "methods", '[');
        for (size_t k = 0; berth_json_method_at(reflect->types, services->names[i], k, &method); k++) {
            config_json_open(&json, NULL, '{');
            config_json_string(&json, "name", method.name);
            config_json_string(&json, "kind", kind_name(method.kind));
            config_json_string(&json, "request", method.input);
            config_json_string(&json, "response", method.output);
            config_json_bool(&json, "no_side_effects", method.has_no_side_effects);
            config_json_close(&json, '}');
        }
        config_json_close(&json, ']');
        config_json_close(&json, '}');
    }
    config_json_close(&json, ']');
}

/* A service that the server lists without describing it has no methods here. */
static enum berth_code learn_all(struct reflect *reflect, const struct reflect_names *services,
                                 struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < services->count && code == BERTH_OK; i++) {
        code = reflect_learn(reflect, services->names[i], err);
        if (code == BERTH_NOT_FOUND)
            code = BERTH_OK;
    }
    return code;
}

int command_services(const struct command_options *options)
{
    struct reflect_names services = {0};
    struct reflect reflect;
    struct berth_error err;
    enum berth_code code = reflect_begin(&reflect, &options->client, options->protoset, &err);

    if (code == BERTH_OK)
        code = reflect_services(&reflect, &services, &err);
    if (code == BERTH_OK && (options->json || options->with_methods))
        code = learn_all(&reflect, &services, &err);
    if (code == BERTH_OK && options->json)
        print_services_json(&reflect, &services);
    else if (code == BERTH_OK)
        print_services(&reflect, &services, options);
    reflect_names_finish(&services);
    reflect_finish(&reflect);
    return code == BERTH_OK ? COMMAND_EXIT_OK : command_fail(options, code, &err);
}

/* A .proto's text, a line at a time: comments in it come from the server. */
static void print_text(char *text)
{
    for (char *line; (line = strsep(&text, "\n")) != NULL && (text != NULL || *line != '\0');) {
        utf8_write_line(stdout, line);
        putchar('\n');
    }
}

static enum berth_code print_description(const struct reflect *reflect, const char *name, bool as_json,
                                         struct berth_error *err)
{
    char *text;
    enum berth_code code = berth_json_describe(reflect->types, name, as_json, &text, err);

    if (code != BERTH_OK)
        return code;
    if (as_json)
        json_text_write(stdout, text, strlen(text));
    else
        print_text(text);
    free(text);
    return code;
}

/* JSON between single quotes of a shell, in which it must have none: defaults of fields come from the server.
 */
static void print_quoted(const char *text, size_t length)
{
    for (const char *end = text + length; text < end;) {
        const char *quote = memchr(text, '\'', (size_t)(end - text));
        const char *stop = quote != NULL ? quote : end;

        json_text_write(stdout, text, (size_t)(stop - text));
        if (quote != NULL)
            fputs("\\u0027", stdout);
        text = quote != NULL ? quote + 1 : end;
    }
}

/* Both messages, and a request to start from. */
static enum berth_code print_method(const struct reflect *reflect, const char *service,
                                    const struct berth_json_method *method, struct berth_error *err)
{
    const struct berth_json_options with_defaults = {.size = sizeof(with_defaults), .emit_defaults = true};
    enum berth_code code;
    size_t length;
    char *request;

    putchar('\n');
    code = print_description(reflect, method->input, false, err);
    if (code == BERTH_OK && strcmp(method->input, method->output) != 0) {
        putchar('\n');
        code = print_description(reflect, method->output, false, err);
    }
    if (code == BERTH_OK)
        code = berth_json_from_message(reflect->types, method->input, "", 0, &with_defaults, &request,
                                       &length, err);
    if (code != BERTH_OK)
        return code;
    printf("\nberthctl call %s/%s '", service, method->name);
    print_quoted(request, length);
    puts("'");
    free(request);
    return BERTH_OK;
}

/* A method by its path or full name; @return is it one? */
static bool find_method(const struct reflect *reflect, const char *name, char **ret_service,
                        struct berth_json_method *ret_method)
{
    const char *end = strrchr(name, '.');
    struct berth_error err;

    if (end == NULL)
        return false;
    *ret_service = memory_copy(name);
    (*ret_service)[end - name] = '\0';
    if (berth_json_method_find(reflect->types, *ret_service, end + 1, ret_method, &err) == BERTH_OK)
        return true;
    free(*ret_service);
    return false;
}

/* The full name of what is called so: a symbol, a service by its end, or a method of such a service. */
static enum berth_code find_name(struct reflect *reflect, const char *name, char **ret_name,
                                 struct berth_error *err)
{
    enum berth_code code = reflect_learn(reflect, name, err);
    const char *end = strrchr(name, '.');
    struct berth_json_method method;
    struct berth_error reason;
    char *start, *service;

    if (code == BERTH_OK)
        *ret_name = memory_copy(name);
    if (code != BERTH_NOT_FOUND)
        return code;
    code = reflect_find_service(reflect, name, ret_name, &reason);
    if (code != BERTH_NOT_FOUND || end == NULL)
        return berth_error_set(err, code, "%s", reason.message);
    start = memory_copy(name);
    start[end - name] = '\0';
    code = reflect_find_service(reflect, start, &service, err);
    free(start);
    if (code != BERTH_OK)
        return berth_error_set(err, code, "%s", reason.message);
    code = berth_json_method_find(reflect->types, service, end + 1, &method, err);
    if (code == BERTH_OK)
        *ret_name = memory_format("%s.%s", service, method.name);
    free(service);
    return code;
}

static enum berth_code describe(struct reflect *reflect, const char *word, bool as_json,
                                struct berth_error *err)
{
    struct berth_json_method method;
    char *service, *name;
    enum berth_code code = find_name(reflect, word, &name, err);

    if (code != BERTH_OK)
        return code;
    code = print_description(reflect, name, as_json, err);
    if (code == BERTH_OK && !as_json && find_method(reflect, name, &service, &method)) {
        code = print_method(reflect, service, &method, err);
        free(service);
    }
    free(name);
    return code;
}

int command_describe(const struct command_options *options)
{
    const char *word = options->words[0];
    char *name = memory_copy(word + (*word == '/' || *word == '.')), *slash = strrchr(name, '/');
    struct reflect reflect;
    struct berth_error err;
    enum berth_code code = reflect_begin(&reflect, &options->client, options->protoset, &err);

    if (slash != NULL)
        *slash = '.';
    if (code == BERTH_OK)
        code = describe(&reflect, name, options->json, &err);
    reflect_finish(&reflect);
    free(name);
    if (code == BERTH_NOT_FOUND) {
        fprintf(stderr, "berthctl: describe: \"%s\" is not a method, message or enum, and %s\n", word,
                err.message);
        return COMMAND_EXIT_BAD_NEWS;
    }
    if (code != BERTH_OK && reflect.has_answered_error) {
        fprintf(stderr, "berthctl: describe: %s\n", err.message);
        return COMMAND_EXIT_BAD_NEWS;
    }
    return code == BERTH_OK ? COMMAND_EXIT_OK : command_fail(options, code, &err);
}

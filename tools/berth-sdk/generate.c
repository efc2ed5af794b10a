/* SPDX-License-Identifier: Apache-2.0 */
/* berth-sdk generate: writes the header and source that turn an author's code into a module. */
#include <stdlib.h>
#include <string.h>

#include <berth/plugin.h>

#include <sdk/base/memory.h>
#include <sdk/base/text_file.h>
#include <tools/protoc-gen-berth/names.h>

#include "command.h"
#include "generate.h"

struct arguments {
    const char *manifest;
    const char *directory;
    const char *header;
    const char *source;
};

static void print_diagnostics(struct config_diagnostics *diagnostics)
{
    config_diagnostics_sort(diagnostics);
    for (size_t i = 0; i < diagnostics->count; i++) {
        bool is_warning = diagnostics->items[i].severity == CONFIG_WARNING;
        char *line = config_diagnostic_format(&diagnostics->items[i]);

        fprintf(stderr, "berth-sdk: %s%s\n", is_warning ? "warning: " : "", line);
        free(line);
    }
    config_diagnostics_finish(diagnostics);
}

static char *output_path(const struct arguments *arguments, const char *given,
                         const struct manifest *manifest, const char *suffix)
{
    if (given != NULL)
        return memory_copy(given);
    return memory_format("%s/%s-plugin.%s", arguments->directory, manifest->module, suffix);
}

static bool write_output(const char *path, const char *text)
{
    struct berth_error err;

    if (text_file_write(path, text, &err) == BERTH_OK)
        return true;
    fprintf(stderr, "berth-sdk: %s\n", err.message);
    return false;
}

static bool write_header(const struct generate_model *model, const char *path, const char *header_name)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (out == NULL)
        abort();
    generate_header(out, model, header_name);
    fclose(out);

    bool written = write_output(path, text);

    free(text);
    return written;
}

static bool write_source(const struct generate_model *model, const char *path, const char *header_name,
                         const char *note)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (out == NULL)
        abort();
    generate_source(out, model, header_name, note);
    fclose(out);

    bool written = write_output(path, text);

    free(text);
    return written;
}

static bool write_both(const struct arguments *arguments, const struct generate_model *model,
                       const char *note)
{
    char *header = output_path(arguments, arguments->header, model->manifest, "h");
    char *source = output_path(arguments, arguments->source, model->manifest, "c");
    const char *slash = strrchr(header, '/');
    const char *header_name = slash == NULL ? header : slash + 1;
    bool written = write_header(model, header, header_name) && write_source(model, source, header_name, note);

    free(header);
    free(source);
    return written;
}

static int generate_from(const struct arguments *arguments, const char *yaml, size_t length)
{
    struct config_diagnostics diagnostics = {0};
    char *note = NULL;
    struct manifest *manifest = manifest_parse_source(arguments->manifest, yaml, length, &diagnostics, &note);
    struct generate_model model = {0};
    bool fine = manifest != NULL && generate_model_init(&model, manifest, &diagnostics);

    if (fine && strlen(note) >= BERTH_NOTE_MAX)
        config_diagnostics_add(&diagnostics, CONFIG_ERROR, &(struct config_mark){.file = arguments->manifest},
                               "%zu bytes with aliases expanded, the maximum is %u", strlen(note),
                               BERTH_NOTE_MAX - 1);
    fine = fine && diagnostics.error_count == 0;
    print_diagnostics(&diagnostics);
    fine = fine && write_both(arguments, &model, note);
    free(note);
    generate_model_finish(&model);
    manifest_destroy(manifest);
    return fine ? EXIT_FINE : EXIT_BAD;
}

static int read_arguments(const struct cli_line *line, struct arguments *ret)
{
    *ret = (struct arguments){
        .manifest = line->words[0],
        .directory = cli_has(line, "output") ? cli_value(line, "output") : ".",
        .header = cli_value(line, "header"),
        .source = cli_value(line, "source"),
    };
    if ((ret->header == NULL) != (ret->source == NULL))
        return cli_refuse(line, "--header and --source must be used together");
    return CLI_GO_ON;
}

int command_generate(const struct command_options *options)
{
    struct arguments arguments;
    int code = read_arguments(options->line, &arguments);
    struct berth_error err;
    char *yaml;
    size_t length;

    if (code != CLI_GO_ON)
        return code;
    if (text_file_read(arguments.manifest, BERTH_NOTE_MAX - 1, &yaml, &length, &err) != BERTH_OK) {
        fprintf(stderr, "berth-sdk: %s\n", err.message);
        return EXIT_BAD;
    }
    code = generate_from(&arguments, yaml, length);
    free(yaml);
    return code;
}

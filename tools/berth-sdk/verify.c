/* SPDX-License-Identifier: Apache-2.0 */
/* berth-sdk verify: decides on signatures as a host with the same keys would. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/print/json.h>
#include <config/text/utf8.h>
#include <core/elf/elf.h>
#include <core/manifest/manifest.h>
#include <core/scan/scan.h>
#include <core/trust/trust.h>
#include <sdk/base/memory.h>
#include <sdk/base/text_file.h>

#include "command.h"

struct verdict {
    struct trust_seal seal;
    /* NULL for a file without a note. */
    struct manifest *manifest;
    enum berth_code code;
    struct berth_error err;
};

/* Of the files that --key names and of those in the folders that --trusted names. */
static struct trust_text *list_keys(const struct command_options *options, size_t *ret_count)
{
    size_t key_count, folder_count, count = 0;
    const char *const *keys = cli_values(options->line, "key", &key_count);
    const char *const *folders = cli_values(options->line, "trusted", &folder_count);
    struct trust_text *texts = memory_allocate(key_count + folder_count + 1, sizeof(*texts));

    for (size_t i = 0; i < key_count; i++)
        texts[count++] = (struct trust_text){memory_copy(keys[i]), {.file = "--key"}};
    for (size_t i = 0; i < folder_count; i++)
        texts[count++] = (struct trust_text){memory_format("%s/*.pub", folders[i]), {.file = "--trusted"}};
    if (count == 0)
        texts[count++] = (struct trust_text){memory_copy(TRUST_DEFAULT_KEYS), {0}};
    *ret_count = count;
    return texts;
}

static void read_module(const char *path, const char *bytes, size_t length, struct trust *trust,
                        struct verdict *verdict)
{
    struct config_diagnostics diagnostics = {.forgives_unknown = true};
    struct berth_error ignored;
    size_t text_length;
    char *text;

    if (note_find(bytes, length, path, &text, &text_length, &ignored) != BERTH_OK)
        return;
    verdict->manifest = manifest_parse(path, text, text_length, &diagnostics);
    free(text);
    if (verdict->manifest == NULL)
        verdict->code = berth_error_set(&verdict->err, BERTH_INVALID_ARGUMENT,
                                        "%s: invalid manifest; run berth-sdk check on it", path);
    else
        verdict->code = trust_check_module(trust, path, &verdict->seal, verdict->manifest->module,
                                           verdict->manifest->version, &verdict->err);
    config_diagnostics_finish(&diagnostics);
}

static void judge(const char *given, struct trust *trust, struct verdict *verdict)
{
    char *real = realpath(given, NULL), *bytes;
    const char *path = real != NULL ? real : given;
    size_t length;

    *verdict = (struct verdict){0};
    verdict->code = text_file_read(path, SCAN_FILE_MAX, &bytes, &length, &verdict->err);
    if (verdict->code == BERTH_OK) {
        verdict->code = trust_check_file(trust, path, bytes, length, &verdict->seal, &verdict->err);
        if (verdict->code == BERTH_OK)
            read_module(path, bytes, length, trust, verdict);
        free(bytes);
    }
    free(real);
}

static void print_text(const char *path, const struct verdict *verdict)
{
    FILE *out = verdict->code == BERTH_OK ? stdout : stderr;

    if (verdict->code == BERTH_OK) {
        utf8_write_line(out, path);
        fprintf(out, ": signed by %s: %s", verdict->seal.key_id, verdict->seal.comment);
    } else {
        fputs("berth-sdk: ", out);
        utf8_write_line(out, verdict->err.message);
    }
    fputc('\n', out);
}

static void print_json(struct config_json *json, const char *path, const struct verdict *verdict)
{
    bool is_fine = verdict->code == BERTH_OK;

    config_json_open(json, NULL, '{');
    config_json_string(json, "path", path);
    config_json_bool(json, "ok", is_fine);
    config_json_string(json, "code", berth_code_name(verdict->code));
    config_json_string(json, "reason", is_fine ? NULL : verdict->err.message);
    config_json_string(json, "signer", verdict->seal.key_id);
    config_json_bool(json, "signature_verified", verdict->seal.state == TRUST_SIGNED);
    config_json_string(json, "signer_comment", verdict->seal.comment);
    config_json_string(json, "module", verdict->manifest != NULL ? verdict->manifest->module : NULL);
    config_json_string(json, "version", verdict->manifest != NULL ? verdict->manifest->version : NULL);
    config_json_close(json, '}');
}

static int verify_files(const struct cli_line *line, struct trust *trust)
{
    struct config_json json = {.out = stdout};
    bool is_json = cli_has(line, "json");
    int code = EXIT_FINE;

    if (is_json)
        config_json_open(&json, NULL, '[');
    for (size_t i = 0; i < line->word_count; i++) {
        struct verdict verdict;

        judge(line->words[i], trust, &verdict);
        if (is_json)
            print_json(&json, line->words[i], &verdict);
        else
            print_text(line->words[i], &verdict);
        if (verdict.code != BERTH_OK)
            code = EXIT_BAD;
        manifest_destroy(verdict.manifest);
        trust_seal_finish(&verdict.seal);
    }
    if (is_json)
        config_json_close(&json, ']');
    return code;
}

static void print_problems(const struct config_diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++) {
        char *line = config_diagnostic_format(&diagnostics->items[i]);

        fprintf(stderr, "berth-sdk: %s%s\n",
                diagnostics->items[i].severity == CONFIG_WARNING ? "warning: " : "", line);
        free(line);
    }
}

static bool has_no_key(const struct cli_line *line)
{
    glob_t found;
    bool is_none;

    if (cli_has(line, "key") || cli_has(line, "trusted"))
        return false;
    is_none = glob(TRUST_DEFAULT_KEYS, 0, NULL, &found) == GLOB_NOMATCH;
    globfree(&found);
    return is_none;
}

int command_verify(const struct command_options *options)
{
    struct config_diagnostics diagnostics = {0};
    size_t count;
    struct trust_text *keys = list_keys(options, &count);
    const struct trust_options wanted = {.require = TRUST_REQUIRE_SIGNATURE,
                                         .require_mark = {.file = "--key"},
                                         .keys = keys,
                                         .key_count = count,
                                         .keys_of_anybody = true};
    struct trust *trust = trust_create(&wanted, &diagnostics);
    int code = EXIT_BAD;

    if (has_no_key(options->line))
        fprintf(stderr,
                "berth-sdk: verify: no public key matches %s; name one with --key FILE or --trusted DIR\n",
                TRUST_DEFAULT_KEYS);
    else
        print_problems(&diagnostics);
    if (diagnostics.error_count == 0)
        code = verify_files(options->line, trust);
    trust_destroy(trust);
    config_diagnostics_finish(&diagnostics);
    for (size_t i = 0; i < count; i++)
        free((char *)(uintptr_t)keys[i].text);
    free(keys);
    return code;
}

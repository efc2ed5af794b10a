/* SPDX-License-Identifier: Apache-2.0 */
/* berthd plan: shows what run would do, without running plugin code. */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <core/survey/survey.h>
#include <core/worker/isolated.h>
#include <sdk/base/memory.h>
#include <sdk/base/text_file.h>

static bool all_will_run(const struct survey *survey)
{
    for (size_t i = 0; i < survey->plan->count; i++) {
        const struct plan_entry *entry = &survey->plan->entries[i];

        if (entry->state == BERTH_STATE_BLOCKED || entry->state == BERTH_STATE_QUARANTINED ||
            (entry->state == BERTH_STATE_REJECTED && !entry->is_replaced))
            return false;
    }
    return survey->rejected_count == 0;
}

static void print(const struct survey *survey, const struct command_options *options)
{
    struct isolated_planned planned = {survey->plan, survey->settings};

    if (cli_has(options->line, "json"))
        plan_print_json(stdout, survey->plan, &survey->scan, isolated_print_json, &planned);
    else if (cli_has(options->line, "dot"))
        plan_print_dot(stdout, survey->plan);
    else {
        plan_print_text(stdout, survey->plan, &survey->scan);
        isolated_print_text(stdout, survey->plan, survey->settings);
    }
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* @return the lock file's text, malloced. */
static char *format_lock(const struct catalog *catalog, size_t *ret_count)
{
    size_t count = 0;
    struct trust_locked *items =
        memory_allocate(catalog->manifest_count + catalog->library_count, sizeof(*items));
    char *text;

    for (size_t i = 0; i < catalog->manifest_count; i++) {
        const struct manifest *manifest = catalog->manifests[i];

        items[count++] = (struct trust_locked){
            .module = manifest->module,
            .version = manifest->version,
            .file = name_of(manifest->path),
            .sha256 = manifest->sha256,
            .signer = manifest->is_verified ? manifest->signer : NULL,
        };
    }
    for (size_t i = 0; i < catalog->library_count; i++)
        if (catalog->libraries[i].objection == NULL)
            items[count++] = (struct trust_locked){.file = name_of(catalog->libraries[i].path),
                                                   .sha256 = catalog->libraries[i].sha256};
    text = trust_lock_format(items, count);
    free(items);
    *ret_count = count;
    return text;
}

/* Readable by everybody, as it holds no secret. */
static enum berth_code write_lock(const char *path, const char *text, struct berth_error *err)
{
    struct stat like = {.st_mode = 0644, .st_uid = geteuid(), .st_gid = getegid()};
    struct stat status;

    if (stat(path, &status) == 0)
        like = status;
    return text_file_keep(path, text, &like, err);
}

static int lock(const struct command_options *options)
{
    const char *path = options->line->word_count > 0 ? options->line->words[0] : NULL;
    struct settings_options settings = options->settings;
    struct survey survey;
    int code = DAEMON_EXIT_CONFIG;
    bool is_good;

    settings.is_locking = true;
    is_good = survey_take(&settings, NULL, &survey) && survey_is_good(&survey);
    survey_print_diagnostics(&survey);
    if (is_good && path == NULL)
        path = survey.settings->trust.lock.text;
    if (is_good && path == NULL) {
        code = cli_refuse(options->line, "--lock: name a file, or set lock in the configuration");
    } else if (is_good) {
        struct berth_error err;
        size_t count;
        char *text = format_lock(&survey.catalog, &count);

        code = write_lock(path, text, &err) == BERTH_OK ? DAEMON_EXIT_OK : DAEMON_EXIT_FAILED;
        if (code == DAEMON_EXIT_OK)
            printf("%s: %zu file%s locked\n", path, count, count == 1 ? "" : "s");
        else
            fprintf(stderr, "berthd: %s\n", err.message);
        free(text);
    }
    survey_finish(&survey);
    return code;
}

int command_plan(const struct command_options *options)
{
    struct settings_options settings = options->settings;
    struct survey survey;
    int code = DAEMON_EXIT_CONFIG;
    bool good, would_start = false;

    if (cli_has(options->line, "lock") && !cli_has(options->line, "against"))
        return lock(options);
    if (options->line->word_count > 0)
        return cli_refuse(options->line, "\"%s\": FILE is for --lock", options->line->words[0]);
    if (cli_has(options->line, "against"))
        return command_plan_against(options);
    settings.look_at_files = true;
    good = survey_take(&settings, NULL, &survey) && survey_check(&survey);

    if (good) {
        survey_plan(&survey);
        would_start = survey_would_start(&survey);
    }
    survey_print_diagnostics(&survey);
    if (good) {
        print(&survey, options);
        if (!would_start)
            fputs("berthd: the daemon would not start\n", stderr);
        code = would_start && all_will_run(&survey) ? DAEMON_EXIT_OK : DAEMON_EXIT_FAILED;
    }
    survey_finish(&survey);
    return code;
}

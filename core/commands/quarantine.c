/* SPDX-License-Identifier: Apache-2.0 */
/* berthd quarantine: lists and lifts what the daemon keeps about plugins that killed it. */
#include "command.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <config/print/json.h>

#include <core/survey/survey.h>
#include <core/crash/crash.h>
#include <sdk/base/rfc3339.h>

/* Only the folder is needed, so a configuration whose plugins are wrong will do. */
static int read_deaths(const struct command_options *options, struct survey *survey, struct deaths *deaths)
{
    char others[BERTH_ERROR_MAX];
    struct berth_error error;

    if (!survey_take(&options->settings, NULL, survey)) {
        survey_print_diagnostics(survey);
        survey_finish(survey);
        return DAEMON_EXIT_CONFIG;
    }
    if (deaths_read(survey->settings->state, deaths, &error) == BERTH_OK) {
        if (deaths_describe_others(deaths, survey->settings->state, others))
            fprintf(stderr, "berthd: %s\n", others);
        return DAEMON_EXIT_OK;
    }
    fprintf(stderr, "berthd: %s\n", error.message);
    deaths_finish(deaths);
    survey_finish(survey);
    return DAEMON_EXIT_FAILED;
}

static const char *format_time(int64_t time_s, char ret_text[RFC3339_MAX])
{
    return *rfc3339_format(time_s, 0, 0, ret_text) != '\0' ? ret_text : "-";
}

static void print_json(const struct deaths *deaths)
{
    struct config_json json = {.out = stdout};
    char time[RFC3339_MAX];

    config_json_open(&json, NULL, '[');
    for (size_t i = 0; i < deaths->count; i++) {
        const struct death *death = &deaths->items[i];

        config_json_open(&json, NULL, '{');
        config_json_string(&json, "uri", death->uri);
        config_json_bool(&json, "quarantined", death->is_quarantine);
        config_json_string(&json, "time", format_time(death->time_s, time));
        config_json_string(&json, "what", death->what);
        config_json_close(&json, '}');
    }
    config_json_close(&json, ']');
}

static void print_text(const struct deaths *deaths, bool only_uris)
{
    char time[RFC3339_MAX];

    if (!only_uris && deaths->count > 0)
        printf("%-20s  %-11s  PLUGIN\n", "TIME", "EVENT");
    for (size_t i = 0; i < deaths->count; i++) {
        const struct death *death = &deaths->items[i];

        if (!only_uris)
            printf("%-20s  %-11s  %s: %s\n", format_time(death->time_s, time),
                   death->is_quarantine ? "quarantined" : "crash", death->uri, death->what);
        else if (death->is_quarantine)
            printf("%s\n", death->uri);
    }
}

int command_quarantine_ls(const struct command_options *options)
{
    struct survey survey;
    struct deaths deaths;
    int code = read_deaths(options, &survey, &deaths);

    if (code != DAEMON_EXIT_OK)
        return code;
    if (cli_has(options->line, "json"))
        print_json(&deaths);
    else
        print_text(&deaths, cli_has(options->line, "quiet"));
    deaths_finish(&deaths);
    survey_finish(&survey);
    return code;
}

int command_quarantine_clear(const struct command_options *options)
{
    const char *uri = options->line->word_count > 0 ? options->line->words[0] : NULL;
    struct survey survey;
    struct deaths deaths;
    struct berth_error error;
    size_t before, lifted;
    int code = read_deaths(options, &survey, &deaths);

    if (code != DAEMON_EXIT_OK)
        return code;
    before = deaths.count;
    lifted = deaths_forget(&deaths, uri);
    if (uri != NULL && deaths.count == before) {
        fprintf(stderr, "berthd: %s: not quarantined\n", uri);
        code = DAEMON_EXIT_FAILED;
    } else if (deaths.count != before && deaths_write(survey.settings->state, &deaths, &error) != BERTH_OK) {
        fprintf(stderr, "berthd: %s\n", error.message);
        code = DAEMON_EXIT_FAILED;
    } else {
        fprintf(stderr, "%zu quarantine%s lifted%s\n", lifted, lifted == 1 ? "" : "s",
                lifted > 0 ? "; run `berthctl reload` or start berthd to load what was quarantined" : "");
    }
    deaths_finish(&deaths);
    survey_finish(&survey);
    return code;
}

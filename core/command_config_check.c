/* SPDX-License-Identifier: Apache-2.0 */
/* berthd config check: all that is wrong with the configuration, at once. */
#include "command.h"

#include <stdio.h>

#include <config/utf8.h>

#include "loading.h"
#include "survey.h"

static void on_line(void *context, enum berth_log_level level, const char *uri, enum berth_code code,
                    const char *text)
{
    fputs(level == BERTH_LOG_ERROR ? "" : "warning: ", stderr);
    utf8_write_line(stderr, text);
    fputc('\n', stderr);
}

/* Loads what would run and lets it judge its settings; nothing is prepared or started. Every failure is
 * printed. @return how many plugins failed. */
static size_t load(struct survey *survey)
{
    struct registry *registry = registry_create(survey->plan, uv_hrtime());
    struct notices notices = {0};
    struct loading loading = {
        .scan = &survey->scan,
        .settings = survey->settings,
        .registry = registry,
        .notices = &notices,
        .on_line = on_line,
    };
    size_t failed = 0;

    loading_run(&loading);
    for (size_t i = 0; i < survey->plan->run_count; i++)
        failed += registry_get(registry, i)->state == BERTH_STATE_FAILED;
    loading_finish(&loading);
    notices_finish(&notices);
    registry_destroy(registry);
    return failed;
}

int command_config_check(const struct command_options *options)
{
    struct settings_options settings = options->settings;
    struct survey survey;
    bool good, would_start = false;
    size_t failed = 0;

    settings.look_at_files = true;
    good = survey_take(&settings, &survey) && survey_check(&survey);

    if (good) {
        survey_plan(&survey);
        would_start = survey_would_start(&survey);
    }
    survey_print_diagnostics(&survey);
    if (good && options->load)
        failed = load(&survey);
    if (failed > 0)
        fprintf(stderr, "berthd: %zu plugin%s could not be loaded with this configuration\n", failed,
                failed == 1 ? "" : "s");
    else if (would_start)
        printf("the configuration is fine; %zu module%s found\n", survey.manifest_count,
               survey.manifest_count == 1 ? "" : "s");
    else if (good)
        fputs("berthd: the configuration is valid, but the daemon would not start\n", stderr);
    else
        fprintf(stderr, "berthd: the configuration has %zu error%s\n", survey.diagnostics.error_count,
                survey.diagnostics.error_count == 1 ? "" : "s");
    survey_finish(&survey);
    return failed > 0    ? DAEMON_EXIT_CONFIG
           : would_start ? DAEMON_EXIT_OK
           : good        ? DAEMON_EXIT_FAILED
                         : DAEMON_EXIT_CONFIG;
}

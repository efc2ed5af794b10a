/* SPDX-License-Identifier: Apache-2.0 */
/* berthd plan: shows what run would do, without running plugin code. */
#include "command.h"

#include <stdio.h>

#include <core/survey.h>
#include <core/worker/isolated.h>

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
    if (cli_has(options->line, "json"))
        plan_print_json(stdout, survey->plan, &survey->scan);
    else if (cli_has(options->line, "dot"))
        plan_print_dot(stdout, survey->plan);
    else {
        plan_print_text(stdout, survey->plan, &survey->scan);
        isolated_print_text(stdout, survey->plan, survey->settings);
    }
}

int command_plan(const struct command_options *options)
{
    struct settings_options settings = options->settings;
    struct survey survey;
    int code = DAEMON_EXIT_CONFIG;
    bool good, would_start = false;

    settings.look_at_files = true;
    good = survey_take(&settings, &survey) && survey_check(&survey);

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

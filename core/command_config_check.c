/* SPDX-License-Identifier: Apache-2.0 */
/* berthd config check: all that is wrong with the configuration, at once. */
#include "command.h"

#include <stdio.h>

#include "survey.h"

int command_config_check(const struct command_options *options)
{
    struct settings_options settings = options->settings;
    struct survey survey;
    bool good, would_start = false;

    settings.look_at_files = true;
    good = survey_take(&settings, &survey) && survey_check(&survey);

    if (good) {
        survey_plan(&survey);
        would_start = survey_would_start(&survey);
    }
    survey_print_diagnostics(&survey);
    if (would_start)
        printf("the configuration is fine; %zu module%s found\n", survey.manifest_count,
               survey.manifest_count == 1 ? "" : "s");
    else if (good)
        fputs("berthd: the configuration is valid, but the daemon would not start\n", stderr);
    else
        fprintf(stderr, "berthd: the configuration has %zu error%s\n", survey.diagnostics.error_count,
                survey.diagnostics.error_count == 1 ? "" : "s");
    survey_finish(&survey);
    return would_start ? DAEMON_EXIT_OK : good ? DAEMON_EXIT_FAILED : DAEMON_EXIT_CONFIG;
}

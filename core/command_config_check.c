/* SPDX-License-Identifier: Apache-2.0 */
/* berthd config check: all that is wrong with the configuration, at once. */
#include "command.h"

#include <stdio.h>

#include "survey.h"

int command_config_check(const struct command_options *options)
{
    struct settings_options settings = options->settings;
    struct survey survey;
    bool good;

    settings.look_at_files = true;
    good = survey_take(&settings, &survey) && survey_check(&survey);

    survey_print_diagnostics(&survey);
    if (good)
        printf("the configuration is fine; %zu module%s found\n", survey.manifest_count,
               survey.manifest_count == 1 ? "" : "s");
    else
        fprintf(stderr, "berthd: the configuration has %zu error%s\n", survey.diagnostics.error_count,
                survey.diagnostics.error_count == 1 ? "" : "s");
    survey_finish(&survey);
    return good ? DAEMON_EXIT_OK : DAEMON_EXIT_CONFIG;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* berthd config dump: prints the effective configuration. */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>

#include <core/survey.h>

int command_config_dump(const struct command_options *options)
{
    struct survey survey;
    bool good = survey_take(&options->settings, &survey) && survey_check(&survey);

    survey_print_diagnostics(&survey);
    if (good) {
        const struct config_print_options print = {.origins = cli_has(options->line, "origin"),
                                                   .secrets = cli_has(options->line, "show-secrets")};
        char *text = cli_has(options->line, "json") ? settings_print_json(survey.settings, &print)
                                                    : settings_print(survey.settings, &print);

        fputs(text, stdout);
        free(text);
    }
    survey_finish(&survey);
    return good ? DAEMON_EXIT_OK : DAEMON_EXIT_CONFIG;
}

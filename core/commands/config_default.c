/* SPDX-License-Identifier: Apache-2.0 */
/* berthd config default: prints every setting with its documentation and default. */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>

#include <core/survey.h>
#include <tools/cli/text_file.h>

static int write_text(const char *output, const char *text)
{
    struct berth_error err;

    if (output == NULL) {
        fputs(text, stdout);
        return DAEMON_EXIT_OK;
    }
    if (text_file_create(output, 0644, text, &err) == BERTH_OK)
        return DAEMON_EXIT_OK;
    fprintf(stderr, "berthd: %s\n", err.message);
    return DAEMON_EXIT_FAILED;
}

int command_config_default(const struct command_options *options)
{
    struct survey survey;
    int code = DAEMON_EXIT_CONFIG;
    bool good = survey_take(&options->settings, &survey) && survey_is_good(&survey);

    survey_print_diagnostics(&survey);
    if (good) {
        char *text = settings_print_default(&options->settings, &survey.catalog);

        code = write_text(cli_value(options->line, "output"), text);
        free(text);
    }
    survey_finish(&survey);
    return code;
}

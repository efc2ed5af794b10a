/* SPDX-License-Identifier: Apache-2.0 */
/* The plugin under test in the fake host. What goes wrong in setting it up fails the test with its sentence.
 */
#ifndef PLUGIN_STAGE_H
#define PLUGIN_STAGE_H

#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <berth/testing.h>

/** @param uri  NULL: the only plugin of its module. */
static inline struct berth_testing *plugin_create(const char *uri, const char *settings)
{
    struct berth_error err;
    struct berth_testing *testing = berth_testing_create(&berth_module, uri, settings, &err);

    if (testing == NULL)
        fail_msg("%s", err.message);
    return testing;
}

static inline void plugin_start(struct berth_testing *testing)
{
    struct berth_error err = {""};

    if (berth_testing_start(testing, &err) != BERTH_OK)
        fail_msg("%s", err.message);
}

static inline struct berth_testing *plugin_run(const char *uri, const char *settings)
{
    struct berth_testing *testing = plugin_create(uri, settings);

    plugin_start(testing);
    return testing;
}

/** As a reload does; see berth_testing_reconfigure. */
static inline enum berth_code plugin_reconfigure(struct berth_testing *testing, const char *settings)
{
    struct berth_error err = {""};
    enum berth_code code = berth_testing_reconfigure(testing, settings, &err);

    if (code != BERTH_OK && code != BERTH_RESTART && code != BERTH_INVALID_ARGUMENT)
        fail_msg("%s", err.message);
    return code;
}

/** Drains it because another generation takes over. */
static inline void plugin_drain_for_another(struct berth_testing *testing)
{
    struct berth_error err = {""};

    berth_testing_set_ending(testing, BERTH_ENDING_REPLACED);
    if (berth_testing_drain(testing, &err) != BERTH_OK)
        fail_msg("%s", err.message);
}

#define PLUGIN_REPLACED "the service is being replaced; call again"

static inline void plugin_destroy(struct berth_testing *testing)
{
    struct berth_error err = {""};

    if (berth_testing_destroy(testing, &err) != BERTH_OK)
        fail_msg("%s", err.message);
}

/** For cmocka: the state is the fake host, with the only plugin of its module and no settings. */
static inline int plugin_set_up(void **state)
{
    *state = plugin_run(NULL, NULL);
    return 0;
}

static inline int plugin_tear_down(void **state)
{
    plugin_destroy(*state);
    return 0;
}

#endif

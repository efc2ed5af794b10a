/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins that the test provides, and the conditions that they and the plugin under test report. */
#include <stdlib.h>
#include <string.h>

#include "fake.h"

bool fake_is_of_type(const char *uri, const char *type)
{
    size_t length = strlen(type);

    return strncmp(uri, type, length) == 0 && uri[length] == '.' && strchr(uri + length + 1, '.') == NULL;
}

struct fake_provider *fake_provider_find(struct berth_testing *testing, const char *uri)
{
    for (size_t i = 0; i < testing->provider_count; i++)
        if (strcmp(testing->providers[i].uri, uri) == 0)
            return &testing->providers[i];
    return NULL;
}

void berth_testing_provide(struct berth_testing *testing, const char *uri, const void *interface,
                           void *instance)
{
    testing->providers =
        memory_grow(testing->providers, testing->provider_count, sizeof(*testing->providers));
    testing->providers[testing->provider_count++] = (struct fake_provider){
        .uri = memory_copy(uri),
        .interface = interface != NULL && fake_is_of_type(uri, BERTH_STORE_TYPE)
                         ? fake_store_wrap(testing, interface, instance)
                         : interface,
        .instance = instance,
    };
}

void fake_providers_finish(struct berth_testing *testing)
{
    for (size_t i = 0; i < testing->provider_count; i++) {
        free(testing->providers[i].uri);
        free(testing->providers[i].condition.reason);
    }
    free(testing->providers);
    free(testing->condition.reason);
}

void fake_condition_set(struct berth_testing *testing, struct fake_condition *condition, enum berth_code code,
                        const char *message)
{
    condition->degradations += condition->code == BERTH_OK && code != BERTH_OK;
    free(condition->reason);
    condition->code = code;
    condition->reason = code == BERTH_OK ? NULL : memory_copy(message);
    changes_note(&testing->changes);
}

void berth_testing_set_condition(struct berth_testing *testing, const char *uri, enum berth_code code,
                                 const char *message)
{
    struct fake_provider *provider = fake_provider_find(testing, uri);

    if (provider != NULL)
        fake_condition_set(testing, &provider->condition, code, message);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a store: one reason per kind, of which operators see the most severe. */
#include <stdio.h>
#include <string.h>

#include <berth/store_engine.h>

static const struct berth_store_trouble *find_gravest(const struct berth_store_health *health)
{
    for (size_t i = 0; i < BERTH_STORE_TROUBLES; i++)
        if (health->troubles[i].code != BERTH_OK)
            return &health->troubles[i];
    return NULL;
}

static void report(struct berth_store_health *health)
{
    const struct berth_store_trouble *gravest = find_gravest(health);

    if (gravest != NULL)
        berth_report(health->host, gravest->code, gravest->message);
    else
        berth_report(health->host, BERTH_OK, NULL);
}

void berth_store_health_set(struct berth_store_health *health, unsigned kind, enum berth_code code,
                            const char *message)
{
    struct berth_store_trouble *trouble = &health->troubles[kind];

    if (trouble->code == code && strcmp(trouble->message, message) == 0)
        return;
    trouble->code = code;
    snprintf(trouble->message, sizeof(trouble->message), "%s", message);
    if (find_gravest(health) == trouble)
        report(health);
}

void berth_store_health_clear(struct berth_store_health *health, unsigned kind)
{
    struct berth_store_trouble *trouble = &health->troubles[kind];
    bool was_gravest = find_gravest(health) == trouble;

    trouble->code = BERTH_OK;
    if (was_gravest)
        report(health);
}

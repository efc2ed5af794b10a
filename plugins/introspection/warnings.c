/* SPDX-License-Identifier: Apache-2.0 */
/* Deprecations as containerd's messages. */
#include "warnings.h"

#include <stdlib.h>

/* A message and the time that it points to. */
struct warning {
    Containerd__Services__Introspection__V1__DeprecationWarning message;
    Google__Protobuf__Timestamp last;
};

bool warnings_add(void *context, const struct berth_deprecation *deprecation)
{
    struct warnings *warnings = context;
    void *items = reallocarray(warnings->items, warnings->count + 1, sizeof(*warnings->items));
    struct warning *warning = malloc(sizeof(*warning));

    warnings->items = items != NULL ? items : warnings->items;
    warnings->failed = items == NULL || warning == NULL;
    if (warnings->failed) {
        free(warning);
        return false;
    }
    containerd__services__introspection__v1__deprecation_warning__init(&warning->message);
    google__protobuf__timestamp__init(&warning->last);
    warning->message.id = (char *)(uintptr_t)deprecation->id;
    warning->message.message = (char *)(uintptr_t)deprecation->message;
    warning->last.seconds = deprecation->last_seconds;
    warning->last.nanos = deprecation->last_nanoseconds;
    warning->message.last_occurrence = &warning->last;
    warnings->items[warnings->count++] = &warning->message;
    return true;
}

void warnings_finish(struct warnings *warnings)
{
    for (size_t i = 0; i < warnings->count; i++)
        free(warnings->items[i]);
    free(warnings->items);
    *warnings = (struct warnings){0};
}

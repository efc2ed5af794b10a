/* SPDX-License-Identifier: Apache-2.0 */
/* The process of an isolated plugin, for clients. */
#include "introspection-plugin.h"

#include <stdlib.h>

#include "introspection.h"

struct introspection_isolation {
    Berth__Inspect__V1__Isolation message;
    Berth__Inspect__V1__ProcessEnds ends[BERTH_PROCESS_ENDS], *end_pointers[BERTH_PROCESS_ENDS];
    Berth__Inspect__V1__Promise *promises, **promise_pointers;
    Berth__Inspect__V1__RefusedCall *calls, **call_pointers;
};

static bool fill_promises(struct introspection_isolation *answer, const struct berth_isolation *isolation)
{
    size_t count = isolation->promise_count;

    answer->promises = calloc(count + 1, sizeof(*answer->promises));
    answer->promise_pointers = calloc(count + 1, sizeof(*answer->promise_pointers));
    if (answer->promises == NULL || answer->promise_pointers == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct berth_promise *promise = &isolation->promises[i];

        berth__inspect__v1__promise__init(&answer->promises[i]);
        answer->promises[i].name = introspection_text(promise->name);
        answer->promises[i].verdict = introspection_text(berth_promise_verdict_name(promise->verdict));
        answer->promises[i].weight = promise->weight;
        answer->promises[i].text = introspection_text(promise->text);
        answer->promise_pointers[i] = &answer->promises[i];
    }
    answer->message.n_promises = count;
    answer->message.promises = answer->promise_pointers;
    return true;
}

static bool fill_calls(struct introspection_isolation *answer, const struct berth_isolation *isolation)
{
    size_t count = berth_isolation_count_refused_calls(isolation);

    if (count == 0)
        return true;
    answer->calls = calloc(count, sizeof(*answer->calls));
    answer->call_pointers = calloc(count, sizeof(*answer->call_pointers));
    if (answer->calls == NULL || answer->call_pointers == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        berth__inspect__v1__refused_call__init(&answer->calls[i]);
        answer->calls[i].name = introspection_text(isolation->refused_calls[i].name);
        answer->calls[i].count = isolation->refused_calls[i].count;
        answer->call_pointers[i] = &answer->calls[i];
    }
    answer->message.n_refused_calls = count;
    answer->message.refused_calls = answer->call_pointers;
    return true;
}

static void fill_ends(struct introspection_isolation *answer, const struct berth_isolation *isolation)
{
    for (size_t i = 0; i < BERTH_PROCESS_ENDS; i++) {
        berth__inspect__v1__process_ends__init(&answer->ends[i]);
        answer->ends[i].kind = introspection_text(berth_process_end_name((enum berth_process_end)i));
        answer->ends[i].count = isolation->ends[i];
        answer->end_pointers[i] = &answer->ends[i];
    }
    answer->message.n_ends = BERTH_PROCESS_ENDS;
    answer->message.ends = answer->end_pointers;
    answer->message.last_end = introspection_text(isolation->last_end);
    if (isolation->last_end != NULL)
        answer->message.last_end_kind = introspection_text(berth_process_end_name(isolation->last_end_kind));
}

struct introspection_isolation *introspection_isolation_create(const struct berth_isolation *isolation)
{
    struct introspection_isolation *answer = calloc(1, sizeof(*answer));

    if (answer == NULL)
        return NULL;
    berth__inspect__v1__isolation__init(&answer->message);
    answer->message.process = isolation->process;
    answer->message.restarts = isolation->restarts;
    answer->message.exposure = isolation->exposure;
    answer->message.exposure_name = introspection_text(isolation->exposure_name);
    fill_ends(answer, isolation);
    if (fill_promises(answer, isolation) && fill_calls(answer, isolation))
        return answer;
    introspection_isolation_destroy(answer);
    return NULL;
}

Berth__Inspect__V1__Isolation *introspection_isolation_message(struct introspection_isolation *answer)
{
    return &answer->message;
}

void introspection_isolation_destroy(struct introspection_isolation *answer)
{
    if (answer == NULL)
        return;
    free(answer->promises);
    free(answer->promise_pointers);
    free(answer->calls);
    free(answer->call_pointers);
    free(answer);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Decides which spans are recorded. Daemons with the same ratio agree on a trace, as its ID decides. */
#include "sampler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "environment.h"

#define ALL (UINT64_C(1) << 63)

static enum berth_code read_ratio(const char *name, uint64_t *ret_bound, struct berth_error *err)
{
    const char *text = environment_text("OTEL_TRACES_SAMPLER_ARG");
    char *end;
    double ratio;

    *ret_bound = ALL;
    if (text == NULL)
        return BERTH_OK;
    ratio = strtod(text, &end);
    if (end == text || *end != '\0' || !(ratio >= 0 && ratio <= 1))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "OTEL_TRACES_SAMPLER_ARG: \"%.200s\" is not a ratio from 0 to 1 (for %s)",
                               text, name);
    *ret_bound = (uint64_t)(ratio * (double)ALL);
    return BERTH_OK;
}

enum berth_code sampler_init(struct sampler *sampler, struct berth_error *err)
{
    static const struct {
        const char *name;
        bool follows_parent, has_ratio;
        uint64_t bound;
    } samplers[] = {
        {"always_on", false, false, ALL},           {"always_off", false, false, 0},
        {"traceidratio", false, true, 0},           {"parentbased_always_on", true, false, ALL},
        {"parentbased_always_off", true, false, 0}, {"parentbased_traceidratio", true, true, 0},
    };
    const char *name = environment_text("OTEL_TRACES_SAMPLER");
    const char *argument = environment_text("OTEL_TRACES_SAMPLER_ARG");

    if (name == NULL)
        name = "parentbased_always_on";
    for (size_t i = 0; i < sizeof(samplers) / sizeof(samplers[0]); i++) {
        if (strcmp(samplers[i].name, name) != 0)
            continue;
        sampler->follows_parent = samplers[i].follows_parent;
        sampler->bound = samplers[i].bound;
        if (samplers[i].has_ratio)
            return read_ratio(name, &sampler->bound, err);
        if (argument == NULL)
            return BERTH_OK;
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "OTEL_TRACES_SAMPLER_ARG: has no effect with the sampler %s; remove it", name);
    }
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "OTEL_TRACES_SAMPLER: \"%.200s\" is not supported (use always_on, always_off, "
                           "traceidratio, or one of these with parentbased_ before it)",
                           name);
}

bool sampler_decide(const struct sampler *sampler, const struct berth_trace *parent,
                    const uint8_t trace_id[16])
{
    uint64_t number = 0;

    if (sampler->follows_parent && parent != NULL)
        return berth_trace_is_sampled(parent);
    for (size_t i = 8; i < 16; i++)
        number = number << 8 | trace_id[i];
    return number >> 1 < sampler->bound;
}

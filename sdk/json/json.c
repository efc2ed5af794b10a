/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the engine with the first set of types and passes everything on to it, within bounds. */
#include <berth/json.h>

#include <string.h>

#include <sdk/base/lazy_library.h>

#include "engine.h"

enum berth_code berth_json_types_create(struct berth_json_types **ret_types, struct berth_error *err)
{
    const void *engine;
    struct berth_error reason;
    enum berth_code code = berth_lazy_library(JSON_ENGINE_LIBRARY, JSON_ENGINE_SYMBOL, &engine, &reason);

    if (code != BERTH_OK)
        return berth_error_set(err, code, "cannot convert JSON: %s (reinstall berth)", reason.message);
    return ((const struct json_engine *)engine)->create(ret_types, err);
}

void berth_json_types_destroy(struct berth_json_types *types)
{
    if (types != NULL)
        types->engine->destroy(types);
}

static enum berth_code check_size(size_t length, const char *what, struct berth_error *err)
{
    if (length <= BERTH_JSON_MAX_INPUT)
        return BERTH_OK;
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s of %zu bytes is too large (maximum: %zu)", what,
                           length, BERTH_JSON_MAX_INPUT);
}

/* What an older caller knows of the options, the rest by default. */
static struct berth_json_options complete(const struct berth_json_options *options)
{
    struct berth_json_options all = {.size = 0};

    if (options != NULL)
        memcpy(&all, options, options->size < sizeof(all) ? options->size : sizeof(all));
    all.size = sizeof(all);
    if (all.max_bytes == 0)
        all.max_bytes = (size_t)64 << 20;
    return all;
}

enum berth_code berth_json_types_add(struct berth_json_types *types, const void *set, size_t length,
                                     struct berth_error *err)
{
    enum berth_code code = check_size(length, "a descriptor set", err);

    return code != BERTH_OK ? code : types->engine->add(types, set, length, err);
}

enum berth_code berth_json_to_message(struct berth_json_types *types, const char *type, const char *text,
                                      size_t length, const struct berth_json_options *options,
                                      void **ret_message, size_t *ret_length, struct berth_error *err)
{
    const struct berth_json_options all = complete(options);
    enum berth_code code = check_size(length, "JSON", err);

    return code != BERTH_OK
               ? code
               : types->engine->to_message(types, type, text, length, &all, ret_message, ret_length, err);
}

enum berth_code berth_json_from_message(struct berth_json_types *types, const char *type, const void *message,
                                        size_t length, const struct berth_json_options *options,
                                        char **ret_text, size_t *ret_length, struct berth_error *err)
{
    const struct berth_json_options all = complete(options);
    enum berth_code code = check_size(length, "a message", err);

    return code != BERTH_OK
               ? code
               : types->engine->from_message(types, type, message, length, &all, ret_text, ret_length, err);
}

const char *berth_json_service(const struct berth_json_types *types, size_t index)
{
    return types->engine->service(types, index);
}

bool berth_json_method_at(const struct berth_json_types *types, const char *service, size_t index,
                          struct berth_json_method *ret_method)
{
    return types->engine->method_at(types, service, index, ret_method);
}

enum berth_code berth_json_method_find(const struct berth_json_types *types, const char *service,
                                       const char *method, struct berth_json_method *ret_method,
                                       struct berth_error *err)
{
    return types->engine->method_find(types, service, method, ret_method, err);
}

enum berth_code berth_json_describe(const struct berth_json_types *types, const char *name, bool as_json,
                                    char **ret_text, struct berth_error *err)
{
    return types->engine->describe(types, name, as_json, ret_text, err);
}

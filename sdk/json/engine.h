/* SPDX-License-Identifier: Apache-2.0 */
/* What libberth-json-protobuf exports: libprotobuf as a table of C functions. Both sides are of one build. */
#ifndef JSON_ENGINE_H
#define JSON_ENGINE_H

#include <berth/json.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JSON_ENGINE_LIBRARY "libberth-json-protobuf.so.0"
#define JSON_ENGINE_SYMBOL "berth_json_protobuf"

/** Each function does what <berth/json.h> says of its namesake; options are complete. */
struct json_engine {
    enum berth_code (*create)(struct berth_json_types **ret_types, struct berth_error *err);
    void (*destroy)(struct berth_json_types *types);
    enum berth_code (*add)(struct berth_json_types *types, const void *set, size_t length,
                           struct berth_error *err);
    enum berth_code (*to_message)(struct berth_json_types *types, const char *type, const char *text,
                                  size_t length, const struct berth_json_options *options, void **ret_message,
                                  size_t *ret_length, struct berth_error *err);
    enum berth_code (*from_message)(struct berth_json_types *types, const char *type, const void *message,
                                    size_t length, const struct berth_json_options *options, char **ret_text,
                                    size_t *ret_length, struct berth_error *err);
    const char *(*service)(const struct berth_json_types *types, size_t index);
    bool (*method_at)(const struct berth_json_types *types, const char *service, size_t index,
                      struct berth_json_method *ret_method);
    enum berth_code (*method_find)(const struct berth_json_types *types, const char *service,
                                   const char *method, struct berth_json_method *ret_method,
                                   struct berth_error *err);
    enum berth_code (*describe)(const struct berth_json_types *types, const char *name, bool as_json,
                                char **ret_text, struct berth_error *err);
};

/** What both sides see of a set of types; the engine's own members follow. */
struct berth_json_types {
    const struct json_engine *engine;
};

extern const struct json_engine berth_json_protobuf;

#ifdef __cplusplus
}
#endif

#endif

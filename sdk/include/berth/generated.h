/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the code that `berth-sdk generate` writes and the author's code: a method's callbacks by name,
 * and helpers of the generated functions. Nothing here is part of the contract between host and module.
 */
#ifndef BERTH_GENERATED_H
#define BERTH_GENERATED_H

#include <string.h>

#include <berth/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What the author defines for one method of a service: the callbacks of struct berth_method, each of them
 * optional. A unary or server-streaming method without `on_message` returns BERTH_UNIMPLEMENTED.
 */
struct berth_handler {
    void (*on_start)(struct berth_call *call);
    void (*on_message)(struct berth_call *call, const void *message, size_t length);
    void (*on_half_close)(struct berth_call *call);
    void (*on_writable)(struct berth_call *call);
    void (*on_end)(struct berth_call *call, enum berth_code code);
};

/** The callbacks of struct berth_method, which forward to the author's struct berth_handler. */
#define BERTH_GENERATED_METHOD_FUNCTIONS(handler)                                                            \
    static void handler##_on_start(struct berth_call *call)                                                  \
    {                                                                                                        \
        if (handler.on_start)                                                                                \
            handler.on_start(call);                                                                          \
    }                                                                                                        \
    static void handler##_on_message(struct berth_call *call, const void *message, size_t length)            \
    {                                                                                                        \
        if (handler.on_message)                                                                              \
            handler.on_message(call, message, length);                                                       \
        else if (call->kind == BERTH_METHOD_UNARY || call->kind == BERTH_METHOD_SERVER_STREAM)               \
            berth_call_finish(call, BERTH_UNIMPLEMENTED, "the plugin has no handler for this method");       \
    }                                                                                                        \
    static void handler##_on_half_close(struct berth_call *call)                                             \
    {                                                                                                        \
        if (handler.on_half_close)                                                                           \
            handler.on_half_close(call);                                                                     \
    }                                                                                                        \
    static void handler##_on_writable(struct berth_call *call)                                               \
    {                                                                                                        \
        if (handler.on_writable)                                                                             \
            handler.on_writable(call);                                                                       \
    }                                                                                                        \
    static void handler##_on_end(struct berth_call *call, enum berth_code code)                              \
    {                                                                                                        \
        if (handler.on_end)                                                                                  \
            handler.on_end(call, code);                                                                      \
    }

#define BERTH_GENERATED_METHOD(name, kind, handler)                                                          \
    {                                                                                                        \
        name, kind, handler##_on_start, handler##_on_message, handler##_on_half_close,                       \
            handler##_on_writable, handler##_on_end                                                          \
    }

/** Does an optional setting have a value? */
static inline bool berth_generated_has(const struct berth_settings *settings, const struct berth_value *value)
{
    return value != NULL && settings->kind(value) != BERTH_VALUE_NONE;
}

/** The index of an enum's word among its `count` names; `count` if it is not one of them. */
static inline size_t berth_generated_choice(const char *word, const char *const *names, size_t count)
{
    size_t i = 0;

    while (i < count && (word == NULL || strcmp(word, names[i]) != 0))
        i++;
    return i;
}

#ifdef __cplusplus
}
#endif

#endif

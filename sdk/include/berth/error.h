/* SPDX-License-Identifier: Apache-2.0 */
/* The result of an operation: one of gRPC's canonical codes, and a message for people. */
#ifndef BERTH_ERROR_H
#define BERTH_ERROR_H

#include <stdarg.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Result of an operation. Values 0 to 16 are gRPC's canonical codes and may be sent over a wire; those
 * above them are returned by callbacks to the host and never leave the process.
 */
enum berth_code {
    BERTH_OK = 0,
    BERTH_CANCELLED = 1,
    BERTH_UNKNOWN = 2,
    BERTH_INVALID_ARGUMENT = 3,
    BERTH_DEADLINE_EXCEEDED = 4,
    BERTH_NOT_FOUND = 5,
    BERTH_ALREADY_EXISTS = 6,
    BERTH_PERMISSION_DENIED = 7,
    BERTH_RESOURCE_EXHAUSTED = 8,
    BERTH_FAILED_PRECONDITION = 9,
    BERTH_ABORTED = 10,
    BERTH_OUT_OF_RANGE = 11,
    BERTH_UNIMPLEMENTED = 12,
    BERTH_INTERNAL = 13,
    BERTH_UNAVAILABLE = 14,
    BERTH_DATA_LOSS = 15,
    BERTH_UNAUTHENTICATED = 16,

    /** Not finished: exactly one completion follows. */
    BERTH_PENDING = 256,
    /** Does not apply here, which is not a failure; the error's message says why. */
    BERTH_SKIP = 257,
    /** From `reconfigure`: these settings require a restart of the plugin. Not a failure. */
    BERTH_RESTART = 258,
};

/** Maximum length of a message including its NUL. */
#define BERTH_ERROR_MAX 2048

/**
 * The message that goes with a code. Owned by the caller, who may leave it uninitialised: the callee writes
 * it whenever it returns anything but BERTH_OK and BERTH_PENDING. Never NULL in a callback.
 */
struct berth_error {
    char message[BERTH_ERROR_MAX];
};

#if defined(__GNUC__)
#define BERTH_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define BERTH_PRINTF(text, first)
#endif

/**
 * Formats the message and returns the code, so that a failing function can end with `return
 * berth_error_set(err, BERTH_NOT_FOUND, "%s: no such store", name);`. Messages that are too long are
 * truncated. `err` may be NULL.
 */
BERTH_PRINTF(3, 4)
static inline enum berth_code berth_error_set(struct berth_error *err, enum berth_code code,
                                              const char *format, ...)
{
    va_list arguments;

    if (err == NULL)
        return code;
    va_start(arguments, format);
    vsnprintf(err->message, sizeof(err->message), format, arguments);
    va_end(arguments);
    return code;
}

/**
 * The code's name as in gRPC's documentation, such as "NOT_FOUND"; "UNKNOWN" for a value outside the enum.
 */
static inline const char *berth_code_name(enum berth_code code)
{
    static const char *const names[] = {
        "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
        "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
        "DATA_LOSS", "UNAUTHENTICATED",
    };

    if ((int)code == BERTH_PENDING)
        return "PENDING";
    if ((int)code == BERTH_SKIP)
        return "SKIP";
    if ((int)code == BERTH_RESTART)
        return "RESTART";
    return (int)code >= 0 && (int)code <= BERTH_UNAUTHENTICATED ? names[(int)code] : "UNKNOWN";
}

#ifdef __cplusplus
}
#endif

#endif

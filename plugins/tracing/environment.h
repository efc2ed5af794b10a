/* SPDX-License-Identifier: Apache-2.0 */
/* The environment variables of OpenTelemetry. All of it is for init: nothing is read later. */
#ifndef TRACING_ENVIRONMENT_H
#define TRACING_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

/** @return NULL if it is unset or empty, which OpenTelemetry treats alike. */
const char *environment_text(const char *name);

/**
 * Of OTEL_EXPORTER_OTLP_TRACES_<part>, or else OTEL_EXPORTER_OTLP_<part>. @param ret_name  the variable that
 * counts, whole; may be NULL. @return NULL if neither is set.
 */
const char *environment_otlp(const char *part, const char **ret_name);

/** A whole number within limits; `fallback` if the variable is unset. */
enum berth_code environment_number(const char *name, uint64_t fallback, uint64_t min, uint64_t max,
                                   uint64_t *ret_value, struct berth_error *err);

/** "true" or "false" in any case. */
enum berth_code environment_bool(const char *name, const char *text, bool *ret_value,
                                 struct berth_error *err);

/**
 * Visits a list "key=value,key=value" of percent-encoded values, as in OTEL_RESOURCE_ATTRIBUTES.
 *
 * @param name  of the variable, for errors.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT with the member that is wrong; or what `on_pair` returned.
 */
enum berth_code environment_pairs(const char *name, const char *text,
                                  enum berth_code (*on_pair)(void *context, const char *key,
                                                             const char *value, struct berth_error *err),
                                  void *context, struct berth_error *err);

/** Is tracing switched off by OTEL_SDK_DISABLED? BERTH_SKIP with the reason, BERTH_OK, or an error. */
enum berth_code environment_is_disabled(struct berth_error *err);

#endif

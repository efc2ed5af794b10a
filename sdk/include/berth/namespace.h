/* SPDX-License-Identifier: Apache-2.0 */
/* The namespace of a call, as set by containerd's clients, and containerd's rules for identifiers. */
#ifndef BERTH_NAMESPACE_H
#define BERTH_NAMESPACE_H

#include <string.h>

#include <berth/call.h>
#include <berth/utf8.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The annotation in which the interceptor io.berth.interceptor.v1.namespace stores it. */
#define BERTH_NAMESPACE_ANNOTATION "namespace"

/** Maximum length of an identifier in bytes: of a namespace, a container, a component of a topic. */
#define BERTH_IDENTIFIER_MAX 76

static inline bool berth_identifier_is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/** Letters and digits, in parts joined by single `.`, `_` or `-`. */
static inline bool berth_identifier_matches(const char *identifier)
{
    bool joins = true;

    for (const char *c = identifier; *c != '\0'; c++) {
        bool is_alnum = berth_identifier_is_alnum(*c);

        if (!is_alnum && (joins || strchr("._-", *c) == NULL))
            return false;
        joins = !is_alnum;
    }
    return !joins;
}

/** Quotes text as containerd's messages do; truncated to `size`. */
static inline void berth_identifier_quote(const char *text, char *ret_quoted, size_t size)
{
    size_t length = strlen(text);
    size_t used = (size_t)snprintf(ret_quoted, size, "\"");

    while (length > 0 && used + 8 < size) {
        size_t bytes = berth_utf8_character(text, length);
        unsigned char c = (unsigned char)*text;

        if (bytes == 0 || c < ' ' || c == 0x7f)
            used += (size_t)snprintf(ret_quoted + used, size - used, "\\x%02x", c);
        else
            used += (size_t)snprintf(ret_quoted + used, size - used, "%s%.*s",
                                     c == '"' || c == '\\' ? "\\" : "", (int)bytes, text);
        text += bytes > 0 ? bytes : 1;
        length -= bytes > 0 ? bytes : 1;
    }
    snprintf(ret_quoted + used, size - used, "\"");
}

/**
 * Is this a valid identifier for a namespace, a container and the like?
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT with the message that containerd's clients know.
 */
static inline enum berth_code berth_identifier_check(const char *identifier, struct berth_error *err)
{
    char quoted[BERTH_ERROR_MAX - 256];

    if (*identifier == '\0')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "identifier must not be empty: invalid argument");
    /* Fast path, because this runs for every call. */
    if (strlen(identifier) <= BERTH_IDENTIFIER_MAX && berth_identifier_matches(identifier))
        return BERTH_OK;
    berth_identifier_quote(identifier, quoted, sizeof(quoted));
    if (strlen(identifier) > BERTH_IDENTIFIER_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "identifier %s greater than maximum length (%d characters): invalid argument",
                               quoted, BERTH_IDENTIFIER_MAX);
    return berth_error_set(
        err, BERTH_INVALID_ARGUMENT,
        "identifier %s must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument", quoted);
}

/**
 * The namespace of a call, for a handler that needs one. The plugin need not want the interceptor: servers
 * want it, and a call passes all interceptors before its handler sees it.
 *
 * @param ret_name  lives as long as the call.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION if the caller set none; BERTH_INVALID_ARGUMENT if it is not a
 *         valid identifier. Both with a message for berth_call_finish.
 */
static inline enum berth_code berth_call_namespace(struct berth_call *call, const char **ret_name,
                                                   struct berth_error *err)
{
    const char *name = berth_call_annotation(call, BERTH_NAMESPACE_ANNOTATION);
    struct berth_error why;

    /* Literal codes let the compiler see that the name is set when BERTH_OK is returned. */
    if (name == NULL || *name == '\0') {
        berth_error_set(err, BERTH_FAILED_PRECONDITION, "namespace is required: failed precondition");
        return BERTH_FAILED_PRECONDITION;
    }
    if (berth_identifier_check(name, &why) != BERTH_OK) {
        berth_error_set(err, BERTH_INVALID_ARGUMENT, "namespace validation: %.1900s", why.message);
        return BERTH_INVALID_ARGUMENT;
    }
    *ret_name = name;
    return BERTH_OK;
}

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The context of a trace as calls carry it: the metadata traceparent and tracestate (W3C Trace Context) and
 * baggage (W3C Baggage). What a caller sends is untrusted; these functions say what of it may be used.
 *
 *     struct berth_trace trace;
 *
 *     if (berth_trace_of(call, &trace) == BERTH_OK)
 *         …the call belongs to a trace…
 */
#ifndef BERTH_TRACE_H
#define BERTH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <berth/call.h>
#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The keys of the metadata, over every transport. */
#define BERTH_TRACE_PARENT "traceparent"
#define BERTH_TRACE_STATE "tracestate"
#define BERTH_TRACE_BAGGAGE "baggage"

/** In `flags`: whoever began the trace has it recorded. */
#define BERTH_TRACE_SAMPLED 0x01u
/** In `flags`: the trace ID is random in its last seven bytes (Trace Context Level 2). */
#define BERTH_TRACE_RANDOM 0x02u

/** Lengths of "00-<trace>-<span>-<flags>", of a trace ID and of a span ID as text, without the NUL. */
#define BERTH_TRACE_PARENT_LENGTH 55
#define BERTH_TRACE_ID_LENGTH 32
#define BERTH_SPAN_ID_LENGTH 16

/** Limits of tracestate and of baggage, each of all its headers together; more is not carried on. */
#define BERTH_TRACE_STATE_MAX 1024
#define BERTH_TRACE_STATE_MEMBERS_MAX 32
#define BERTH_TRACE_BAGGAGE_MAX 8192
#define BERTH_TRACE_BAGGAGE_MEMBERS_MAX 64

/** A place in a trace: the span under which more may be recorded, here or behind an outgoing call. */
struct berth_trace {
    /** Neither ID is all zero. */
    uint8_t trace_id[16];
    uint8_t span_id[8];
    /** BERTH_TRACE_SAMPLED and BERTH_TRACE_RANDOM. */
    uint8_t flags;
};

static inline bool berth_trace_is_sampled(const struct berth_trace *trace)
{
    return trace != NULL && (trace->flags & BERTH_TRACE_SAMPLED) != 0;
}

/* @return -1 for anything but a lower-case hexadecimal digit. */
static inline int berth_trace_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* `length` bytes from twice as many digits. @param ret_any  is a bit set in any of them? */
static inline bool berth_trace_read_hex(const char *text, size_t length, uint8_t *ret_bytes, bool *ret_any)
{
    unsigned any = 0;

    for (size_t i = 0; i < length; i++) {
        int high = berth_trace_digit(text[2 * i]), low = berth_trace_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        ret_bytes[i] = (uint8_t)(high << 4 | low);
        any |= ret_bytes[i];
    }
    *ret_any = any != 0;
    return true;
}

static inline void berth_trace_write_hex(const uint8_t *bytes, size_t length, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < length; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[2 * length] = '\0';
}

/**
 * Reads a traceparent (Trace Context 3.2). Of versions after 00 what version 00 has is read.
 *
 * @param ret_trace  written only on success.
 * @return false for anything malformed, an ID of zeros, or version ff.
 */
static inline bool berth_trace_parse(const char *text, size_t length, struct berth_trace *ret_trace)
{
    struct berth_trace trace;
    uint8_t version, flags;
    bool any, has_trace_id, has_span_id;

    if (length < BERTH_TRACE_PARENT_LENGTH || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    if (!berth_trace_read_hex(text, 1, &version, &any) ||
        !berth_trace_read_hex(text + 3, sizeof(trace.trace_id), trace.trace_id, &has_trace_id) ||
        !berth_trace_read_hex(text + 36, sizeof(trace.span_id), trace.span_id, &has_span_id) ||
        !berth_trace_read_hex(text + 53, 1, &flags, &any))
        return false;
    if (version == 0xff || !has_trace_id || !has_span_id)
        return false;
    if (length > BERTH_TRACE_PARENT_LENGTH && (version == 0 || text[BERTH_TRACE_PARENT_LENGTH] != '-'))
        return false;
    trace.flags = flags & (BERTH_TRACE_SAMPLED | BERTH_TRACE_RANDOM);
    *ret_trace = trace;
    return true;
}

/** Writes a traceparent of version 00. */
static inline void berth_trace_format(const struct berth_trace *trace,
                                      char ret_text[BERTH_TRACE_PARENT_LENGTH + 1])
{
    memcpy(ret_text, "00-", 3);
    berth_trace_write_hex(trace->trace_id, sizeof(trace->trace_id), ret_text + 3);
    ret_text[35] = '-';
    berth_trace_write_hex(trace->span_id, sizeof(trace->span_id), ret_text + 36);
    ret_text[52] = '-';
    berth_trace_write_hex(&trace->flags, 1, ret_text + 53);
}

/** Writes the trace ID as log lines have it. */
static inline void berth_trace_format_id(const struct berth_trace *trace,
                                         char ret_text[BERTH_TRACE_ID_LENGTH + 1])
{
    berth_trace_write_hex(trace->trace_id, sizeof(trace->trace_id), ret_text);
}

/**
 * The place in a trace that a caller sent.
 *
 * @return BERTH_OK; BERTH_NOT_FOUND if it sent none; BERTH_INVALID_ARGUMENT for an invalid traceparent or
 *         several.
 */
static inline enum berth_code berth_trace_received(const struct berth_metadata *metadata, size_t count,
                                                   struct berth_trace *ret_trace)
{
    const struct berth_metadata *parent = NULL;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(metadata[i].key, BERTH_TRACE_PARENT) != 0)
            continue;
        if (parent != NULL)
            return BERTH_INVALID_ARGUMENT;
        parent = &metadata[i];
    }
    if (parent == NULL)
        return BERTH_NOT_FOUND;
    return berth_trace_parse(parent->value, parent->value_length, ret_trace) ? BERTH_OK
                                                                             : BERTH_INVALID_ARGUMENT;
}

static inline bool berth_trace_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* A key of tracestate (Trace Context 3.3.1.3.1). */
static inline bool berth_trace_state_key_is_valid(const char *key, size_t length)
{
    size_t at = 0, ats = 0;

    if (length == 0 || length > 256)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = key[i];

        if (c == '@' && i > 0) {
            at = i;
            ats++;
        } else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     (i > 0 && (c == '_' || c == '-' || c == '*' || c == '/')))) {
            return false;
        }
    }
    return ats == 0 || (ats == 1 && at <= 241 && length - at - 1 >= 1 && length - at - 1 <= 14);
}

/* 3.3.1.3.2; blanks around it were removed. */
static inline bool berth_trace_state_value_is_valid(const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (value[i] < ' ' || value[i] > '~' || value[i] == '=')
            return false;
    return length > 0 && length <= 256;
}

/* A key of baggage is a token, and what follows is percent-encoded (W3C Baggage 3.3.1). */
static inline bool berth_trace_baggage_key_is_valid(const char *key, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (key[i] <= ' ' || key[i] > '~' || strchr("\"(),/:;<=>?@[\\]{}", key[i]) != NULL)
            return false;
    return length > 0;
}

static inline bool berth_trace_baggage_value_is_valid(const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((value[i] < ' ' && value[i] != '\t') || value[i] > '~' || value[i] == '"' || value[i] == '\\')
            return false;
    return true;
}

/* One member of either list, without the blanks around it; an empty one is none. */
static inline bool berth_trace_member_is_valid(bool is_state, const char *member, size_t length)
{
    const char *equals = (const char *)memchr(member, '=', length);
    size_t key = equals == NULL ? 0 : (size_t)(equals - member);
    const char *value = member + key + 1;
    size_t value_length = length - key - 1;

    if (equals == NULL)
        return false;
    if (is_state)
        return berth_trace_state_key_is_valid(member, key) &&
               berth_trace_state_value_is_valid(value, value_length);
    while (key > 0 && berth_trace_is_blank(member[key - 1]))
        key--;
    return berth_trace_baggage_key_is_valid(member, key) &&
           berth_trace_baggage_value_is_valid(value, value_length);
}

/* Checks the members of one header and counts them. */
static inline bool berth_trace_list_is_valid(bool is_state, const char *text, size_t length, size_t *count)
{
    for (size_t at = 0; at <= length;) {
        const char *comma = (const char *)memchr(text + at, ',', length - at);
        size_t end = comma == NULL ? length : (size_t)(comma - text), next = end + 1;

        while (at < end && berth_trace_is_blank(text[at]))
            at++;
        while (end > at && berth_trace_is_blank(text[end - 1]))
            end--;
        if (end > at) {
            if (!berth_trace_member_is_valid(is_state, text + at, end - at))
                return false;
            ++*count;
        }
        at = next;
    }
    return true;
}

/* All headers of a key as one, as the specifications have it. */
static inline enum berth_code berth_trace_join(const struct berth_metadata *metadata, size_t count,
                                               bool is_state, size_t max_bytes, size_t max_members,
                                               char *ret_text)
{
    const char *key = is_state ? BERTH_TRACE_STATE : BERTH_TRACE_BAGGAGE;
    size_t length = 0, members = 0;

    for (size_t i = 0; i < count; i++) {
        size_t more = metadata[i].value_length;

        if (strcmp(metadata[i].key, key) != 0 || more == 0)
            continue;
        if (more > max_bytes || length + (length > 0) + more > max_bytes)
            return BERTH_RESOURCE_EXHAUSTED;
        if (!berth_trace_list_is_valid(is_state, metadata[i].value, more, &members))
            return BERTH_INVALID_ARGUMENT;
        if (members > max_members)
            return BERTH_RESOURCE_EXHAUSTED;
        if (length > 0)
            ret_text[length++] = ',';
        memcpy(ret_text + length, metadata[i].value, more);
        length += more;
    }
    if (members == 0)
        return BERTH_NOT_FOUND;
    ret_text[length] = '\0';
    return BERTH_OK;
}

/**
 * The tracestate that a caller sent, in one line. It counts only beside a valid traceparent.
 *
 * @param ret_text  complete only on success.
 * @return BERTH_OK; BERTH_NOT_FOUND if it sent none; BERTH_INVALID_ARGUMENT; BERTH_RESOURCE_EXHAUSTED beyond
 *         the limits.
 */
static inline enum berth_code berth_trace_state(const struct berth_metadata *metadata, size_t count,
                                                char ret_text[BERTH_TRACE_STATE_MAX + 1])
{
    return berth_trace_join(metadata, count, true, BERTH_TRACE_STATE_MAX, BERTH_TRACE_STATE_MEMBERS_MAX,
                            ret_text);
}

/** The same of baggage, which needs no traceparent. */
static inline enum berth_code berth_trace_baggage(const struct berth_metadata *metadata, size_t count,
                                                  char ret_text[BERTH_TRACE_BAGGAGE_MAX + 1])
{
    return berth_trace_join(metadata, count, false, BERTH_TRACE_BAGGAGE_MAX, BERTH_TRACE_BAGGAGE_MEMBERS_MAX,
                            ret_text);
}

/**
 * The place of a call in a trace: the span that this daemon has for it, or else what its caller sent.
 *
 * @return as berth_trace_received.
 */
static inline enum berth_code berth_trace_of(const struct berth_call *call, struct berth_trace *ret_trace)
{
    if (BERTH_CALL_HAS(call, trace) && call->trace != NULL) {
        *ret_trace = *call->trace;
        return BERTH_OK;
    }
    return berth_trace_received(call->metadata, call->metadata_count, ret_trace);
}

#ifdef __cplusplus
}
#endif

#endif

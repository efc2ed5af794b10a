/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passes between the daemon and a worker, as bytes: packets of a fixed head and a bounded body. Both
 * sides use this file, and neither trusts a byte of the other.
 *
 *     length of the body  type  flags  plugin  call   (4, 1, 1, 2 and 4 bytes; both run on one machine: its
 * own order)
 *
 * A worker may run several plugins over one connection. Each has a number from the daemon, which is in all of
 * its packets: calls, questions and subscriptions are counted by each plugin for itself. Number 0 is that of
 * the process, and of no plugin.
 */
#ifndef CORE_WIRE_PACKET_H
#define CORE_WIRE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Of the head. */
#define PACKET_HEAD 12u
/** Longest message of a call, and longest body: a message, or the beginning of a call with its metadata. */
#define PACKET_MESSAGE_MAX (16u << 20)
#define PACKET_BODY_MAX (PACKET_MESSAGE_MAX + (1u << 20))

/** Longest text of an export, a platform or a capability: they are kept, up to some hundreds of each. */
#define PACKET_PUBLISHED_MAX 16384u
/** The descriptors of one service: larger ones are left out of reflection. */
#define PACKET_DESCRIPTORS_MAX (1u << 20)

/** Changes with every change of this file: both sides come from one build. */
#define PACKET_VERSION 2u

/** Plugins that one process is told to run, those that have ended included: their numbers are 1 to this. */
#define PACKET_PLUGINS_MAX 256u

/** Calls that the plugin makes and that are in flight at once. */
#define PACKET_OUTGOING_MAX 4096u

/** Bytes of messages that one side of a call sends before the other has asked for more, but always one
 * message. */
#define PACKET_WINDOW (1u << 20)

enum packet_type {
    /* To the worker */
    /** What the process is to confine itself to: the first packet, and once. */
    PACKET_START = 1,
    /** One of enum berth_step, but not init. Or of enum handover_step (base/handover.h), and behind it the
     * settings, nothing, or version and length of the state. */
    PACKET_STEP,
    PACKET_PING,
    /** A call begins. */
    PACKET_CALL,
    PACKET_HALF_CLOSE,
    /** A call is over for the caller, with a code. */
    PACKET_CANCEL,
    /** To PACKET_ASK: its number, a code, a message and what wire/ask.h says. */
    PACKET_ANSWER,
    /** Of the exchange, for one of the worker's subscriptions. */
    PACKET_EVENT,
    /** A subscription is over: its number, a code and a message. */
    PACKET_EVENTS_ENDED,
    /** A change of the store has ended: its number, a code and a message. */
    PACKET_STORE_COMMITTED,

    /* Both ways */
    PACKET_MESSAGE,
    /** As many more bytes of messages are welcome. */
    PACKET_CREDIT,
    /** A call of an interface (core/remote): its number, that of the provider (to the worker 0: the plugin
     * itself), the method, the time it may take in milliseconds, the request. */
    PACKET_REMOTE_CALL,
    /** Its end: number, code, message, the reply. */
    PACKET_REMOTE_REPLY,
    /** It is to end soon: number. */
    PACKET_REMOTE_CANCEL,

    /* To the daemon */
    /** A step has ended, with its code and message. */
    PACKET_STEP_ENDED,
    PACKET_PONG,
    PACKET_LOG,
    /** What series have: for each its number, value, and count and numbers of its buckets. */
    PACKET_METRICS,
    PACKET_EXPORT,
    PACKET_PLATFORM,
    PACKET_CAPABILITY,
    PACKET_HOLD,
    PACKET_RELEASE,
    PACKET_REPORT,
    PACKET_FAIL,
    /** Of one service, for reflection. */
    PACKET_DESCRIPTORS,
    /** Of a span: its number, an enum span_part (wire/ask.h), and what that has. */
    PACKET_SPAN,
    /** Of its HTTP handler: prefix, methods. */
    PACKET_HTTP_HANDLER,
    /** A part of the state that it saves. */
    PACKET_STATE,
    /** Its number, an enum ask_kind, and what wire/ask.h says. The worker waits for the answer. */
    PACKET_ASK,
    /** As many more bytes of events are welcome. */
    PACKET_EVENTS_CREDIT,
    /** A change of a store: number of the interface, its own, what was read (wire/reads.h), and what is
     * written: bucket, key, whether it is removed, value. */
    PACKET_STORE_COMMIT,
    PACKET_HEADER,
    PACKET_TRAILER,
    PACKET_SEND_HEADERS,
    PACKET_COMPRESS,
    /** The handler has finished a call. */
    PACKET_END,

    /* Of a process and its plugins, to the worker */
    /** A plugin to load and to start: the first packet of its number. Its init ends with PACKET_STEP_ENDED.
     */
    PACKET_PLUGIN,
    /** No plugin is left: the process is to end. */
    PACKET_LEAVE,
    /* To the daemon */
    /** The process cannot confine itself, and ends: a code and a message. Instead of all other packets. */
    PACKET_REFUSED,

    /** How many there are, with 0, which is none. */
    PACKET_TYPES,
};

/** In the flags of PACKET_MESSAGE: nothing follows; it came compressed. */
#define PACKET_LAST 1u
#define PACKET_COMPRESSED 2u
/** In the flags of every packet of a call that the plugin makes; without it the packet is of a call that it
 * serves. The two count their calls apart. */
#define PACKET_OUTGOING 4u
/** The same of HTTP requests that it answers: PACKET_CALL, the request without its body; PACKET_MESSAGE, a
 * part of a body; PACKET_CREDIT, of that; PACKET_END, the response is complete; PACKET_CANCEL, all is over.
 */
#define PACKET_HTTP 8u
/** Longest body of such a request. */
#define PACKET_HTTP_BODY_MAX (256u << 20)
/** In the flags of such a PACKET_END: the response is not complete. */
#define PACKET_BROKEN_OFF 1u

/** One packet; the body is borrowed. */
struct packet {
    enum packet_type type;
    uint8_t flags;
    /** Its number; 0: of the process. */
    uint16_t plugin;
    /** 0: of no call. */
    uint32_t call;
    const uint8_t *body;
    size_t length;
};

enum packet_parsed {
    PACKET_WHOLE,
    /** `*ret_bytes` is what the whole packet takes, or the head if that is not there yet. */
    PACKET_PARTIAL,
    /** The other side does not keep to this file. */
    PACKET_BAD,
};

/**
 * Reads the packet at the beginning of some bytes.
 * @param ret_bytes  its length with the head.
 */
enum packet_parsed packet_parse(const uint8_t *bytes, size_t length, struct packet *ret_packet,
                                size_t *ret_bytes);

/** Reads a body from its beginning. After the first value that does not fit, all that follow are 0 or "". */
struct packet_reader {
    const uint8_t *at;
    size_t left;
    bool is_bad;
};

void packet_reader_init(struct packet_reader *reader, const struct packet *packet);
uint8_t packet_get_u8(struct packet_reader *reader);
uint32_t packet_get_u32(struct packet_reader *reader);
uint64_t packet_get_u64(struct packet_reader *reader);
/** Borrowed from the body; never NULL. */
const void *packet_get_bytes(struct packet_reader *reader, size_t *ret_length);
/** The same with a NUL behind it, and none within. */
const char *packet_get_text(struct packet_reader *reader);
/** The same; NULL where packet_put_optional had NULL. */
const char *packet_get_optional(struct packet_reader *reader);
/** A count of items of at least `least` bytes each: 0 and bad if they cannot be there. */
uint32_t packet_get_count(struct packet_reader *reader, size_t least);

/** Packets one after another. Zero-initialise. */
struct packet_writer {
    uint8_t *bytes;
    size_t length, capacity;
    /** The packet being written begins here. */
    size_t start;
    /** Whose packets are begun. */
    uint16_t plugin;
    /** Out of memory, or a body too long: what was written is of no use. */
    bool is_bad;
};

void packet_begin(struct packet_writer *writer, enum packet_type type, unsigned flags, uint32_t call);
void packet_put_u8(struct packet_writer *writer, uint8_t value);
void packet_put_u32(struct packet_writer *writer, uint32_t value);
void packet_put_u64(struct packet_writer *writer, uint64_t value);
void packet_put_bytes(struct packet_writer *writer, const void *bytes, size_t length);
/** NULL is the empty text. */
void packet_put_text(struct packet_writer *writer, const char *text);
void packet_put_optional(struct packet_writer *writer, const char *text);
/** As they are, without their length: what is behind them in the body is up to both sides. */
void packet_put_raw(struct packet_writer *writer, const void *bytes, size_t length);
void packet_end(struct packet_writer *writer);
void packet_writer_finish(struct packet_writer *writer);

#endif

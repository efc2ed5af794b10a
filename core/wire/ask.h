/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker asks the daemon for. Interfaces of other plugins answer at once, so a worker waits for each
 * answer before it does anything else, and the daemon answers before it does. Hence one question is under way
 * at a time, and a second one breaks the protocol.
 */
#ifndef CORE_WIRE_ASK_H
#define CORE_WIRE_ASK_H

/** Interfaces of other plugins that one worker may have; subscriptions, and their filters. */
#define ASK_REFS_MAX 32u
#define ASK_SUBSCRIPTIONS_MAX 32u
#define ASK_FILTERS_MAX 64u
#define ASK_FILTER_BYTES_MAX (64u << 10)
/** Different deprecations that one plugin may emit in its process. */
#define ASK_DEPRECATIONS_MAX 64u
/** Series of all metrics of one isolated plugin. */
#define ASK_SERIES_MAX 10000u
/** Open spans of one worker. */
#define ASK_SPANS_MAX 1024u
/** Bytes of events that wait for one worker, as packets. A subscription that would need more is ended. */
#define ASK_EVENTS_CREDIT (16u << 20)

enum ask_kind {
    /**
     * An interface by its URI, one by its type, all of a type. Answer: a count, and for each its number (4
     * bytes), an enum ask_interface, its URI, its generation (8 bytes) and what is said there.
     */
    ASK_GET,
    ASK_GET_SINGLE,
    ASK_EACH,
    /** Number of the interface, id, message. */
    ASK_EMIT,
    /** Number of the interface, namespace, topic, type, value; before these the time (8 and 4 bytes) in
       ASK_FORWARD. */
    ASK_PUBLISH,
    ASK_FORWARD,
    /** Number of the interface and of the subscription, count of filters, filters. */
    ASK_SUBSCRIBE,
    /** Number of the subscription. */
    ASK_UNSUBSCRIBE,
    /** Number of the interface, what to read (an operation of wire/reads.h, bucket, key), and all that was
     * read before in the same view. Answer: a count, and for each a code, a message, key and value. */
    ASK_STORE,
    /**
     * Number of the interface, kind, name, help, largest number of series, count of labels, labels, whether
     * there are buckets, and their count and bounds. Answer: the metric's number.
     */
    ASK_METRIC,
    /** Number of the metric, a value for each label. Answer: the series' number, count of bounds, bounds. */
    ASK_SERIES,
    /** Number of the series. */
    ASK_REMOVE_SERIES,
    /** The next part of the state that it loads. Answer: as many bytes as there are in it. */
    ASK_STATE,
    /** Number of an HTTP request, status, length (8 bytes; below 0: not known), count of headers, and of each
     * its name and value. */
    ASK_HTTP_BEGIN,
    /** Number of the interface, place of the parent (empty: it begins a trace), kind, name. Answer: its
     * number, its own place; an error if it is not recorded. */
    ASK_SPAN,
};

enum ask_interface {
    /** The plugin has no interface, and can be required all the same. */
    ASK_INTERFACE_NONE,
    /** bin, lib, PATH=…, LD_LIBRARY_PATH=… */
    ASK_INTERFACE_OPT,
    ASK_INTERFACE_DEPRECATIONS,
    ASK_INTERFACE_EXCHANGE,
    /** Its three limits. */
    ASK_INTERFACE_STORE,
    ASK_INTERFACE_METRICS,
    ASK_INTERFACE_TRACING,
    /** One that is called by PACKET_REMOTE_CALL: its name. */
    ASK_INTERFACE_REMOTE,
    ASK_INTERFACE_LAST = ASK_INTERFACE_REMOTE,
};

/** What is said of a span. An attribute is its key, its kind and its value. */
enum span_part {
    /** An attribute. */
    SPAN_SET,
    /** Name, count of attributes, attributes. */
    SPAN_EVENT,
    /** The other's place, count of attributes, attributes. */
    SPAN_LINK,
    /** Status, message. */
    SPAN_STATUS,
    SPAN_END,
};

#endif

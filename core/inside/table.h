/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host table that a plugin is handed in its worker, which may run several. One kind of what crosses is
 * one file: it fills in its functions, which write packets, and takes the packets that answer them.
 */
#ifndef CORE_INSIDE_TABLE_H
#define CORE_INSIDE_TABLE_H

#include <sys/queue.h>

#include <berth/types/deprecations.h>
#include <berth/types/events.h>
#include <berth/types/metrics.h>
#include <berth/types/opt.h>
#include <berth/types/store.h>
#include <berth/types/tracing.h>

#include <core/remote/remote.h>
#include <core/wire/ask.h>
#include <core/wire/numbers.h>
#include <sdk/base/container_of.h>
#include <sdk/calls/outgoing.h>

#include "process.h"
#include "served.h"

struct own_collector;
struct own_series;
struct http_request;
struct used_store;

/** One plugin in its worker. It belongs to the thread of its loop, except where it says otherwise. */
struct inside {
    struct berth_host table;
    /** Whose it is, with all other plugins. */
    struct process *process;
    /** The daemon's for it, in all of its packets. */
    uint16_t number;
    const struct plugin_start *start;
    const struct berth_plugin *plugin;
    /** Its own, as two plugins may have the same service. */
    struct router *router;
    struct served served;
    LIST_HEAD(, http_request) http_requests;
    /** Its calls of other services. */
    struct {
        struct outgoings room;
        struct outgoing_caller caller;
        /** What its calls go to: packets. */
        struct berth_router daemon;
        /* Each a `struct request`. */
        struct numbers calls;
    } requests;
    /** Calls of interfaces: its own, and those to it. */
    struct remote_wire remote;
    struct {
        struct remote_caller caller, server;
        struct berth_remote_peer *own;
    } remotes;
    /** Its metrics, and what the daemon has of them. */
    struct {
        uv_timer_t timer;
        bool has_timer;
        SLIST_HEAD(, own_series) series;
        SLIST_HEAD(, own_collector) collectors;
    } metrics;
    /** For log lines of other threads. */
    struct berth_mailbox *lines;
    void *instance;
    /** Those that it was given in place; NULL: those that it started with. */
    struct carried *settings;
    /** The step whose callback runs or is pending; -1: none. */
    int step;
    bool is_calling;
    /** A completion from inside the callback itself. */
    struct {
        bool is_set;
        enum berth_code code;
        void *instance;
        char message[BERTH_ERROR_MAX];
    } early;
    bool is_ready, takes_holds;
    /** It is closed, or was never started: the daemon hears nothing more of it. */
    bool is_over;
    /** What it uses of other plugins, by the daemon's numbers. */
    struct used_interface *used[ASK_REFS_MAX];
    LIST_HEAD(, berth_subscription) subscriptions;
    struct used_store *stores;
    /** Bytes of events that it keeps for later, and of those that it has taken without giving them back. */
    size_t events_kept;
    uint32_t events_owed;
    /** Number of the last question, and of the last subscription. */
    uint32_t questions, subscription_count;
    /** The body of the last answer; malloced. */
    uint8_t *answer;
    /** Number of its last readiness hold. */
    uint32_t holds;
    /** Its prepare: on a thread of its own until `done`, which follows on the loop. */
    struct {
        uv_thread_t thread;
        uv_async_t done;
        enum berth_code code;
        void *result;
        struct berth_error error;
        struct berth_prepare view;
        void (*on_done)(struct inside *inside);
    } prepare;
};

static inline struct inside *table_of(const struct berth_host *table)
{
    return CONTAINER_OF(table, struct inside, table);
}

/**
 * For a function of the table that is for the loop's thread.
 * @return NULL on another one, which is logged, and for a plugin that is over, with the reason in `err`; that
 * may be NULL.
 */
struct inside *table_on_loop(const struct berth_host *table, const char *function, struct berth_error *err);
/** Begins a packet that belongs to no call. */
static inline struct packet_writer *table_begin(struct inside *inside, enum packet_type type)
{
    struct packet_writer *writer = channel_write(&inside->process->channel, inside->number);

    packet_begin(writer, type, 0, 0);
    return writer;
}

/** A line of the plugin's log, from any thread. */
void log_say(struct inside *inside, enum berth_log_level level, const char *text);

/**
 * Begins a question to the daemon, to be written behind what it has in common with others.
 * @return what to write to; table_ask must follow.
 */
struct packet_writer *table_begin_question(struct inside *inside, enum ask_kind kind);
/**
 * Asks it, and waits.
 * @param ret_answer  what the answer has behind its code and message, until the next question; may be NULL.
 * @return the daemon's code, with its message.
 */
enum berth_code table_ask(struct inside *inside, struct packet_reader *ret_answer, struct berth_error *err);

/** The instance of an interface that a worker uses: what its functions are called with. */
struct used_interface {
    struct inside *inside;
    /** The daemon's. */
    uint32_t number;
    enum ask_interface kind;
    /** Malloced, as are the texts below. */
    char *uri;
    uint64_t generation;
    /** As its plugin says it; of ASK_INTERFACE_OPT alone. */
    char *bin, *lib;
    char **environment;
    /** What its functions are called with; the record itself, unless it is a store or remote. */
    void *instance;
    /** Of ASK_INTERFACE_REMOTE: the stub. */
    const void *stub;
};

extern const struct berth_opt used_opt;
extern const struct berth_deprecations used_deprecations;
extern const struct berth_exchange used_exchange;
extern const struct berth_store used_store;
/** @return the instance of `used_store`; NULL if the answer cannot be read. */
void *store_create(struct used_interface *used, struct packet_reader *reader);
void store_take_committed(struct inside *inside, const struct packet *packet, struct packet_reader *reader);
extern const struct berth_metrics used_metrics;
extern const struct berth_tracing used_tracing;

/** Sends what the series have. `collects`: the plugin sets them before, which it does until its close. */
void metrics_send(struct inside *inside, bool collects);
/** The plugin is over: nothing is sent any more. */
void metrics_stop(struct inside *inside);

void used_fill(struct berth_host *table);
void events_take(struct inside *inside, const struct packet *packet, struct packet_reader *reader);
void events_take_end(struct inside *inside, const struct packet *packet, struct packet_reader *reader);

void remote_open(struct inside *inside);
/** Init has made the instance: its interface can be called. */
void remote_serve(struct inside *inside);
void remote_receive(struct inside *inside, const struct packet *packet, struct packet_reader *reader);
/** @return false if its module has no stub for that interface. */
bool remote_bind(struct inside *inside, const char *interface, uint32_t number, const void **ret_interface,
                 void **ret_instance);
/** Ends the plugin's calls before its close. @param tells  whether it is told; otherwise
 * nothing is sent for it from here on. */
void remote_close(struct inside *inside, bool tells);

void conditions_fill(struct berth_host *table);
void holds_fill(struct berth_host *table);
void log_fill(struct berth_host *table);
void published_fill(struct berth_host *table);
/** The descriptors of a service, for reflection. */
void published_say_descriptors(struct inside *inside, const struct berth_service *service);

/** A packet with PACKET_HTTP. */
void http_take(struct inside *inside, const struct packet *packet);
/** The plugin is about to close: its requests are over. */
void http_close(struct inside *inside);
/** Of the plugin's HTTP handler, if it has one. */
void http_say_handler(struct inside *inside);
/** Also starts what makes calls. */
void outbound_fill(struct inside *inside);
/** A packet with PACKET_OUTGOING. */
void outbound_take(struct inside *inside, const struct packet *packet);
/** Ends the plugin's calls; more than once is fine. @param tells  the plugin is told of each. */
void outbound_close(struct inside *inside, bool tells);

#endif

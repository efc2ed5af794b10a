/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of berth.interop.v1.Peer, whose methods are all unary. */
#include <stdlib.h>
#include <string.h>

#include <peer.pb-c.h>

#include "cases.h"

#define PEER "/berth.interop.v1.Peer/"
#define CALLS_AT_ONCE 200
#define FRAME_MAX (4 << 20)

/* What a case asks for. */
struct question {
    const char *path;
    const char *text;
    int32_t number;
    uint64_t timeout_ms;
    const struct berth_metadata *metadata;
    size_t metadata_count;
};

static struct exchange *ask(struct peer *peer, const struct question *question)
{
    Berth__Interop__V1__Message request = BERTH__INTEROP__V1__MESSAGE__INIT;
    struct exchange *exchange =
        exchange_start(peer, &(struct exchange_options){
                                 .path = question->path,
                                 .kind = BERTH_METHOD_UNARY,
                                 .reply_type = &berth__interop__v1__message__descriptor,
                                 .timeout_ms = question->timeout_ms,
                                 .metadata = question->metadata,
                                 .metadata_count = question->metadata_count,
                             });

    request.text = (char *)(question->text != NULL ? question->text : "");
    request.number = question->number;
    return exchange_send(exchange, &request.base) && exchange_half_close(exchange) ? exchange : NULL;
}

static bool await_reply(struct exchange *exchange, const char *text, int32_t number)
{
    const Berth__Interop__V1__Message *reply;

    if (!exchange_await_end(exchange, BERTH_OK, 1))
        return false;
    reply = (const Berth__Interop__V1__Message *)exchange->replies[0].message;
    return check(exchange->peer, strcmp(reply->text, text) == 0, "text \"%.64s\" instead of \"%.64s\"",
                 reply->text, text) &&
           check(exchange->peer, reply->number == number, "number %d instead of %d", reply->number, number);
}

static bool ask_echo(struct peer *peer, const char *text, int32_t number)
{
    return await_reply(ask(peer, &(struct question){PEER "Echo", text, number}), text, number);
}

static bool await_failure(struct exchange *exchange, enum berth_code code, const char *message)
{
    return exchange_await_end(exchange, code, 0) &&
           check(exchange->peer, strstr(exchange->message, message) != NULL, "\"%s\" says nothing of \"%s\"",
                 exchange->message, message);
}

static bool echo(struct peer *peer)
{
    for (int32_t i = 0; i < 100; i++)
        if (!ask_echo(peer, "Echo me", i))
            return false;
    return ask_echo(peer, "", 0);
}

static bool large_messages(struct peer *peer)
{
    static const size_t sizes[] = {511, 512, 513, 4096, 65536, 1 << 20, 3 << 20};
    bool ok = true;

    for (size_t i = 0; ok && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *text = malloc(sizes[i] + 1);

        if (text == NULL)
            abort();
        memset(text, 'x', sizes[i]);
        text[sizes[i]] = '\0';
        ok = ask_echo(peer, text, (int32_t)sizes[i]);
        free(text);
    }
    return ok;
}

static bool metadata(struct peer *peer)
{
    static const struct berth_metadata given[] = {
        {"one", "1", 1}, {"many", "a", 1}, {"many", "", 0}, {"many", "gr\xc3\xbc\xc3\x9f", 6}};
    const struct question one = {PEER "Metadata", "one", .metadata = given, .metadata_count = 4};
    const struct question many = {PEER "Metadata", "many", .metadata = given, .metadata_count = 4};
    const struct question none = {PEER "Metadata", "none"};

    return await_reply(ask(peer, &one), "1", 1) &&
           await_reply(ask(peer, &many), "a,,gr\xc3\xbc\xc3\x9f", 3) && await_reply(ask(peer, &none), "", 0);
}

static bool deadline_is_told(struct peer *peer)
{
    struct exchange *exchange = ask(peer, &(struct question){PEER "Deadline", .timeout_ms = 20000});
    const Berth__Interop__V1__Message *reply;

    if (!exchange_await_end(exchange, BERTH_OK, 1))
        return false;
    reply = (const Berth__Interop__V1__Message *)exchange->replies[0].message;
    return check(peer, reply->number > 0 && reply->number <= 20000, "%d ms are left of 20000", reply->number);
}

/* What comes late is no answer to the next call. */
static bool deadline_passes(struct peer *peer)
{
    return exchange_await_end(ask(peer, &(struct question){PEER "Wait", .number = 100, .timeout_ms = 20}),
                              BERTH_DEADLINE_EXCEEDED, 0) &&
           await_reply(ask(peer, &(struct question){PEER "Wait", .number = 200}), "", 200);
}

static bool unknown_service(struct peer *peer)
{
    return await_failure(ask(peer, &(struct question){"/berth.interop.v1.Nobody/Echo"}), BERTH_UNIMPLEMENTED,
                         "service berth.interop.v1.Nobody");
}

static bool unknown_method(struct peer *peer)
{
    return await_failure(ask(peer, &(struct question){PEER "Nothing"}), BERTH_UNIMPLEMENTED,
                         "method Nothing");
}

static bool status_with_details(struct peer *peer)
{
    const struct question question = {PEER "Fail", "fails as it should: gr\xc3\xbc\xc3\x9f", BERTH_ABORTED};
    struct exchange *exchange = ask(peer, &question);
    Berth__Interop__V1__Status *status;
    bool ok;

    if (!await_failure(exchange, BERTH_ABORTED, question.text))
        return false;
    status = berth__interop__v1__status__unpack(NULL, exchange->details_length, exchange->details);
    ok = check(peer, status != NULL && status->n_details == 1, "no detail came") &&
         check(peer, status->code == BERTH_ABORTED && strcmp(status->message, question.text) == 0,
               "details of code %d: %s", status->code, status->message) &&
         check(peer, strstr(status->details[0]->type_url, "berth.interop.v1.Message") != NULL,
               "a detail of type %s", status->details[0]->type_url);
    if (status != NULL)
        berth__interop__v1__status__free_unpacked(status, NULL);
    return ok;
}

static bool oversize_reply(struct peer *peer)
{
    return exchange_await_end(ask(peer, &(struct question){PEER "Grow", .number = FRAME_MAX}),
                              BERTH_RESOURCE_EXHAUSTED, 0) &&
           ask_echo(peer, "still here", 1);
}

static bool many_calls_at_once(struct peer *peer)
{
    struct exchange *exchanges[CALLS_AT_ONCE];

    for (int32_t i = 0; i < CALLS_AT_ONCE; i++)
        exchanges[i] = ask(peer, &(struct question){PEER "Echo", "one of many", i});
    for (int32_t i = 0; i < CALLS_AT_ONCE; i++)
        if (!await_reply(exchanges[i], "one of many", i))
            return false;
    return true;
}

static bool answers_in_any_order(struct peer *peer)
{
    struct exchange *slow = ask(peer, &(struct question){PEER "Wait", .number = 300});

    for (int32_t i = 0; i < 20; i++)
        if (!ask_echo(peer, "meanwhile", i))
            return false;
    return await_reply(slow, "", 300);
}

static bool cancelled_call(struct peer *peer)
{
    struct exchange *exchange = ask(peer, &(struct question){PEER "Wait", .number = 200});

    return ask_echo(peer, "it has arrived", 1) && exchange_cancel(exchange) &&
           exchange_await_end(exchange, BERTH_CANCELLED, 0) &&
           await_reply(ask(peer, &(struct question){PEER "Wait", .number = 300}), "", 300);
}

static bool server_closes_mid_call(struct peer *peer)
{
    struct exchange *waiting = ask(peer, &(struct question){PEER "Wait", .number = 25000});
    struct exchange *leaving = ask(peer, &(struct question){PEER "Leave"});

    return exchange_await_end(leaving, BERTH_UNAVAILABLE, 0) &&
           exchange_await_end(waiting, BERTH_UNAVAILABLE, 0) && ask_echo(peer, "another connection", 1);
}

const struct interop_case cases_peer[] = {
    {"echo", echo},
    {"large_messages", large_messages},
    {"metadata", metadata},
    {"deadline_is_told", deadline_is_told},
    {"deadline_passes", deadline_passes},
    {"unknown_service", unknown_service},
    {"unknown_method", unknown_method},
    {"status_with_details", status_with_details},
    {"oversize_reply", oversize_reply},
    {"many_calls_at_once", many_calls_at_once},
    {"answers_in_any_order", answers_in_any_order},
    {"cancelled_call", cancelled_call},
    {"server_closes_mid_call", server_closes_mid_call},
    {NULL, NULL},
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server as a plugin: where it listens, which handler answers, and what clients may cost it. */
#include "http_stage.h"
#include "plugin_stage.h"
#include "server_stage.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <berth/types/http.h>

#define HTTP "io.berth.server.v1.http"
#define HANDLER "io.containerd.http.v1."

static size_t begun;
static size_t ended;
static struct berth_http_request *waiting;

static void count_end(struct berth_http_request *request)
{
    ended++;
    if (waiting == request)
        waiting = NULL;
}

/* What came, as text. */
static void describe(struct berth_http_request *request)
{
    const char *agent = berth_http_header(request, "user-agent");
    char text[1024];
    int length = snprintf(text, sizeof(text), "%s %s [%s] ?%s %zu bytes agent=%s instance=%d uid=%d",
                          request->method, request->path, request->rest, request->query, request->body_length,
                          agent != NULL ? agent : "-", request->instance == (void *)&begun,
                          request->peer->uid == (int64_t)getuid());

    begun++;
    berth_http_respond(request, 200, "text/plain", text, (size_t)length);
}

static void keep(struct berth_http_request *request)
{
    begun++;
    waiting = request;
}

static void stream(struct berth_http_request *request)
{
    const struct berth_http_header fields[] = {{"X-One", "1"}, {"x-two", "2"}};

    begun++;
    assert_int_equal(berth_http_begin(request, 200, fields, 2, -1), BERTH_OK);
    assert_int_equal(berth_http_begin(request, 200, fields, 2, -1), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_http_write(request, "one", 3), BERTH_OK);
    assert_int_equal(berth_http_write(request, "", 0), BERTH_OK);
    assert_int_equal(berth_http_write(request, " two", 4), BERTH_OK);
    berth_http_end(request);
    assert_int_equal(berth_http_write(request, "x", 1), BERTH_FAILED_PRECONDITION);
}

/* Everything that a handler may not say. */
static void misbehave(struct berth_http_request *request)
{
    const struct berth_http_header bad[] = {
        {"X", "a\r\nY: b"}, {"X Y", "a"}, {"Content-Length", "3"},         {"connection", "x"},
        {"Date", "never"},  {"", "a"},    {"Transfer-Encoding", "chunked"}};

    begun++;
    assert_int_equal(berth_http_write(request, "x", 1), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_http_begin(request, 199, NULL, 0, 0), BERTH_INVALID_ARGUMENT);
    assert_int_equal(berth_http_begin(request, 600, NULL, 0, 0), BERTH_INVALID_ARGUMENT);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(berth_http_begin(request, 200, &bad[i], 1, 0), BERTH_INVALID_ARGUMENT);
    assert_int_equal(berth_http_begin(request, 200, NULL, 0, 2), BERTH_OK);
    assert_int_equal(berth_http_write(request, "abc", 3), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_http_write(request, "ab", 2), BERTH_OK);
    berth_http_end(request);
}

static void say_nothing(struct berth_http_request *request)
{
    begun++;
    berth_http_end(request);
}

static void break_off(struct berth_http_request *request)
{
    begun++;
    berth_http_begin(request, 200, NULL, 0, 10);
    berth_http_write(request, "abc", 3);
    berth_http_end(request);
}

static char block[64 * 1024];

/* Without end, as fast as the client reads. */
static void pour(struct berth_http_request *request)
{
    size_t poured = (size_t)(uintptr_t)request->state;

    while (berth_http_can_write(request)) {
        assert_int_equal(berth_http_write(request, block, sizeof(block)), BERTH_OK);
        poured += sizeof(block);
    }
    request->state = (void *)(uintptr_t)poured;
}

static void start_pouring(struct berth_http_request *request)
{
    begun++;
    berth_http_begin(request, 200, NULL, 0, -1);
    pour(request);
}

/* Does not take no for an answer. */
static void flood(struct berth_http_request *request)
{
    size_t taken = 0;

    begun++;
    berth_http_begin(request, 200, NULL, 0, -1);
    while (taken < 1000 && berth_http_write(request, block, sizeof(block)) == BERTH_OK)
        taken++;
    assert_true(taken > 0 && taken < 1000);
    berth_http_end(request);
}

static char large[1 << 20];
static size_t asked_length;

static void respond_at_length(struct berth_http_request *request)
{
    begun++;
    berth_http_respond(request, 200, "text/plain", large, asked_length);
}

/* More than the server may keep, again and again. */
static void exceed(struct berth_http_request *request)
{
    assert_int_equal(berth_http_write(request, large, sizeof(large)), BERTH_RESOURCE_EXHAUSTED);
}

static void start_exceeding(struct berth_http_request *request)
{
    begun++;
    berth_http_begin(request, 200, NULL, 0, sizeof(large));
    exceed(request);
}

/* Says at the end what it did not before. */
static void respond_late(struct berth_http_request *request)
{
    berth_http_respond(request, 200, "text/plain", "late", 4);
    berth_http_end(request);
    count_end(request);
}

#define HANDLE(name, path, verbs, function)                                                                  \
    static const struct berth_http name = {.size = sizeof(name),                                             \
                                           .prefix = (path),                                                 \
                                           .methods = (verbs),                                               \
                                           .on_request = (function),                                         \
                                           .on_writable = pour,                                              \
                                           .on_end = count_end}

HANDLE(root, "/", "GET", describe);
HANDLE(a, "/a", "GET POST", describe);
HANDLE(a_b, "/a/b", "GET", describe);
HANDLE(later, "/later", "GET", keep);
HANDLE(streamed, "/stream", "GET", stream);
HANDLE(bad, "/bad", "GET", misbehave);
HANDLE(silent, "/silent", "GET", say_nothing);
HANDLE(broken, "/broken", "GET", break_off);
HANDLE(endless, "/endless", "GET", start_pouring);
HANDLE(flooding, "/flood", "GET", flood);
HANDLE(long_one, "/long", "GET", respond_at_length);
static const struct berth_http exceeding = {.size = sizeof(exceeding),
                                            .prefix = "/exceed",
                                            .methods = "GET",
                                            .on_request = start_exceeding,
                                            .on_writable = exceed,
                                            .on_end = count_end};
static const struct berth_http late = {
    .size = sizeof(late), .prefix = "/late", .methods = "GET", .on_request = keep, .on_end = respond_late};

static const struct {
    const char *id;
    const struct berth_http *handler;
} handlers[] = {{"a", &a},
                {"ab", &a_b},
                {"later", &later},
                {"stream", &streamed},
                {"bad", &bad},
                {"silent", &silent},
                {"broken", &broken},
                {"endless", &endless},
                {"flood", &flooding},
                {"long", &long_one},
                {"exceed", &exceeding},
                {"late", &late}};

static char folder[] = "/tmp/berth-test-XXXXXX";

static struct berth_testing *create(const char *settings)
{
    struct berth_testing *testing;
    char text[1024];

    snprintf(text, sizeof(text), "address: %s/s\n%s", folder, settings);
    testing = plugin_create(HTTP, strstr(settings, "address:") != NULL ? settings : text);
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        char uri[64];

        snprintf(uri, sizeof(uri), HANDLER "%s", handlers[i].id);
        berth_testing_provide(testing, uri, handlers[i].handler, &begun);
    }
    begun = ended = 0;
    return testing;
}

static struct berth_testing *serve(const char *settings)
{
    struct berth_testing *testing = create(settings);
    struct berth_error err;

    plugin_start(testing);
    if (berth_testing_serve(testing, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return testing;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void the_longest_prefix_answers(void **state)
{
    struct berth_testing *testing = serve("");

    assert_has(ask(testing, "GET /a"), "GET /a [] ? 0 bytes agent=- instance=1 uid=1");
    assert_has(ask(testing, "GET /a/c?d=%20"), "GET /a/c [/c] ?d=%20");
    assert_has(ask(testing, "GET /a/b"), "GET /a/b []");
    assert_has(ask(testing, "GET /a/b/c%2fd"), "GET /a/b/c/d [/c/d]");
    assert_has(ask(testing, "GET /a/bc"), "GET /a/bc [/bc]");
    assert_has(ask(testing, "GET /ab"), "HTTP/1.1 404 Not Found\r\n");
    assert_has(ask(testing, "GET /"), "nothing answers at this path\n");
    assert_int_equal(begun, ended);
    plugin_destroy(testing);
}

static void the_root_takes_what_nobody_else_does(void **state)
{
    struct berth_testing *testing = create("");
    struct berth_error err;

    berth_testing_provide(testing, HANDLER "root", &root, NULL);
    plugin_start(testing);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    assert_has(ask(testing, "GET /x/y"), "GET /x/y [/x/y]");
    assert_has(ask(testing, "GET /a/x"), "GET /a/x [/x]");
    plugin_destroy(testing);
}

static void methods_are_those_of_the_handler(void **state)
{
    struct berth_testing *testing = serve("");
    const char *text = ask(testing, "DELETE /a");

    assert_has(text, "HTTP/1.1 405 Method Not Allowed\r\n");
    assert_has(text, "Allow: GET, POST\r\n");
    text = ask(testing, "HEAD /a");
    assert_has(text, "HTTP/1.1 200 OK\r\n");
    assert_has(text, "Content-Length: 45\r\n");
    assert_null(strstr(text, "HEAD /a []"));
    assert_has(ask(testing, "POST /a"), "POST /a []");
    plugin_destroy(testing);
}

static void two_handlers_of_one_prefix_are_refused_by_name(void **state)
{
    struct berth_testing *testing = create("");
    struct berth_error err = {0};

    berth_testing_provide(testing, HANDLER "twin", &a, NULL);
    plugin_start(testing);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_ALREADY_EXISTS);
    assert_has(err.message, HANDLER "a and " HANDLER "twin both answer below /a; disable one of them");
    plugin_destroy(testing);
}

static void a_handler_without_a_valid_prefix_is_refused_by_name(void **state)
{
    static const struct berth_http odd[] = {
        {.size = sizeof(odd[0]), .prefix = "x", .methods = "GET", .on_request = describe},
        {.size = sizeof(odd[0]), .prefix = "/x/", .methods = "GET", .on_request = describe},
        {.size = sizeof(odd[0]), .prefix = "/x", .methods = "", .on_request = describe},
        {.size = sizeof(odd[0]), .prefix = "/x", .methods = "G\"T", .on_request = describe},
        {.size = sizeof(odd[0]), .prefix = "/x", .methods = "GET"},
    };

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct berth_testing *testing = create("");
        struct berth_error err = {0};

        berth_testing_provide(testing, HANDLER "odd", &odd[i], NULL);
        plugin_start(testing);
        assert_int_equal(berth_testing_serve(testing, &err), BERTH_INVALID_ARGUMENT);
        assert_has(err.message, HANDLER "odd: its ");
        plugin_destroy(testing);
    }
}

static void a_body_of_unknown_length_is_chunked(void **state)
{
    struct berth_testing *testing = serve("");
    const char *text = ask(testing, "GET /stream");
    int fd;

    assert_has(text, "X-One: 1\r\nx-two: 2\r\n");
    assert_has(text, "Transfer-Encoding: chunked\r\n");
    assert_has(text, "\r\n\r\n3\r\none\r\n4\r\n two\r\n0\r\n\r\n");
    fd = connect_to(testing);
    say(fd, "GET /stream HTTP/1.0\r\nHost: a\r\n\r\n");
    text = await_text(testing, fd, NULL);
    assert_null(strstr(text, "chunked"));
    assert_has(text, "\r\n\r\none two");
    close(fd);
    plugin_destroy(testing);
}

static void what_a_handler_may_not_say_is_refused(void **state)
{
    struct berth_testing *testing = serve("");

    assert_has(ask(testing, "GET /bad"), "\r\n\r\nab");
    assert_has(ask(testing, "GET /silent"), "HTTP/1.1 500 Internal Server Error\r\n");
    assert_has(ask(testing, "GET /broken"), "Content-Length: 10\r\n");
    assert_int_equal(ended, 3);
    plugin_destroy(testing);
}

static void requests_behind_each_other_are_answered_in_order(void **state)
{
    struct berth_testing *testing = serve("");
    int fd = connect_to(testing);
    const char *text;

    say(fd,
        "GET /a/1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /a/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        "GET /a/3 HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\nGET /a/4 HT");
    text = await_text(testing, fd, "nothing answers");
    assert_true(strstr(text, "GET /a/1") < strstr(text, "POST /a/2"));
    assert_true(strstr(text, "POST /a/2 [/2] ? 3 bytes") < strstr(text, "GET /a/3"));
    say(fd, "TP/1.1\r\nHost: a\r\n\r\n");
    await_text(testing, fd, "GET /a/4");
    assert_int_equal(ended, 4);
    close(fd);
    plugin_destroy(testing);
}

/* Some wait in the server, and some in the kernel; where one ends and the next begins is anywhere. */
static void many_requests_behind_each_other_are_all_answered(void **state)
{
    static char requests[4000 * 32], expected[32];
    struct berth_testing *testing = serve("");
    int fd = connect_to(testing);
    size_t length = 0, sent = 0;
    struct answer answer = {.fd = fd};
    unsigned number = 0;

    for (unsigned i = 0; i < 3000; i++)
        length += (size_t)snprintf(requests + length, sizeof(requests) - length,
                                   "GET /a/%u HTTP/1.1\r\nHost: a\r\n\r\n", i);
    while (number < 3000) {
        size_t part = length - sent < 7001 ? length - sent : 7001;
        ssize_t more = part > 0 ? send(fd, requests + sent, part, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
        char *at;

        sent += more > 0 ? (size_t)more : 0;
        berth_testing_run(testing);
        is_there(&answer);
        assert_false(answer.has_ended);
        /* In their order, and none twice. */
        snprintf(expected, sizeof(expected), "GET /a/%u [", number);
        while ((at = strstr(answer.text, expected)) != NULL) {
            answer.length -= (size_t)(at + strlen(expected) - answer.text);
            memmove(answer.text, at + strlen(expected), answer.length + 1);
            snprintf(expected, sizeof(expected), "GET /a/%u [", ++number);
        }
    }
    assert_int_equal(ended, 3000);
    assert_int_equal(sent, length);
    close(fd);
    plugin_destroy(testing);
}

static void a_client_that_hangs_up_ends_its_request(void **state)
{
    struct berth_testing *testing = serve("");
    int fd = connect_to(testing);

    say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    while (begun == 0)
        berth_testing_run(testing);
    assert_int_equal(ended, 0);
    close(fd);
    while (ended == 0)
        berth_testing_run(testing);
    assert_null(waiting);
    plugin_destroy(testing);
}

static void a_handler_may_respond_to_nobody(void **state)
{
    struct berth_testing *testing = serve("");
    int fd = connect_to(testing);

    say(fd, "GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    while (begun == 0)
        berth_testing_run(testing);
    close(fd);
    while (ended == 0)
        berth_testing_run(testing);
    plugin_destroy(testing);
}

static bool count_until_end(void *context)
{
    struct answer *answer = context;
    ssize_t length;

    while ((length = recv(answer->fd, answer->text, sizeof(answer->text), MSG_DONTWAIT)) > 0)
        answer->length += (size_t)length;
    return length == 0 || errno != EAGAIN;
}

/* The input behind the request is not read; that must not cut the response, wherever the socket was full. */
static void a_slow_reader_gets_the_whole_last_response(void **state)
{
    static struct answer answer;
    struct berth_testing *testing = serve("");

    for (asked_length = sizeof(large); asked_length > 0; asked_length -= sizeof(large) / 16) {
        answer = (struct answer){.fd = connect_to(testing)};
        say(answer.fd, "GET /long HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /long HTTP/1.1\r\n");
        while (begun == 0)
            berth_testing_run(testing);
        assert_true(berth_testing_run_until(testing, count_until_end, &answer));
        assert_true(answer.length > asked_length);
        assert_int_equal(begun, 1);
        close(answer.fd);
        begun = 0;
    }
    plugin_destroy(testing);
}

static void a_response_beyond_all_memory_ends_the_connection(void **state)
{
    struct berth_testing *testing = serve("max_buffered_bytes: 1MiB\nmax_recv_message_bytes: 1KiB\n");

    assert_has(ask(testing, "GET /exceed"), "Content-Length: 1048576\r\n");
    assert_int_equal(ended, 1);
    plugin_destroy(testing);
}

static void a_client_that_has_closed_its_side_gets_its_answer(void **state)
{
    struct berth_testing *testing = serve("");
    int fd = connect_to(testing);

    say(fd, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(fd, SHUT_WR);
    assert_has(await_text(testing, fd, NULL), "GET /a []");
    close(fd);
    plugin_destroy(testing);
}

static void one_that_waits_for_leave_gets_it(void **state)
{
    struct berth_testing *testing = serve("max_recv_message_bytes: 1KiB\n");
    int fd = connect_to(testing);

    say(fd, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    await_text(testing, fd, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "abc");
    assert_has(await_text(testing, fd, "3 bytes"), "HTTP/1.1 200 OK\r\n");
    say(fd, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\nExpect: 100-continue\r\n\r\n");
    assert_has(await_text(testing, fd, NULL), "HTTP/1.1 413 Content Too Large\r\n");
    close(fd);
    fd = connect_to(testing);
    say(fd, "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_null(strstr(await_text(testing, fd, NULL), "100 Continue"));
    close(fd);
    plugin_destroy(testing);
}

static void a_handler_waits_for_its_client_to_read(void **state)
{
    struct berth_testing *testing = serve("max_queued_bytes: 256KiB\n");
    int fd = connect_to(testing);
    const char *text;

    say(fd, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    text = await_text(testing, fd, "\r\n\r\n10000\r\n");
    assert_has(text, "Transfer-Encoding: chunked");
    assert_int_equal(ended, 0);
    close(fd);
    while (ended == 0)
        berth_testing_run(testing);
    assert_has(ask(testing, "GET /flood"), "HTTP/1.1 200 OK\r\n");
    plugin_destroy(testing);
}

static const char *ask_host(struct berth_testing *testing, const char *host)
{
    int fd = connect_to(testing);
    const char *text;
    char request[256];

    snprintf(request, sizeof(request), "GET /a HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host);
    say(fd, request);
    text = await_text(testing, fd, NULL);
    close(fd);
    return text;
}

static void a_foreign_host_is_refused_on_tcp(void **state)
{
    static const char *const good[] = {"localhost", "LOCALHOST:80", "127.0.0.1:1",     "[::1]:2",
                                       "192.0.2.1", "own.example",  "OWN.example:8080"};
    static const char *const foreign[] = {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example",
                                          "own.example.", "own.example@localhost",  "localhost:80x",
                                          "a b"};
    struct berth_testing *testing = serve("address: 127.0.0.1:0\nhosts: [own.example]\n");

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_has(ask_host(testing, good[i]), "HTTP/1.1 200 OK\r\n");
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        assert_has(ask_host(testing, foreign[i]), "HTTP/1.1 403 Forbidden\r\n");
    assert_true(berth_testing_has_logged(testing, "is not among hosts"));
    plugin_destroy(testing);
    testing = serve("address: 127.0.0.1:0\nhosts: ['*']\n");
    assert_has(ask_host(testing, "evil.example"), "HTTP/1.1 200 OK\r\n");
    plugin_destroy(testing);
    testing = serve("");
    assert_has(ask_host(testing, "anything"), "HTTP/1.1 200 OK\r\n");
    plugin_destroy(testing);
}

static void a_slow_request_is_answered_and_closed(void **state)
{
    struct berth_testing *testing = serve("head_timeout: 1s\nbody_timeout: 2s\n");
    int head = connect_to(testing);
    int body = connect_to(testing);
    int silent_one = connect_to(testing);

    say(head, "GET /a HTTP/1.1\r\nHost: a\r\nX: slow");
    say(body, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nslow");
    berth_testing_run(testing);
    berth_testing_advance(testing, 1100);
    assert_has(await_text(testing, head, NULL), "HTTP/1.1 408 Request Timeout\r\n");
    assert_int_equal(strlen(await_text(testing, silent_one, NULL)), 0);
    berth_testing_advance(testing, 1000);
    assert_has(await_text(testing, body, NULL), "HTTP/1.1 408 Request Timeout\r\n");
    assert_int_equal(begun, 0);
    close(head);
    close(body);
    close(silent_one);
    plugin_destroy(testing);
}

static void a_draining_server_closes_what_is_idle_and_tells_the_rest(void **state)
{
    struct berth_testing *testing = serve("");
    int idle = connect_to(testing);
    int busy = connect_to(testing);
    struct berth_error err;
    const char *text;

    say(idle, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    await_text(testing, idle, "GET /a");
    say(busy, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    while (waiting == NULL)
        berth_testing_run(testing);
    assert_int_equal(berth_testing_drain(testing, &err), BERTH_PENDING);
    /* A request that crosses the end is given a moment to arrive. */
    berth_testing_advance(testing, 100);
    assert_int_equal(strlen(await_text(testing, idle, NULL)), 0);
    berth_http_respond(waiting, 200, "text/plain", "well", 4);
    text = await_text(testing, busy, NULL);
    assert_has(text, "Connection: close\r\n");
    assert_has(text, "\r\n\r\nwell");
    close(idle);
    close(busy);
    plugin_destroy(testing);
}

static void a_closing_server_says_so_to_those_who_wait(void **state)
{
    struct berth_testing *testing = serve("");
    int fd = connect_to(testing);
    struct berth_error err;

    say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    while (waiting == NULL)
        berth_testing_run(testing);
    berth_testing_drain(testing, &err);
    berth_testing_close(testing, &err);
    assert_has(await_text(testing, fd, NULL), "HTTP/1.1 503 Service Unavailable\r\n");
    assert_int_equal(ended, 1);
    close(fd);
    plugin_destroy(testing);
}

static void connections_are_bounded(void **state)
{
    struct berth_testing *testing =
        serve("address: 127.0.0.1:0\nmax_connections: 4\nmax_connections_per_peer: 2\n");
    int fds[3];

    for (size_t i = 0; i < 3; i++)
        fds[i] = connect_to(testing);
    for (size_t i = 0; i < 2; i++) {
        say(fds[i], "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await_text(testing, fds[i], "GET /a");
    }
    assert_int_equal(strlen(await_text(testing, fds[2], NULL)), 0);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    plugin_destroy(testing);
}

static void other_protocols_are_told(void **state)
{
    struct berth_testing *testing = serve("");
    int fd = connect_to(testing);

    assert_int_equal(send(fd, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11, 0), 11);
    assert_has(await_text(testing, fd, NULL), "This address speaks HTTP without TLS. Use http.");
    close(fd);
    assert_true(berth_testing_has_logged(testing, "wrong protocol"));
    plugin_destroy(testing);
}

static void every_setting_reaches_the_server(void **state)
{
    plugin_destroy(
        serve("max_connections: 11\nmax_connections_per_peer: 12\nmax_header_list_bytes: 13KiB\n"
              "max_recv_message_bytes: 14KiB\nmax_queued_bytes: 150KiB\nmax_buffered_bytes: 16MiB\n"
              "write_timeout: 17s\nmax_idle: 18s\nmode: \"0600\"\n"));
    assert_int_equal(asked.max_connections, 11);
    assert_int_equal(asked.max_connections_per_peer, 12);
    assert_int_equal(asked.max_header_list_bytes, 13 << 10);
    assert_int_equal(asked.max_recv_message_bytes, 14 << 10);
    assert_int_equal(asked.max_queued_bytes, 150 << 10);
    assert_int_equal(asked.max_buffered_bytes, 16 << 20);
    assert_int_equal(asked.write_timeout_ms, 17000);
    assert_int_equal(asked.max_idle_ms, 18000);
}

static void the_unix_socket_has_its_mode(void **state)
{
    struct berth_testing *testing = serve("mode: \"0600\"\n");
    struct stat status;
    char path[256];

    snprintf(path, sizeof(path), "%s/s", folder);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    plugin_destroy(testing);
}

static void assert_start(const char *settings, enum berth_code code, const char *text)
{
    struct berth_error err = {0};
    struct berth_testing *testing = plugin_create(HTTP, settings);

    assert_int_equal(berth_testing_start(testing, &err), code);
    if (text != NULL)
        assert_has(err.message, text);
    berth_testing_destroy(testing, &err);
}

static void places_that_make_no_sense_are_refused(void **state)
{
    assert_start("", BERTH_SKIP, "address is not set");
    assert_start("address: 0.0.0.0:0\n", BERTH_INVALID_ARGUMENT, "insecure: true");
    assert_start("address: 0.0.0.0:0\ninsecure: true\n", BERTH_OK, NULL);
    assert_start("address: 127.0.0.1:0\ntls_cert: /a.pem\n", BERTH_INVALID_ARGUMENT, "set tls_key too");
    assert_start("address: /a.sock\ntls_cert: /a.pem\ntls_key: /a.key\n", BERTH_INVALID_ARGUMENT,
                 "TLS is for TCP addresses");
    assert_start("address: example:80\n", BERTH_INVALID_ARGUMENT, "is not an IP address and port");
}

static int remove_folder(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_prefix_answers),
        cmocka_unit_test(the_root_takes_what_nobody_else_does),
        cmocka_unit_test(methods_are_those_of_the_handler),
        cmocka_unit_test(two_handlers_of_one_prefix_are_refused_by_name),
        cmocka_unit_test(a_handler_without_a_valid_prefix_is_refused_by_name),
        cmocka_unit_test(a_body_of_unknown_length_is_chunked),
        cmocka_unit_test(what_a_handler_may_not_say_is_refused),
        cmocka_unit_test(requests_behind_each_other_are_answered_in_order),
        cmocka_unit_test(many_requests_behind_each_other_are_all_answered),
        cmocka_unit_test(a_client_that_hangs_up_ends_its_request),
        cmocka_unit_test(a_handler_may_respond_to_nobody),
        cmocka_unit_test(a_slow_reader_gets_the_whole_last_response),
        cmocka_unit_test(a_response_beyond_all_memory_ends_the_connection),
        cmocka_unit_test(a_client_that_has_closed_its_side_gets_its_answer),
        cmocka_unit_test(one_that_waits_for_leave_gets_it),
        cmocka_unit_test(a_handler_waits_for_its_client_to_read),
        cmocka_unit_test(a_foreign_host_is_refused_on_tcp),
        cmocka_unit_test(a_slow_request_is_answered_and_closed),
        cmocka_unit_test(a_draining_server_closes_what_is_idle_and_tells_the_rest),
        cmocka_unit_test(a_closing_server_says_so_to_those_who_wait),
        cmocka_unit_test(connections_are_bounded),
        cmocka_unit_test(other_protocols_are_told),
        cmocka_unit_test(every_setting_reaches_the_server),
        cmocka_unit_test(the_unix_socket_has_its_mode),
        cmocka_unit_test(places_that_make_no_sense_are_refused),
    };

    if (mkdtemp(folder) == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}

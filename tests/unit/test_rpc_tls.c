/* SPDX-License-Identifier: Apache-2.0 */
/* TLS on both sides: who is trusted, what is refused and why, and misbehaving peers. */
#include "rpc_pair.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "certificates.h"

#define YEAR 365

/* A client of bare OpenSSL, which may break the rules. */
struct outsider {
    int fd;
    SSL_CTX *settings;
    SSL *ssl;
    /** Why OpenSSL ended its handshake. */
    int reason;
};

static uint16_t port;
static struct outsider outsider;

static struct berth_rpc_tls_options server_options(void)
{
    return (struct berth_rpc_tls_options){.size = sizeof(struct berth_rpc_tls_options),
                                          .certificate_file = certificates_path("server.pem"),
                                          .key_file = certificates_path("server.key")};
}

static enum berth_code listen_with(const struct berth_rpc_tls_options *tls)
{
    const struct berth_rpc_tcp_options options = {
        .size = sizeof(options), .address = "127.0.0.1:0", .tls = tls};

    return berth_rpc_server_listen_tcp(pair.server, &options, &port, &pair.err);
}

static void serve(bool demands_certificate)
{
    struct berth_rpc_tls_options options = server_options();

    options.ca_file = demands_certificate ? certificates_path("ca.pem") : NULL;
    if (listen_with(&options) != BERTH_OK)
        fail_msg("%s", pair.err.message);
}

static void call_at(const char *host, const struct berth_rpc_tls_options *tls)
{
    char address[64];

    snprintf(address, sizeof(address), "tcp:%s:%u", host, port);
    pair_connect(address, tls);
    pair_ask("/t.T/Echo", "hello");
    pair_run_until_over(1);
}

static struct berth_rpc_tls_options believing(const char *authority)
{
    return (struct berth_rpc_tls_options){.size = sizeof(struct berth_rpc_tls_options),
                                          .ca_file = certificates_path(authority)};
}

static struct berth_rpc_tls_options showing(const char *certificate, const char *key)
{
    struct berth_rpc_tls_options options = believing("ca.pem");

    options.certificate_file = certificates_path(certificate);
    options.key_file = certificates_path(key);
    return options;
}

static void assert_unavailable(const char *reason)
{
    assert_int_equal(pair.code, BERTH_UNAVAILABLE);
    if (strstr(pair.message, reason) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", reason, pair.message);
}

static void a_call_over_tls_arrives(void **state)
{
    const struct berth_rpc_tls_options tls = believing("ca.pem");

    serve(false);
    call_at("localhost", &tls);
    assert_string_equal(pair.message, "");
    assert_int_equal(pair.code, BERTH_OK);
    assert_string_equal(pair.text, "hello");
    assert_memory_equal(seen.peer, "127.0.0.1:", 10);
    assert_string_equal(seen.subject, "");
}

static void a_server_may_be_known_by_its_address(void **state)
{
    const struct berth_rpc_tls_options tls = believing("ca.pem");

    serve(false);
    call_at("127.0.0.1", &tls);
    assert_int_equal(pair.code, BERTH_OK);
}

static void a_client_is_known_by_its_certificate(void **state)
{
    const struct berth_rpc_tls_options tls = showing("client.pem", "client.key");

    serve(true);
    call_at("localhost", &tls);
    assert_int_equal(pair.code, BERTH_OK);
    assert_string_equal(seen.subject, "CN=client,O=berth tests");
    assert_string_equal(seen.names, "DNS:a.example URI:spiffe://a/b IP:127.0.0.1 ");
}

static void a_client_without_a_certificate_is_refused(void **state)
{
    const struct berth_rpc_tls_options tls = believing("ca.pem");

    serve(true);
    call_at("localhost", &tls);
    assert_unavailable("certificate required");
    pair_run_until_logged("client certificate required, but none was sent");
}

static void a_client_with_a_certificate_of_nobody_known_is_refused(void **state)
{
    const struct berth_rpc_tls_options tls = showing("stranger.pem", "stranger.key");

    serve(true);
    call_at("localhost", &tls);
    assert_unavailable("unknown ca");
    pair_run_until_logged("certificate verification failed: ");
}

static void a_server_of_another_authority_is_not_trusted(void **state)
{
    const struct berth_rpc_tls_options tls = believing("other.pem");

    serve(false);
    call_at("localhost", &tls);
    assert_unavailable("certificate verification failed: unable to get local issuer certificate");
    pair_run_until_logged("unknown ca");
}

static void an_authority_that_has_expired_is_not_trusted(void **state)
{
    const struct berth_rpc_tls_options tls = believing("old-ca.pem");
    struct berth_rpc_tls_options options = server_options();

    options.certificate_file = certificates_path("of-old-ca.pem");
    options.key_file = certificates_path("of-old-ca.key");
    assert_int_equal(listen_with(&options), BERTH_OK);
    call_at("localhost", &tls);
    assert_unavailable("certificate verification failed: certificate has expired");
}

static void a_server_of_another_name_is_not_trusted(void **state)
{
    struct berth_rpc_tls_options tls = believing("ca.pem");

    serve(false);
    tls.server_name = "elsewhere.example";
    call_at("localhost", &tls);
    assert_unavailable("certificate verification failed: hostname mismatch");
    tls.server_name = "127.0.0.2";
    pair.over = 0;
    call_at("localhost", &tls);
    assert_unavailable("IP address mismatch");
    tls.server_name = "berth.example";
    pair.over = 0;
    call_at("127.0.0.1", &tls);
    assert_int_equal(pair.code, BERTH_OK);
}

static void a_name_that_is_empty_is_refused(void **state)
{
    struct berth_rpc_tls_options tls = believing("ca.pem");
    const struct berth_rpc_channel_options options = {
        .size = sizeof(options), .address = "tcp:localhost:1", .tls = &tls};

    tls.server_name = "";
    assert_int_equal(berth_rpc_channel_create(&pair.loop, &options, &pair.channel, &pair.err),
                     BERTH_INVALID_ARGUMENT);
    assert_string_equal(pair.err.message,
                        "server_name is empty; leave it out to verify the certificate against localhost");
}

static void a_server_in_clear_is_not_spoken_to(void **state)
{
    const struct berth_rpc_tls_options tls = believing("ca.pem");

    assert_int_equal(listen_with(NULL), BERTH_OK);
    call_at("localhost", &tls);
    assert_unavailable("the server does not speak TLS: connect without TLS");
}

static void much_flows_both_ways_at_the_readers_pace(void **state)
{
    static const char block[RPC_BLOCK];
    const struct berth_rpc_tls_options tls = believing("ca.pem");

    serve(false);
    call_at("localhost", &tls);
    pair.received = 0;
    seen.to_send = 1000;
    pair_ask("/t.T/Blocks", "go");
    pair_run_until_over(2);
    assert_int_equal(pair.received, 1000 * RPC_BLOCK);
    pair_ask("/t.T/Count", NULL);
    for (size_t sent = 0; sent < 1000; sent++) {
        while (!berth_rpc_call_can_send(pair.call))
            uv_run(&pair.loop, UV_RUN_ONCE);
        assert_int_equal(berth_rpc_call_send(pair.call, block, sizeof(block)), BERTH_OK);
    }
    berth_rpc_call_half_close(pair.call);
    pair_run_until_over(3);
    assert_string_equal(pair.text, "32768000");
}

/* What is wrong with files, and what is said of it. */
static void files_that_cannot_be_used_are_refused_by_name(void **state)
{
    static const struct {
        const char *certificate;
        const char *key;
        const char *authority;
        const char *file;
        const char *reason;
    } cases[] = {
        {"none.pem", "server.key", NULL, "none.pem", "No such file or directory"},
        {"server.pem", "none.key", NULL, "none.key", "No such file or directory"},
        {"server.pem", "server.key", "none.pem", "none.pem", "No such file or directory"},
        {".", "server.key", NULL, "certificate", "it is not a regular file"},
        {"garbage.pem", "server.key", NULL, "garbage.pem", "it contains no PEM block"},
        {"broken.pem", "server.key", NULL, "broken.pem", "cannot use the certificate"},
        {"server.key", "server.key", NULL, "server.key", "it contains no PEM block"},
        {"server.pem", "garbage.pem", NULL, "garbage.pem", "no"},
        {"server.pem", "server.pem", NULL, "server.pem", "no"},
        {"server.pem", "server.key", "garbage.pem", "garbage.pem", "it contains no PEM block"},
        {"server.pem", "server.key", "empty.pem", "empty.pem", "it contains no PEM block"},
        {"server.pem", "client.key", NULL, "client.key", "it does not belong to the certificate"},
        {"server.pem", "locked.key", NULL, "locked.key", "it is encrypted"},
        {"expired.pem", "expired.key", NULL, "expired.pem", "it expired on 20"},
        {"early.pem", "early.key", NULL, "early.pem", "it is not valid before 20"},
        {NULL, "server.key", NULL, "certificate", "is missing"},
        {"server.pem", NULL, NULL, "key", "is missing"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct berth_rpc_tls_options tls = {
            .size = sizeof(tls),
            .certificate_file = cases[i].certificate == NULL ? NULL : certificates_path(cases[i].certificate),
            .key_file = cases[i].key == NULL ? NULL : certificates_path(cases[i].key),
            .ca_file = cases[i].authority == NULL ? NULL : certificates_path(cases[i].authority)};

        if (listen_with(&tls) != BERTH_INVALID_ARGUMENT || strstr(pair.err.message, cases[i].file) == NULL ||
            strstr(pair.err.message, cases[i].reason) == NULL)
            fail_msg("case %zu: %s", i, pair.err.message);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

static void a_key_that_everybody_may_read_is_warned_of(void **state)
{
    chmod(certificates_path("server.key"), 0644);
    serve(false);
    chmod(certificates_path("server.key"), 0600);
    assert_non_null(strstr(pair.log, "is readable by every user of this machine"));
}

static void tls_is_for_tcp_only(void **state)
{
    const struct berth_rpc_tls_options tls = believing("ca.pem");
    const struct berth_rpc_channel_options options = {
        .size = sizeof(options), .address = "/run/x.sock", .tls = &tls};
    struct berth_rpc_channel *channel;

    assert_int_equal(berth_rpc_channel_create(&pair.loop, &options, &channel, &pair.err),
                     BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(pair.err.message, "TLS is for gRPC over TCP only"));
}

static void come(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};

    outsider.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(outsider.fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

/* With TLS over two memory BIOs, so that the test decides when which byte goes. */
static void come_with_tls(const char *protocols, int newest)
{
    come();
    outsider.settings = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(outsider.settings, 0);
    SSL_CTX_set_min_proto_version(outsider.settings, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(outsider.settings, newest);
    outsider.ssl = SSL_new(outsider.settings);
    SSL_set_bio(outsider.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(outsider.ssl), -1);
    if (protocols != NULL)
        SSL_set_alpn_protos(outsider.ssl, (const unsigned char *)protocols, (unsigned)strlen(protocols));
    SSL_set_connect_state(outsider.ssl);
}

static void go(void)
{
    SSL_free(outsider.ssl);
    SSL_CTX_free(outsider.settings);
    close(outsider.fd);
    ERR_clear_error();
    outsider = (struct outsider){0};
}

/* Moves what there is, `step` bytes at a time. @return false where the server has closed. */
static bool exchange(size_t step)
{
    char bytes[4096];
    ssize_t got;
    int length;

    while ((length = BIO_read(SSL_get_wbio(outsider.ssl), bytes, (int)step)) > 0) {
        if (send(outsider.fd, bytes, (size_t)length, MSG_NOSIGNAL) < 0)
            return false;
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    uv_run(&pair.loop, UV_RUN_NOWAIT);
    got = recv(outsider.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got > 0)
        BIO_write(SSL_get_rbio(outsider.ssl), bytes, (int)got);
    return got != 0;
}

static bool shake_hands(size_t step)
{
    for (int i = 0; i < 1000; i++) {
        int error = SSL_get_error(outsider.ssl, SSL_do_handshake(outsider.ssl));
        unsigned long reason = ERR_peek_last_error();

        if (error == SSL_ERROR_SSL)
            outsider.reason = ERR_GET_REASON(reason);
        if (!exchange(step) || (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ))
            return false;
        if (error == SSL_ERROR_NONE)
            return true;
        pair_run_for(1);
    }
    return false;
}

static void await_departure(void)
{
    for (int i = 0; i < 2000 && pair_stats().connections > 0; i++)
        pair_run_for(10);
    assert_int_equal(pair_stats().connections, 0);
}

static void old_versions_are_refused(void **state)
{
    serve(false);
    come_with_tls("\2h2", TLS1_1_VERSION);
    assert_false(shake_hands(4096));
    pair_run_until_logged("TLS 1.2 or newer required");
    go();
}

static void version_1_2_is_spoken(void **state)
{
    serve(false);
    come_with_tls("\2h2", TLS1_2_VERSION);
    assert_true(shake_hands(4096));
    assert_int_equal(SSL_version(outsider.ssl), TLS1_2_VERSION);
    go();
}

static void a_client_without_http2_is_told_so(void **state)
{
    static const char *const offers[] = {NULL, "\10http/1.1"};

    serve(false);
    for (size_t i = 0; i < 2; i++) {
        pair.log[0] = '\0';
        come_with_tls(offers[i], TLS1_3_VERSION);
        assert_false(shake_hands(4096));
        assert_int_equal(outsider.reason, SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
        await_departure();
        go();
        /* A cause speaks once a second. */
        if (i == 0)
            assert_non_null(strstr(pair.log, "it does not offer HTTP/2"));
    }
}

static void a_handshake_byte_by_byte_succeeds(void **state)
{
    serve(false);
    come_with_tls("\2h2", TLS1_3_VERSION);
    assert_true(shake_hands(1));
    go();
}

static void a_handshake_that_stops_is_ended_in_time(void **state)
{
    char bytes[64] = {22, 3, 1, 1, 0, 1};
    uint64_t begin = uv_hrtime();

    serve(false);
    come();
    assert_int_equal(send(outsider.fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    for (int i = 0; i < 1000 && pair_stats().connections == 0; i++)
        pair_run_for(10);
    assert_int_equal(pair_stats().connections, 1);
    await_departure();
    assert_true(uv_hrtime() - begin < UINT64_C(10000000000));
    go();
}

/* The handshake is over, and nothing is said inside. */
static void silence_behind_the_handshake_is_ended_in_time(void **state)
{
    serve(false);
    come_with_tls("\2h2", TLS1_3_VERSION);
    assert_true(shake_hands(4096));
    await_departure();
    go();
}

static void a_client_in_clear_is_logged_as_such(void **state)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    serve(false);
    come();
    assert_int_equal(send(outsider.fd, preface, strlen(preface), 0), strlen(preface));
    pair_run_until_logged("wrong protocol: client speaks gRPC, but this address speaks TLS");
    await_departure();
    go();
}

static void garbage_in_records_ends_the_connection(void **state)
{
    char garbage[512] = {22, 3, 3, 1, 0};

    memset(garbage + 5, 'x', sizeof(garbage) - 5);
    serve(false);
    come();
    assert_int_equal(send(outsider.fd, garbage, sizeof(garbage), 0), sizeof(garbage));
    pair_run_until_logged("TLS: ");
    await_departure();
    go();
    come_with_tls("\2h2", TLS1_3_VERSION);
    assert_true(shake_hands(4096));
    garbage[0] = 23;
    assert_int_equal(send(outsider.fd, garbage, sizeof(garbage), 0), sizeof(garbage));
    await_departure();
    go();
    assert_int_equal(ERR_peek_error(), 0);
}

/* It agreed on HTTP/2. */
static void http_1_inside_tls_has_a_sentence(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char answer[512] = "";
    int length = 0;

    serve(false);
    come_with_tls("\2h2", TLS1_3_VERSION);
    assert_true(shake_hands(4096));
    assert_int_equal(SSL_write(outsider.ssl, request, strlen(request)), strlen(request));
    for (int i = 0; i < 1000 && length <= 0; i++) {
        exchange(4096);
        length = SSL_read(outsider.ssl, answer, sizeof(answer) - 1);
        pair_run_for(1);
    }
    assert_memory_equal(answer, "HTTP/1.1 505 ", 13);
    assert_non_null(strstr(answer, "This address speaks gRPC over HTTP/2, not HTTP/1.1."));
    assert_non_null(strstr(pair.log, "wrong protocol: client speaks HTTP/1.1, but this address speaks gRPC"));
    await_departure();
    go();
}

/* A preface, SETTINGS, and half of a record with what may be a frame. */
static void half_a_record_is_ended_in_time(void **state)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    char ping[] = "\0\0\10\6\0\0\0\0\0abcdefgh";
    char record[256];
    int length;

    serve(false);
    come_with_tls("\2h2", TLS1_3_VERSION);
    assert_true(shake_hands(4096));
    assert_int_equal(SSL_write(outsider.ssl, preface, sizeof(preface)), sizeof(preface));
    exchange(4096);
    pair_run_for(50);
    assert_int_equal(SSL_write(outsider.ssl, ping, sizeof(ping) - 1), sizeof(ping) - 1);
    length = BIO_read(SSL_get_wbio(outsider.ssl), record, sizeof(record));
    assert_int_equal(send(outsider.fd, record, (size_t)length / 2, MSG_NOSIGNAL), length / 2);
    pair_run_until_logged("frame_timeout");
    await_departure();
    go();
}

static void a_client_may_go_in_the_midst_of_a_handshake(void **state)
{
    serve(false);
    come_with_tls("\2h2", TLS1_3_VERSION);
    SSL_do_handshake(outsider.ssl);
    exchange(100);
    go();
    await_departure();
    come();
    go();
    await_departure();
    assert_null(strstr(pair.log, "TLS"));
}

static void a_server_that_closes_says_so(void **state)
{
    int result = -1;
    char bytes[256];

    serve(false);
    come_with_tls("\2h2", TLS1_3_VERSION);
    assert_true(shake_hands(4096));
    berth_rpc_server_close(pair.server, NULL, NULL);
    pair.server = NULL;
    for (int i = 0; i < 1000; i++) {
        exchange(4096);
        while ((result = SSL_read(outsider.ssl, bytes, sizeof(bytes))) > 0)
            ;
        if (SSL_get_error(outsider.ssl, result) != SSL_ERROR_WANT_READ)
            break;
        pair_run_for(1);
    }
    assert_int_equal(SSL_get_error(outsider.ssl, result), SSL_ERROR_ZERO_RETURN);
    go();
}

/* Each of the client's requests to renew keys makes the server answer, and it reads none of that. */
static void a_flood_of_key_updates_is_bounded(void **state)
{
    serve(false);
    come_with_tls("\2h2", TLS1_3_VERSION);
    assert_true(shake_hands(4096));
    for (int i = 0; i < 20000 && pair_stats().connections > 0; i++) {
        char bytes[4096];
        int length;

        SSL_key_update(outsider.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(outsider.ssl);
        while ((length = BIO_read(SSL_get_wbio(outsider.ssl), bytes, sizeof(bytes))) > 0)
            if (send(outsider.fd, bytes, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                break;
        if (i % 100 == 0)
            uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    await_departure();
    go();
}

/* Listens as a host does that opens its sockets itself. */
static void serve_and_follow(void)
{
    const struct berth_rpc_tls_options tls = {.size = sizeof(tls),
                                              .certificate_file = certificates_path("followed.pem"),
                                              .key_file = certificates_path("followed.key")};
    const struct berth_rpc_socket_options options = {
        .size = sizeof(options), .tls = &tls, .follows_tls = true};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    getsockname(fd, (struct sockaddr *)&address, &length);
    port = ntohs(address.sin_port);
    if (berth_rpc_server_listen_socket(pair.server, fd, &options, NULL, &pair.err) != BERTH_OK)
        fail_msg("%s", pair.err.message);
}

static void make_followed(const char *signer)
{
    certificate_make(&(struct certificate_request){
        .name = "followed", .signer = signer, .names = "DNS:localhost", .valid_until = YEAR});
}

static void assert_call_works(const char *authority)
{
    const struct berth_rpc_tls_options tls = believing(authority);

    pair.code = BERTH_UNKNOWN;
    pair.over = 0;
    call_at("localhost", &tls);
    assert_string_equal(pair.message, "");
    assert_int_equal(pair.code, BERTH_OK);
}

static void files_that_change_are_used_for_new_connections_alone(void **state)
{
    make_followed("ca");
    serve_and_follow();
    assert_call_works("ca.pem");
    make_followed("other");
    pair_run_until_logged("using the changed TLS files");
    /* The connection that was there before. */
    pair.over = 0;
    pair_ask("/t.T/Echo", "again");
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_OK);
    assert_call_works("other.pem");
}

static void files_that_cannot_be_used_leave_those_in_use(void **state)
{
    make_followed("ca");
    serve_and_follow();
    certificates_write("followed.pem", "hello\n");
    pair_run_until_logged("those in use stay");
    assert_non_null(strstr(pair.log, "followed.pem"));
    assert_call_works("ca.pem");
    pair.log[0] = '\0';
    make_followed("other");
    pair_run_until_logged("using the changed TLS files");
    assert_call_works("other.pem");
}

static void a_file_of_its_own_is_no_listening_socket(void **state)
{
    const struct berth_rpc_socket_options options = {.size = sizeof(options)};
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(berth_rpc_server_listen_socket(pair.server, ends[0], &options, NULL, &pair.err),
                     BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(pair.err.message, "not a listening stream socket"));
    assert_int_equal(berth_rpc_server_listen_socket(pair.server, -1, &options, NULL, &pair.err),
                     BERTH_INVALID_ARGUMENT);
    close(ends[0]);
    close(ends[1]);
}

static int make_files(void **state)
{
    certificates_open();
    certificate_make(&(struct certificate_request){.name = "ca", .is_authority = true, .valid_until = YEAR});
    certificate_make(
        &(struct certificate_request){.name = "other", .is_authority = true, .valid_until = YEAR});
    certificate_make(&(struct certificate_request){
        .name = "old-ca", .is_authority = true, .valid_from = -2 * YEAR, .valid_until = -YEAR});
    certificate_make(&(struct certificate_request){.name = "server",
                                                   .signer = "ca",
                                                   .names = "DNS:localhost,DNS:berth.example,IP:127.0.0.1",
                                                   .valid_until = YEAR});
    certificate_make(&(struct certificate_request){
        .name = "of-old-ca", .signer = "old-ca", .names = "DNS:localhost", .valid_until = YEAR});
    certificate_make(&(struct certificate_request){.name = "client",
                                                   .signer = "ca",
                                                   .names = "DNS:a.example,URI:spiffe://a/b,IP:127.0.0.1",
                                                   .valid_until = YEAR});
    certificate_make(
        &(struct certificate_request){.name = "stranger", .signer = "other", .valid_until = YEAR});
    certificate_make(&(struct certificate_request){
        .name = "expired", .signer = "ca", .valid_from = -YEAR, .valid_until = -1});
    certificate_make(
        &(struct certificate_request){.name = "early", .signer = "ca", .valid_from = 2, .valid_until = YEAR});
    certificates_write("garbage.pem", "hello\n");
    certificates_write("empty.pem", "");
    certificates_write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    certificates_write("locked.key", "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
                                     "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
                                     "AAAAAAAAAAAAAAAAAAAAAA==\n-----END EC PRIVATE KEY-----\n");
    return 0;
}

static int remove_files(void **state)
{
    certificates_close();
    return 0;
}

#define CALL(name) cmocka_unit_test_setup_teardown(name, pair_start, pair_stop)
#define HASTY(name) cmocka_unit_test_setup_teardown(name, pair_start_hasty, pair_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL(a_call_over_tls_arrives),
        CALL(a_server_may_be_known_by_its_address),
        CALL(a_client_is_known_by_its_certificate),
        CALL(a_client_without_a_certificate_is_refused),
        CALL(a_client_with_a_certificate_of_nobody_known_is_refused),
        CALL(a_server_of_another_authority_is_not_trusted),
        CALL(an_authority_that_has_expired_is_not_trusted),
        CALL(a_server_of_another_name_is_not_trusted),
        CALL(a_name_that_is_empty_is_refused),
        CALL(a_server_in_clear_is_not_spoken_to),
        CALL(much_flows_both_ways_at_the_readers_pace),
        CALL(files_that_cannot_be_used_are_refused_by_name),
        CALL(a_key_that_everybody_may_read_is_warned_of),
        CALL(tls_is_for_tcp_only),
        CALL(old_versions_are_refused),
        CALL(version_1_2_is_spoken),
        CALL(a_client_without_http2_is_told_so),
        CALL(a_handshake_byte_by_byte_succeeds),
        HASTY(http_1_inside_tls_has_a_sentence),
        HASTY(half_a_record_is_ended_in_time),
        HASTY(a_handshake_that_stops_is_ended_in_time),
        HASTY(silence_behind_the_handshake_is_ended_in_time),
        CALL(a_client_in_clear_is_logged_as_such),
        CALL(garbage_in_records_ends_the_connection),
        CALL(a_client_may_go_in_the_midst_of_a_handshake),
        CALL(a_server_that_closes_says_so),
        CALL(files_that_change_are_used_for_new_connections_alone),
        CALL(files_that_cannot_be_used_leave_those_in_use),
        CALL(a_file_of_its_own_is_no_listening_socket),
        HASTY(a_flood_of_key_updates_is_bounded),
    };

    return cmocka_run_group_tests_name("rpc over TLS", tests, make_files, remove_files);
}

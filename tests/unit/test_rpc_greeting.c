/* SPDX-License-Identifier: Apache-2.0 */
/* What a client or a server speaks, by its first bytes. */
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/rpc/socket/greeting.h>

#define SAID(text) (const uint8_t *)(text), sizeof(text) - 1

struct said {
    bool from_server;
    const uint8_t *bytes;
    size_t length;
    enum greeting_kind kind;
    /** So many bytes are too few to tell. */
    size_t partial;
};

static const struct said cases[] = {
    {false, SAID("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), GREETING_HTTP2, 15},
    {false, SAID("PRI * HTTP/1.1\r\n\r\n"), GREETING_OTHER, 11},
    {false, SAID("PRINT / HTTP/1.1\r\n\r\n"), GREETING_HTTP1, 6},
    {false, SAID("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), GREETING_HTTP1, 4},
    {false, SAID("PROPPATCH / HTTP/1.1\r\n\r\n"), GREETING_HTTP1, 10},
    {false, SAID("OPTIONS * HTTP/1.1\r\n\r\n"), GREETING_HTTP1, 8},
    {false, SAID("GET http://x/ HTTP/1.1\r\n\r\n"), GREETING_HTTP1, 4},
    {false, SAID("INVALID CONNECTION PREFACE\r\n\r\n"), GREETING_OTHER, 8},
    {false, SAID("get / HTTP/1.1\r\n\r\n\r\n"), GREETING_OTHER, 0},
    {false, SAID(" GET / HTTP/1.1\r\n\r\n\r\n"), GREETING_OTHER, 0},
    {false, SAID("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), GREETING_OTHER, 15},
    {false, SAID("\x16\3\1\2\0\1\0\1\xfc\3\3zzzzzzzzzz"), GREETING_TLS, 1},
    {false, SAID("\x16\4\1\2\0\1\0\1\xfc\3\3zzzzzzzzzz"), GREETING_OTHER, 1},
    {false, SAID("\0\0\0\x0b\0\0\0\1\1\0zzzzzzzzzzz"), GREETING_TTRPC, 9},
    {false, SAID("\0\x40\0\1\0\0\0\1\1\0zzzzzzzzzzz"), GREETING_OTHER, 9},
    {false, SAID("\0\0\0\x0b\0\0\0\2\1\0zzzzzzzzzzz"), GREETING_OTHER, 9},
    {false, SAID("\0\0\0\x0b\0\0\0\1\2\0zzzzzzzzzzz"), GREETING_OTHER, 9},
    {false, SAID("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
     GREETING_OTHER, 0},
    {true, SAID("\0\0\x12\4\0\0\0\0\0\0\3\0\0\1\0\0\4\0\x10\0\0"), GREETING_HTTP2, 8},
    {true, SAID("\0\0\0\4\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0\4\0"), GREETING_HTTP2, 8},
    {true, SAID("\0\0\0\x0b\0\0\0\1\2\0zzzzzzzzzzz"), GREETING_TTRPC, 9},
    {true, SAID("\0\0\0\x0b\0\0\0\1\3\0zzzzzzzzzzz"), GREETING_TTRPC, 9},
    {true, SAID("HTTP/1.1 400 Bad Request\r\n\r\n"), GREETING_HTTP1, 6},
    {true, SAID("\x15\3\3\0\2\2\x46zzzzzzzzzzzzzz"), GREETING_TLS, 1},
    {true, SAID("SSH-2.0-OpenSSH_9.2p1\r\n"), GREETING_OTHER, 0},
};

static void the_first_bytes_tell_and_fewer_say_that_they_are_too_few(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t length = 0; length <= cases[i].length; length++) {
            enum greeting_kind expected = length <= cases[i].partial ? GREETING_PARTIAL : cases[i].kind;

            if (greeting_recognise(cases[i].from_server, cases[i].bytes, length) != expected)
                fail_msg("case %zu: %zu bytes are %d", i, length,
                         greeting_recognise(cases[i].from_server, cases[i].bytes, length));
        }
}

/* Nothing is held back for longer than there is room for it. */
static void whatever_comes_so_many_bytes_suffice(void **state)
{
    static const uint8_t some[] = {0,   1,   2,   3,   4,   21,  22,  ' ', '/', '1',
                                   'A', 'G', 'H', 'I', 'P', 'R', 'T', 'z', 255};
    uint8_t bytes[GREETING_BYTES];
    uint32_t seed = 1;

    for (int round = 0; round < 200000; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = some[(seed >> 16) % sizeof(some)];
        }
        assert_int_not_equal(greeting_recognise(round % 2 == 0, bytes, sizeof(bytes)), GREETING_PARTIAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_bytes_tell_and_fewer_say_that_they_are_too_few),
        cmocka_unit_test(whatever_comes_so_many_bytes_suffice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a ttrpc session keeps for its peer. */
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/rpc/ttrpc/session.h>

/* More than a batch takes, so that answers are always left over. */
#define BACKLOG 3000
#define ROUNDS 500

static struct connection connection;
static struct ttrpc_session session;
static struct batch *batch;

static void destroy(struct ttrpc_session *gone)
{
    *gone = (struct ttrpc_session){0};
}

static const struct ttrpc_side side = {.destroy = destroy};

/* It is always in its turn, so that it needs no loop. */
static int set_up(void **state)
{
    connection = (struct connection){.is_running = true};
    session = (struct ttrpc_session){0};
    ttrpc_session_init(&session, &connection, &side, NULL, 0);
    batch = batch_create();
    return batch == NULL;
}

static int tear_down(void **state)
{
    ttrpc_protocol.finish(&session);
    batch_destroy(batch);
    return 0;
}

static void refuse(uint32_t *id, uint32_t end)
{
    for (; *id < end; (*id)++)
        ttrpc_session_refuse(&session, *id, BERTH_INVALID_ARGUMENT, "StreamID is no longer active");
}

/* The ids in a row of answers, which may be cut anywhere. */
struct checker {
    unsigned char header[TTRPC_HEADER];
    size_t length;
    size_t to_skip;
    uint32_t next_id;
};

static uint32_t number_at(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void check_byte(struct checker *checker, unsigned char byte)
{
    if (checker->to_skip > 0) {
        checker->to_skip--;
        return;
    }
    checker->header[checker->length++] = byte;
    if (checker->length < TTRPC_HEADER)
        return;
    assert_int_equal(number_at(checker->header + 4), checker->next_id++);
    checker->to_skip = number_at(checker->header);
    checker->length = 0;
}

static void check_batch(struct checker *checker)
{
    for (size_t i = 0; i < batch->piece_count; i++)
        for (size_t j = 0; j < batch->pieces[i].len; j++)
            check_byte(checker, (unsigned char)batch->pieces[i].base[j]);
}

static void a_peer_that_is_always_behind_costs_no_more_for_it(void **state)
{
    struct checker checker = {0};
    uint32_t id = 0;

    for (int round = 0; round < ROUNDS; round++) {
        refuse(&id, checker.next_id + BACKLOG);
        batch_reset(batch);
        assert_null(ttrpc_protocol.fill(&session, batch));
        check_batch(&checker);
    }
    assert_in_range(checker.next_id, ROUNDS, id);
    assert_in_range(session.answers.capacity, 1, 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_peer_that_is_always_behind_costs_no_more_for_it, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

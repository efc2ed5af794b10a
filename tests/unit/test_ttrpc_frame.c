/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of ttrpc out of a stream of bytes, however it is cut. */
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/rpc/ttrpc/frame.h>

static struct budget budget;
static struct ttrpc_reader reader;

static int set_up(void **state)
{
    budget = (struct budget){.limit = 64 * 1024};
    reader = (struct ttrpc_reader){.budget = &budget};
    return 0;
}

static int tear_down(void **state)
{
    ttrpc_reader_finish(&reader);
    return budget.used == 0 ? 0 : -1;
}

static enum ttrpc_read read_from(const unsigned char *bytes, size_t length, struct ttrpc_frame *ret_frame)
{
    struct span input = {bytes, length};

    return ttrpc_reader_next(&reader, &input, ret_frame);
}

static void a_frame_in_one_piece_is_not_copied(void **state)
{
    unsigned char bytes[TTRPC_HEADER + 4] = {[TTRPC_HEADER] = 'a', 'b', 'c', 'd'};
    struct span input = {bytes, sizeof(bytes)};
    struct ttrpc_frame frame;

    ttrpc_header_write(bytes, 4, 0x01020305, TTRPC_DATA, TTRPC_NO_DATA);
    assert_int_equal(ttrpc_reader_next(&reader, &input, &frame), TTRPC_READ_FRAME);
    assert_int_equal(frame.id, 0x01020305);
    assert_int_equal(frame.type, TTRPC_DATA);
    assert_int_equal(frame.flags, TTRPC_NO_DATA);
    assert_int_equal(frame.length, 4);
    assert_ptr_equal(frame.data, bytes + TTRPC_HEADER);
    assert_int_equal(input.length, 0);
    assert_int_equal(budget.used, 0);
    assert_false(ttrpc_reader_is_inside(&reader));
}

static void a_frame_is_whole_however_it_is_cut(void **state)
{
    unsigned char bytes[2 * TTRPC_HEADER + 5] = {[TTRPC_HEADER] = 'h', 'e', 'l', 'l', 'o'};
    const size_t whole = TTRPC_HEADER + 5;

    ttrpc_header_write(bytes, 5, 1, TTRPC_REQUEST, 0);
    ttrpc_header_write(bytes + whole, 0, 3, TTRPC_REQUEST, 0);
    for (size_t cut = 1; cut < whole; cut++) {
        struct span rest = {bytes + cut, sizeof(bytes) - cut};
        struct ttrpc_frame frame;

        assert_int_equal(read_from(bytes, cut, &frame), TTRPC_READ_MORE);
        assert_true(ttrpc_reader_is_inside(&reader));
        assert_int_equal(ttrpc_reader_next(&reader, &rest, &frame), TTRPC_READ_FRAME);
        assert_memory_equal(frame.data, "hello", 5);
        assert_int_equal(ttrpc_reader_next(&reader, &rest, &frame), TTRPC_READ_FRAME);
        assert_int_equal(frame.id, 3);
        assert_int_equal(frame.length, 0);
        assert_int_equal(budget.used, 0);
    }
}

static void what_a_frame_states_is_not_allocated_before_it_comes(void **state)
{
    unsigned char bytes[TTRPC_HEADER + 1] = {0};
    struct ttrpc_frame frame;

    budget.limit = 8 * 1024;
    ttrpc_header_write(bytes, TTRPC_DATA_MAX, 1, TTRPC_REQUEST, 0);
    assert_int_equal(read_from(bytes, sizeof(bytes), &frame), TTRPC_READ_MORE);
    assert_true(budget.used <= 1024);
}

static void an_oversize_frame_is_told_at_once_and_skipped(void **state)
{
    static unsigned char junk[64 * 1024];
    unsigned char header[TTRPC_HEADER];
    struct ttrpc_frame frame;
    uint32_t left = TTRPC_DATA_MAX + 1;

    ttrpc_header_write(header, left, 7, TTRPC_REQUEST, 0);
    assert_int_equal(read_from(header, sizeof(header), &frame), TTRPC_READ_OVERSIZE);
    assert_int_equal(frame.id, 7);
    assert_int_equal(frame.length, TTRPC_DATA_MAX + 1);
    assert_null(frame.data);
    while (left > 0) {
        size_t step = left < sizeof(junk) ? left : sizeof(junk);

        assert_true(ttrpc_reader_is_inside(&reader));
        assert_int_equal(read_from(junk, step, &frame), TTRPC_READ_MORE);
        left -= (uint32_t)step;
    }
    assert_int_equal(budget.used, 0);
    assert_false(ttrpc_reader_is_inside(&reader));
    ttrpc_header_write(header, 0, 9, TTRPC_REQUEST, 0);
    assert_int_equal(read_from(header, sizeof(header), &frame), TTRPC_READ_FRAME);
    assert_int_equal(frame.id, 9);
}

static void the_largest_frame_is_taken(void **state)
{
    static unsigned char bytes[TTRPC_HEADER + TTRPC_DATA_MAX];
    struct ttrpc_frame frame;

    budget.limit = 8 << 20;
    ttrpc_header_write(bytes, TTRPC_DATA_MAX, 1, TTRPC_REQUEST, 0);
    bytes[sizeof(bytes) - 1] = 'z';
    assert_int_equal(read_from(bytes, 100000, &frame), TTRPC_READ_MORE);
    assert_int_equal(read_from(bytes + 100000, sizeof(bytes) - 100000, &frame), TTRPC_READ_FRAME);
    assert_int_equal(frame.data[TTRPC_DATA_MAX - 1], 'z');
}

static void a_frame_over_the_budget_is_skipped_and_the_next_is_read(void **state)
{
    static unsigned char bytes[TTRPC_HEADER + 100 * 1024 + TTRPC_HEADER];
    struct span input = {bytes, 70 * 1024};
    struct ttrpc_frame frame;

    ttrpc_header_write(bytes, 100 * 1024, 5, TTRPC_DATA, 0);
    ttrpc_header_write(bytes + TTRPC_HEADER + 100 * 1024, 0, 7, TTRPC_DATA, 0);
    assert_int_equal(ttrpc_reader_next(&reader, &input, &frame), TTRPC_READ_NO_ROOM);
    assert_int_equal(frame.id, 5);
    assert_int_equal(budget.used, 0);
    input = (struct span){bytes + TTRPC_HEADER, 100 * 1024 + TTRPC_HEADER};
    assert_int_equal(ttrpc_reader_next(&reader, &input, &frame), TTRPC_READ_FRAME);
    assert_int_equal(frame.id, 7);
    assert_int_equal(input.length, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_frame_in_one_piece_is_not_copied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_frame_is_whole_however_it_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_frame_states_is_not_allocated_before_it_comes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_oversize_frame_is_told_at_once_and_skipped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_largest_frame_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_frame_over_the_budget_is_skipped_and_the_next_is_read, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

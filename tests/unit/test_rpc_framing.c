/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting bytes into messages, and holding them back. */
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/rpc/message/inbox.h>

#define LIMIT 100

struct heard {
    struct inbox *inbox;
    char text[256];
    size_t length;
    size_t messages;
    bool pauses;
    bool stops;
};

static bool on_message(void *context, const void *message, size_t length)
{
    struct heard *heard = context;

    memcpy(heard->text + heard->length, message, length);
    heard->length += length;
    heard->text[heard->length++] = '|';
    heard->text[heard->length] = '\0';
    heard->messages++;
    if (heard->pauses)
        heard->inbox->is_paused = true;
    return !heard->stops;
}

static struct inbox fresh(struct budget *budget)
{
    return (struct inbox){.framing = {.budget = budget, .max_message_bytes = LIMIT}};
}

static enum framing_state take(struct inbox *inbox, struct heard *heard, const void *bytes, size_t length)
{
    struct span bad;
    size_t eaten;

    heard->inbox = inbox;
    return inbox_take(inbox, bytes, length, on_message, heard, &eaten, &bad);
}

static const char three[] = "\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\2de";

static void messages_are_the_same_however_they_are_split(void **state)
{
    for (size_t size = 1; size <= sizeof(three) - 1; size++) {
        struct budget budget = {.limit = 1 << 20};
        struct inbox inbox = fresh(&budget);
        struct heard heard = {0};

        for (size_t at = 0; at < sizeof(three) - 1; at += size) {
            size_t length = sizeof(three) - 1 - at < size ? sizeof(three) - 1 - at : size;

            assert_int_equal(take(&inbox, &heard, three + at, length), FRAMING_MORE);
        }
        assert_string_equal(heard.text, "abc||de|");
        assert_false(framing_is_inside(&inbox.framing));
        assert_int_equal(inbox_finish(&inbox), 0);
        assert_int_equal(budget.used, 0);
    }
}

static void a_whole_message_is_given_out_where_it_lies(void **state)
{
    struct budget budget = {.limit = 0};
    struct framing framing = {.budget = &budget, .max_message_bytes = LIMIT};
    struct span input = {(const unsigned char *)three, sizeof(three) - 1};
    struct span message;

    assert_int_equal(framing_next(&framing, &input, &message), FRAMING_MESSAGE);
    assert_ptr_equal(message.bytes, three + 5);
    assert_int_equal(message.length, 3);
    framing_finish(&framing);
}

static void the_end_inside_a_message_is_seen(void **state)
{
    struct budget budget = {.limit = 1 << 20};

    for (size_t length = 1; length < 8; length++) {
        struct inbox inbox = fresh(&budget);
        struct heard heard = {0};

        take(&inbox, &heard, three, length);
        assert_true(framing_is_inside(&inbox.framing));
        inbox_finish(&inbox);
    }
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *bytes;
        enum framing_state expected;
    } cases[] = {
        {"\2\0\0\0\0", FRAMING_BAD_FLAG},          {"\xff\0\0\0\1x", FRAMING_BAD_FLAG},
        {"\1\0\0\0\0", FRAMING_COMPRESSED},        {"\0\0\0\0\x65", FRAMING_TOO_LARGE},
        {"\0\xff\xff\xff\xff", FRAMING_TOO_LARGE}, {"\1\xff\xff\xff\xff", FRAMING_TOO_LARGE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t split = 0; split < 5; split++) {
            struct budget budget = {.limit = 1 << 20};
            struct inbox inbox = fresh(&budget);
            struct heard heard = {0};

            assert_int_equal(take(&inbox, &heard, cases[i].bytes, split), FRAMING_MORE);
            assert_int_equal(take(&inbox, &heard, cases[i].bytes + split, 5 - split), cases[i].expected);
            assert_int_equal(heard.messages, 0);
            inbox_finish(&inbox);
        }
}

static void memory_grows_with_what_came_and_not_with_what_was_announced(void **state)
{
    struct budget budget = {.limit = UINT64_MAX};
    struct inbox inbox = {.framing = {.budget = &budget, .max_message_bytes = UINT32_MAX}};
    struct heard heard = {0};

    assert_int_equal(take(&inbox, &heard,
                          "\0\xff\xff\xff\xff"
                          "xy",
                          7),
                     FRAMING_MORE);
    assert_in_range(budget.used, 7, 4096);
    inbox_finish(&inbox);
}

static void more_than_the_budget_is_refused(void **state)
{
    struct budget budget = {.limit = 2000};
    struct inbox inbox = {.framing = {.budget = &budget, .max_message_bytes = 10000}};
    struct heard heard = {0};
    unsigned char bytes[3000] = {0, 0, 0, 0x27, 0x10};

    assert_int_equal(take(&inbox, &heard, bytes, sizeof(bytes)), FRAMING_NO_ROOM);
    inbox_finish(&inbox);
    assert_int_equal(budget.used, 0);
}

static void a_pause_holds_the_rest_back_until_it_ends(void **state)
{
    struct budget budget = {.limit = 1 << 20};
    struct inbox inbox = fresh(&budget);
    struct heard heard = {.pauses = true, .inbox = &inbox};
    struct span bad;
    size_t eaten;

    inbox_take(&inbox, three, sizeof(three) - 1, on_message, &heard, &eaten, &bad);
    assert_string_equal(heard.text, "abc|");
    assert_int_equal(eaten, 8);
    assert_true(inbox_is_holding(&inbox));
    inbox.is_paused = false;
    inbox_take(&inbox, NULL, 0, on_message, &heard, &eaten, &bad);
    assert_string_equal(heard.text, "abc||");
    assert_int_equal(eaten, 5);
    inbox.is_paused = false;
    inbox_take(&inbox, three, 8, on_message, &heard, &eaten, &bad);
    assert_string_equal(heard.text, "abc||de|");
    assert_int_equal(eaten, 7);
    assert_int_equal(inbox_finish(&inbox), 8);
    assert_int_equal(budget.used, 0);
}

static void what_was_given_out_before_something_wrong_is_done_with(void **state)
{
    struct budget budget = {.limit = 1 << 20};
    struct inbox inbox = fresh(&budget);
    struct heard heard = {.inbox = &inbox};
    struct span bad;
    size_t eaten;

    inbox.is_paused = true;
    take(&inbox, &heard, three, 8);
    take(&inbox, &heard, "\2????", 5);
    inbox.is_paused = false;
    assert_int_equal(inbox_take(&inbox, three, 3, on_message, &heard, &eaten, &bad), FRAMING_BAD_FLAG);
    assert_string_equal(heard.text, "abc|");
    assert_int_equal(eaten, 8 + 3);
    assert_int_equal(inbox_finish(&inbox), 5);
}

static void what_is_held_stays_within_bounds_when_it_is_never_empty(void **state)
{
    struct budget budget = {.limit = 4096};
    struct inbox inbox = fresh(&budget);
    struct heard heard = {.pauses = true, .inbox = &inbox};
    static const char one[] = "\0\0\0\0\3abc";

    inbox.is_paused = true;
    take(&inbox, &heard, one, 8);
    for (int i = 0; i < 10000; i++) {
        heard.length = 0;
        inbox.is_paused = false;
        assert_int_equal(take(&inbox, &heard, one, 8), FRAMING_MORE);
    }
    assert_int_equal(heard.messages, 10000);
    assert_int_equal(inbox_finish(&inbox), 8);
}

static void nothing_follows_a_message_that_ended_the_call(void **state)
{
    struct budget budget = {.limit = 1 << 20};
    struct inbox inbox = fresh(&budget);
    struct heard heard = {.stops = true};

    take(&inbox, &heard, three, sizeof(three) - 1);
    assert_int_equal(heard.messages, 1);
    assert_int_equal(inbox_finish(&inbox), 0);
    inbox.is_paused = true;
    take(&inbox, &heard, three, 8);
    inbox.is_paused = false;
    take(&inbox, &heard, three, 8);
    assert_int_equal(heard.messages, 2);
    assert_int_equal(inbox_finish(&inbox), 0);
}

static bool on_one(void *context, const void *message, size_t length)
{
    struct heard *heard = context;

    heard->stops = heard->inbox->is_last;
    memcpy(heard->text, message, length);
    heard->text[length] = '\0';
    heard->messages++;
    return true;
}

static void the_only_message_is_kept_until_the_end_wherever_it_is_cut(void **state)
{
    static const char one[] = "\0\0\0\0\3abc";

    for (size_t cut = 0; cut <= 8; cut++) {
        struct budget budget = {.limit = 2000};
        struct inbox inbox = fresh(&budget);
        struct heard heard = {.inbox = &inbox};
        struct span bad;
        size_t eaten, all;

        inbox.takes_one = true;
        assert_int_equal(inbox_take(&inbox, one, cut, on_one, &heard, &all, &bad), FRAMING_MORE);
        assert_int_equal(inbox_take(&inbox, one + cut, 8 - cut, on_one, &heard, &eaten, &bad), FRAMING_MORE);
        assert_int_equal(all + eaten, 8);
        assert_int_equal(heard.messages, 0);
        assert_true(inbox_is_holding(&inbox));
        assert_true(budget.used >= 3);
        inbox.is_ending = true;
        assert_int_equal(inbox_take(&inbox, NULL, 0, on_one, &heard, &eaten, &bad), FRAMING_MORE);
        assert_int_equal(heard.messages, 1);
        assert_true(heard.stops);
        assert_string_equal(heard.text, "abc");
        assert_false(inbox_is_holding(&inbox));
        inbox_finish(&inbox);
        assert_int_equal(budget.used, 0);
    }
}

static void the_only_message_is_given_out_where_it_lies_when_it_comes_with_the_end(void **state)
{
    struct budget budget = {.limit = 0};
    struct inbox inbox = fresh(&budget);
    struct heard heard = {.inbox = &inbox};
    struct span bad;
    size_t eaten;

    inbox.takes_one = inbox.is_ending = true;
    inbox_take(&inbox, three, 8, on_one, &heard, &eaten, &bad);
    assert_string_equal(heard.text, "abc");
    assert_true(heard.stops);
    inbox_finish(&inbox);
}

static void a_kept_message_is_given_out_when_another_one_follows(void **state)
{
    struct budget budget = {.limit = 2000};
    struct inbox inbox = fresh(&budget);
    struct heard heard = {.inbox = &inbox};
    struct span bad;
    size_t eaten;

    inbox.takes_one = true;
    inbox_take(&inbox, three, 8, on_one, &heard, &eaten, &bad);
    assert_int_equal(heard.messages, 0);
    inbox_take(&inbox, three + 8, 1, on_one, &heard, &eaten, &bad);
    assert_int_equal(heard.messages, 1);
    assert_false(heard.stops);
    inbox_take(&inbox, three + 9, 4, on_one, &heard, &eaten, &bad);
    assert_int_equal(heard.messages, 1);
    inbox_finish(&inbox);
    assert_int_equal(budget.used, 0);
}

static void what_is_kept_is_charged(void **state)
{
    struct budget budget = {.limit = 2};
    struct inbox inbox = fresh(&budget);
    struct heard heard = {.inbox = &inbox};
    struct span bad;
    size_t eaten;

    inbox.takes_one = true;
    assert_int_equal(inbox_take(&inbox, three, 8, on_one, &heard, &eaten, &bad), FRAMING_NO_ROOM);
    inbox_finish(&inbox);
    assert_int_equal(budget.used, 0);
}

static void a_part_of_a_budget_leaves_the_others_as_much_as_it_has(void **state)
{
    struct budget all = {.limit = 100};
    struct budget a = {.limit = 1000, .parent = &all};
    struct budget b = {.limit = 1000, .parent = &all};
    struct budget c = {.limit = 10, .parent = &all};

    assert_false(budget_take(&a, 101));
    assert_true(budget_take(&a, 40));
    assert_false(budget_take(&a, 11));
    assert_true(budget_take(&a, 10));
    assert_true(budget_take(&b, 25));
    assert_false(budget_take(&b, 1));
    assert_int_equal(all.refusals, 3);
    assert_false(budget_take(&c, 11));
    assert_int_equal(all.refusals, 3);
    assert_true(budget_take(&c, 10));
    assert_int_equal(all.used, 85);
    budget_give(&a, 50);
    assert_true(budget_take(&b, 20));
    budget_give(&b, 45);
    budget_give(&c, 10);
    assert_int_equal(all.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_the_same_however_they_are_split),
        cmocka_unit_test(a_whole_message_is_given_out_where_it_lies),
        cmocka_unit_test(the_end_inside_a_message_is_seen),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(memory_grows_with_what_came_and_not_with_what_was_announced),
        cmocka_unit_test(more_than_the_budget_is_refused),
        cmocka_unit_test(a_pause_holds_the_rest_back_until_it_ends),
        cmocka_unit_test(what_was_given_out_before_something_wrong_is_done_with),
        cmocka_unit_test(what_is_held_stays_within_bounds_when_it_is_never_empty),
        cmocka_unit_test(nothing_follows_a_message_that_ended_the_call),
        cmocka_unit_test(the_only_message_is_kept_until_the_end_wherever_it_is_cut),
        cmocka_unit_test(the_only_message_is_given_out_where_it_lies_when_it_comes_with_the_end),
        cmocka_unit_test(a_kept_message_is_given_out_when_another_one_follows),
        cmocka_unit_test(what_is_kept_is_charged),
        cmocka_unit_test(a_part_of_a_budget_leaves_the_others_as_much_as_it_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

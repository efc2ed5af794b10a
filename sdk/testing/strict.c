/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin does against the contract while its code runs: how long a callback takes, whether it runs
 * or stops the loop, prints, changes the process's surroundings, or leaves a snapshot of a store open. A
 * daemon survives it and names it.
 */
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <sdk/base/container_of.h>

#include "fake.h"

#define CALLBACK_LIMIT_MS 1000

static void check_time(struct berth_testing *testing, const struct fake_word *word, uint64_t took_ns)
{
    char text[160];

    if (testing->callback_limit_ns == 0 || took_ns <= testing->callback_limit_ns)
        return;
    fake_name_word(word, text, sizeof(text));
    fake_fault(testing, "%s blocked the loop for %.1f s", text, (double)took_ns / 1e9);
}

static void check_stop(struct berth_testing *testing)
{
    char text[160];

    if (testing->loop->stop_flag == 0 || testing->is_loop_stopped)
        return;
    fake_name_running(testing, text, sizeof(text));
    fake_fault(testing, "%s called uv_stop on the loop, which is not the plugin's", text);
    testing->is_loop_stopped = true;
}

/* A snapshot is ended by the callback that began it. Each is told once. */
static void check_snapshots(struct berth_testing *testing)
{
    char text[160];

    for (size_t i = 0; i < testing->snapshot_count; i++) {
        if (testing->snapshots[i].is_blamed)
            continue;
        testing->snapshots[i].is_blamed = true;
        fake_name_running(testing, text, sizeof(text));
        fake_fault(testing, "%s returned without ending a snapshot of the store", text);
    }
}

static enum berth_code snapshot_begin(void *instance, struct berth_store_txn **ret_txn,
                                      struct berth_error *err)
{
    struct fake_store *store = fake_current->stores;
    enum berth_code code;

    while (store->instance != instance)
        store = store->next;
    code = store->real->begin(instance, ret_txn, err);
    if (code != BERTH_OK)
        return code;
    fake_current->snapshots =
        memory_grow(fake_current->snapshots, fake_current->snapshot_count, sizeof(*fake_current->snapshots));
    fake_current->snapshots[fake_current->snapshot_count++] =
        (struct fake_snapshot){.txn = *ret_txn, .store = store};
    return BERTH_OK;
}

static void snapshot_end(struct berth_store_txn *txn)
{
    char text[160];

    for (size_t i = 0; i < fake_current->snapshot_count; i++) {
        const struct fake_snapshot snapshot = fake_current->snapshots[i];

        if (snapshot.txn != txn)
            continue;
        fake_current->snapshots[i] = fake_current->snapshots[--fake_current->snapshot_count];
        snapshot.store->real->end(txn);
        return;
    }
    if (txn == NULL)
        return;
    fake_name_running(fake_current, text, sizeof(text));
    fake_fault(fake_current, "%s ended a snapshot of the store that is not open", text);
}

const void *fake_store_wrap(struct berth_testing *testing, const struct berth_store *real, void *instance)
{
    struct fake_store *store = memory_allocate(1, sizeof(*store));

    *store = (struct fake_store){.real = real, .instance = instance, .next = testing->stores};
    memcpy(&store->table, real, real->size < sizeof(store->table) ? real->size : sizeof(store->table));
    store->table.begin = snapshot_begin;
    store->table.end = snapshot_end;
    testing->stores = store;
    return &store->table;
}

/*
 * While the plugin runs, these replace the C library's streams and pass on their output. Output of the test
 * is not a fault outside of the plugin's callbacks and of the loop.
 */
static struct stream {
    const char *title;
    FILE **place;
    FILE *original, *listener;
} streams[] = {
    {.title = "standard output", .place = &stdout},
    {.title = "standard error", .place = &stderr},
};

#define STREAM_COUNT (sizeof(streams) / sizeof(streams[0]))

/* 0: the streams are not replaced. */
static unsigned listening;
static void blame_print(const char *title)
{
    char text[160];

    fake_name_caller(fake_current, text, sizeof(text));
    fake_fault(fake_current, "%s printed to %s: use berth_log", text, title);
}

static ssize_t on_print(void *cookie, const char *bytes, size_t length)
{
    const struct stream *stream = cookie;

    if (fake_current != NULL)
        blame_print(stream->title);
    return fwrite(bytes, 1, length, stream->original) == length ? (ssize_t)length : 0;
}

/* Unbuffered, so that the fault is recorded while the printing code is on the stack. */
static void open_listeners(void)
{
    for (size_t i = 0; i < STREAM_COUNT; i++) {
        FILE *listener = fopencookie(&streams[i], "w", (cookie_io_functions_t){.write = on_print});

        if (listener == NULL)
            abort();
        setvbuf(listener, NULL, _IONBF, 0);
        fwide(listener, -1);
        listener->_fileno = fileno(*streams[i].place);
        streams[i].listener = listener;
    }
}

static void start_listening(void)
{
    for (size_t i = 0; listening == 0 && i < STREAM_COUNT; i++) {
        streams[i].original = *streams[i].place;
        *streams[i].place = streams[i].listener;
    }
    listening++;
}

static void stop_listening(void)
{
    listening--;
    for (size_t i = 0; listening == 0 && i < STREAM_COUNT; i++)
        *streams[i].place = streams[i].original;
}

struct tampering {
    struct berth_testing *testing;
    const char *doing;
};

static void on_tampering(void *context, const char *what, bool is_restored)
{
    const struct tampering *tampering = context;

    fake_fault(tampering->testing, "%s changed %s, which belongs to the daemon", tampering->doing, what);
}

static void take_surroundings(struct berth_testing *testing)
{
    testing->surroundings = surroundings_take();
}

static void check_surroundings(struct berth_testing *testing, const char *doing)
{
    struct tampering tampering = {testing, doing};

    if (testing->surroundings != NULL)
        surroundings_check(testing->surroundings, on_tampering, &tampering);
    surroundings_free(testing->surroundings);
    testing->surroundings = NULL;
}

void fake_prepare_begin(struct berth_testing *testing)
{
    take_surroundings(testing);
    testing->is_preparing = true;
    fake_process_enter("prepare", fake_real_ns());
    start_listening();
}

void fake_prepare_end(struct berth_testing *testing)
{
    stop_listening();
    testing->is_preparing = false;
    fake_process_enter(NULL, 0);
    check_surroundings(testing, "prepare");
}

void fake_enter(struct berth_testing *testing, const char *doing, const char *detail)
{
    if (testing->depth < FAKE_DEPTH_MAX)
        testing->words[testing->depth] = (struct fake_word){.doing = doing,
                                                            .detail = detail,
                                                            .stack = (uintptr_t)__builtin_frame_address(0),
                                                            .begun_ns = fake_real_ns()};
    /* Calls come by the thousand; steps do not. */
    if (testing->depth++ == 0 && detail == NULL)
        take_surroundings(testing);
    if (testing->depth == 1)
        fake_process_enter(doing, testing->words[0].begun_ns);
    start_listening();
}

void fake_enter_other(struct berth_testing *testing, const char *doing, const char *detail)
{
    fake_enter(testing, doing, detail);
    if (testing->depth <= FAKE_DEPTH_MAX)
        testing->words[testing->depth - 1].is_strange = true;
}

static void charge(struct berth_testing *testing, const struct fake_word *word, uint64_t took_ns)
{
    struct fake_costs *costs = &testing->costs;

    if (word->is_strange)
        return;
    costs->entries++;
    costs->loop_ns += took_ns;
    if (took_ns > costs->longest_ns)
        costs->longest_ns = took_ns;
    costs->slow += testing->callback_limit_ns > 0 && took_ns > testing->callback_limit_ns;
}

static void leave_word(struct berth_testing *testing)
{
    struct fake_word word;
    uint64_t took_ns;

    fake_process_check_child(testing);
    stop_listening();
    if (testing->depth > FAKE_DEPTH_MAX) {
        testing->depth--;
        return;
    }
    check_stop(testing);
    if (testing->depth == 1 && !testing->words[0].is_own) {
        check_snapshots(testing);
        check_surroundings(testing, testing->words[0].doing);
    }
    word = testing->words[--testing->depth];
    took_ns = fake_real_ns() - word.begun_ns;
    check_time(testing, &word, took_ns - word.inner_ns);
    charge(testing, &word, took_ns - word.inner_ns);
    if (testing->depth > 0) {
        testing->words[testing->depth - 1].inner_ns += took_ns;
        return;
    }
    testing->known_ns += took_ns;
    fake_process_enter(testing->turn_stack != 0 ? FAKE_CALLBACK : NULL, word.begun_ns + took_ns);
}

static bool is_in_own(const struct berth_testing *testing)
{
    return testing->depth > 0 && testing->depth <= FAKE_DEPTH_MAX && fake_running(testing)->is_own;
}

void fake_enter_own(struct berth_testing *testing, const char *what)
{
    fake_enter(testing, "callback", what != NULL ? what : "");
    if (testing->depth <= FAKE_DEPTH_MAX)
        testing->words[testing->depth - 1].is_own = true;
}

bool fake_leave_own(struct berth_testing *testing)
{
    bool is_own = is_in_own(testing);

    if (is_own)
        leave_word(testing);
    return is_own;
}

/* What the host called ends, or the loop goes round: what libuv called has returned, or calls uv_run. */
static void check_own(struct berth_testing *testing)
{
    char text[160];

    while (is_in_own(testing)) {
        fake_name_running(testing, text, sizeof(text));
        fake_fault(testing, "%s called berth_enter, but not berth_leave before it returned", text);
        leave_word(testing);
    }
}

void fake_leave(struct berth_testing *testing)
{
    check_own(testing);
    leave_word(testing);
}

void fake_turn(struct berth_testing *testing)
{
    uint64_t begun_ns = fake_real_ns();

    testing->known_ns = 0;
    testing->iterations = 0;
    testing->is_loop_stopped = false;
    uv_update_time(testing->loop);
    start_listening();
    testing->turn_stack = (uintptr_t)__builtin_frame_address(0);
    fake_process_enter(FAKE_CALLBACK, begun_ns);
    uv_run(testing->loop, UV_RUN_NOWAIT);
    check_own(testing);
    fake_process_check_child(testing);
    fake_process_enter(NULL, 0);
    testing->turn_stack = 0;
    stop_listening();
    check_time(testing, fake_running(testing), fake_real_ns() - begun_ns - testing->known_ns);
    check_snapshots(testing);
}

/* Once for each of fake_turn, unless somebody else runs the loop. That ends here, lest it never does. */
static void on_prepare(uv_prepare_t *handle)
{
    struct berth_testing *testing = CONTAINER_OF(handle, struct berth_testing, loop_prepare);
    char text[160];

    check_stop(testing);
    check_own(testing);
    if (testing->depth == 0 && testing->iterations++ == 0)
        return;
    fake_name_running(testing, text, sizeof(text));
    fake_fault(testing, "%s called uv_run on the loop, which is not the plugin's", text);
    testing->is_loop_stopped = true;
    uv_stop(testing->loop);
}

static void on_check(uv_check_t *handle)
{
    check_stop(CONTAINER_OF(handle, struct berth_testing, loop_check));
}

static void do_nothing(uv_work_t *request)
{
}

static void note_done(uv_work_t *request, int status)
{
    *(bool *)request->data = true;
}

/* The threads of libuv's pool stay for good once the first work is given to them. */
static void start_pool(struct berth_testing *testing)
{
    bool is_done = false;
    uv_work_t request = {.data = &is_done};

    if (uv_queue_work(testing->loop, &request, do_nothing, note_done) != 0)
        abort();
    while (!is_done)
        uv_run(testing->loop, UV_RUN_ONCE);
}

void berth_testing_set_callback_limit(struct berth_testing *testing, uint64_t milliseconds)
{
    testing->callback_limit_ns = milliseconds * MILLISECOND_NS;
    fake_process_limit(testing->callback_limit_ns);
}

void fake_strict_init(struct berth_testing *testing)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, open_listeners);
    /* A test that failed within a callback did not return from it. */
    while (listening > 0)
        stop_listening();
    fake_current = testing;
    testing->thread = pthread_self();
    berth_testing_set_callback_limit(testing, CALLBACK_LIMIT_MS);
    start_pool(testing);
    fake_process_init(testing);
    uv_prepare_init(testing->loop, &testing->loop_prepare);
    uv_check_init(testing->loop, &testing->loop_check);
    uv_prepare_start(&testing->loop_prepare, on_prepare);
    uv_check_start(&testing->loop_check, on_check);
    uv_unref((uv_handle_t *)&testing->loop_prepare);
    uv_unref((uv_handle_t *)&testing->loop_check);
}

void fake_strict_close(struct berth_testing *testing)
{
    uv_close((uv_handle_t *)&testing->loop_prepare, NULL);
    uv_close((uv_handle_t *)&testing->loop_check, NULL);
}

void fake_strict_finish(struct berth_testing *testing)
{
    fake_process_finish(testing);
    fake_current = NULL;
    while (testing->stores != NULL) {
        struct fake_store *store = testing->stores;

        testing->stores = store->next;
        free(store);
    }
    free(testing->snapshots);
}

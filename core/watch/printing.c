/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What plugins print instead of logging it. The C library's stdout and stderr are replaced by streams that
 * call this file on the printing thread, while its stack shows who prints, also in a handler or on a thread
 * of the plugin's own. Code that does not print pays nothing. Only the beginning of an incomplete line is
 * held back.
 *
 * The descriptors stay unchanged. Output written to them directly, without the C library's streams, and that
 * of child processes is not seen: it goes where the daemon's own goes and is not attributed.
 */
#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include <core/base/frames.h>
#include <core/base/log.h>
#include <core/base/misuse.h>

/* Longer lines are logged in parts. */
#define LINE_BYTES 1024
#define FRAMES_MAX 64
/* The number of lines of a plugin that are logged in a span of time. */
#define LINES_MAX 100
#define SPAN_MS 1000

/* The plugin that prints. */
struct source {
    /* NULL: the host, or one of several plugins of a module. */
    struct running_plugin *plugin;
    /* The module, if several plugins may be meant; NULL: it is one plugin. */
    const char *module;
    struct running_word word;
    const void *caller;
    pthread_t thread;
    bool is_loop;
};

/* Guarded by the lock of its stream, held by whoever prints. */
static struct output {
    const char *name, *title;
    enum berth_log_level level;
    int fd;
    /* The C library's variable. */
    FILE **place;
    /* What was there before, and what is. */
    FILE *own, *stream;
    struct source source;
    uint64_t since_ms;
    size_t length;
    char line[LINE_BYTES];
} outputs[] = {
    {.name = "stdout",
     .title = "standard output",
     .level = BERTH_LOG_INFO,
     .fd = STDOUT_FILENO,
     .place = &stdout},
    {.name = "stderr",
     .title = "standard error",
     .level = BERTH_LOG_WARN,
     .fd = STDERR_FILENO,
     .place = &stderr},
};

#define OUTPUT_COUNT (sizeof(outputs) / sizeof(outputs[0]))

/* Output of code that belongs to no plugin. */
static struct running_prints of_nobody;
/* There are incomplete lines, or dropped ones not reported yet. */
static atomic_bool is_due;
/* No turn of the loop follows. */
static atomic_bool is_ended;
/* The log, or what follows it, prints. */
static _Thread_local bool is_inside;
/* A child that was forked has our streams, and locks that nobody unlocks there. */
static pid_t process;

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static struct source find_source(void)
{
    const struct running_thread *thread = running_this_thread();
    struct source source = {.thread = pthread_self(), .is_loop = running_is_loop()};
    struct running_plugin *found;
    void *frames[FRAMES_MAX];

    if (thread != NULL)
        running_look(thread, &source.word);
    found =
        running_find_by_frames(frames, frames_take(frames, FRAMES_MAX), source.word.owner, &source.caller);
    if (found == NULL)
        found = source.word.owner;
    if (found != NULL && found != source.word.owner && !running_is_alone_in_its_module(found))
        source.module = found->module;
    else
        source.plugin = found;
    return source;
}

static bool is_same(const struct source *one, const struct source *other)
{
    return one->plugin == other->plugin && one->module == other->module &&
           pthread_equal(one->thread, other->thread);
}

static struct running_prints *prints_of(struct running_plugin *plugin)
{
    return plugin != NULL ? &plugin->prints : &of_nobody;
}

static const char *uri_of(const struct running_plugin *plugin)
{
    return plugin != NULL ? plugin->uri : NULL;
}

/* "in init", "during init of io.example.v1.other" */
static void describe_place(const struct source *source, char *text, size_t size)
{
    const struct running_word *word = &source->word;

    if (word->owner == NULL)
        snprintf(text, size, "%s", source->is_loop ? "in a callback of the loop" : "on a thread of its own");
    else if (word->owner == source->plugin)
        snprintf(text, size, "in %s", running_doing_name(word->doing));
    else
        snprintf(text, size, "during %s of %s", running_doing_name(word->doing), word->owner->uri);
}

/* Once for each plugin and stream; the lines themselves follow. */
static void tell(const struct output *output)
{
    const struct source *source = &output->source;
    unsigned bit = 1u << (output - outputs);
    char place[320], what[512];

    if ((atomic_fetch_or(&prints_of(source->plugin)->told, bit) & bit) != 0) {
        if (source->plugin != NULL)
            atomic_fetch_add(&source->plugin->misuses, 1);
        return;
    }
    describe_place(source, place, sizeof(place));
    snprintf(what, sizeof(what), "printed to %s %s; use berth_log", output->title, place);
    if (source->module != NULL)
        log_line(BERTH_LOG_WARN, "a plugin of module %s %s", source->module, what);
    else if (source->plugin == NULL)
        log_line(BERTH_LOG_WARN, "unidentified code printed to %s %s", output->title, place);
    else
        misuse_report(&(struct misuse){
            .plugin = source->plugin, .what = what, .path = source->word.detail, .caller = source->caller});
}

static void tell_dropped(struct running_prints *prints, const char *uri)
{
    unsigned dropped = atomic_exchange(&prints->dropped, 0);

    if (dropped > 0)
        log_plugin(BERTH_LOG_WARN, uri, "dropped %u printed line%s: more than %d a second", dropped,
                   dropped == 1 ? "" : "s", LINES_MAX);
}

static bool may_log(struct running_plugin *plugin)
{
    struct running_prints *prints = prints_of(plugin);
    uint64_t since = atomic_load(&prints->since_ms), now = now_ms();

    if (now - since >= SPAN_MS && atomic_compare_exchange_strong(&prints->since_ms, &since, now)) {
        atomic_store(&prints->lines, 0);
        tell_dropped(prints, uri_of(plugin));
    }
    if (atomic_fetch_add(&prints->lines, 1) < LINES_MAX)
        return true;
    atomic_fetch_add(&prints->dropped, 1);
    atomic_store(&is_due, true);
    return false;
}

static void end_line(struct output *output)
{
    struct running_plugin *plugin = output->source.plugin;

    if (output->length > 0 && output->line[output->length - 1] == '\r')
        output->line[output->length - 1] = '\0';
    output->length = 0;
    tell(output);
    if (output->line[0] != '\0' && may_log(plugin))
        log_plugin(output->level, uri_of(plugin), "%s: %s", output->name, output->line);
    output->line[0] = '\0';
}

static void add(struct output *output, char byte)
{
    if (byte == '\n') {
        end_line(output);
        return;
    }
    if (output->length == sizeof(output->line) - 1)
        end_line(output);
    output->line[output->length + 1] = '\0';
    output->line[output->length++] = byte != '\0' ? byte : '?';
}

static void take(struct output *output, const char *bytes, size_t length)
{
    struct source source = find_source();

    if (output->length > 0 && !is_same(&output->source, &source))
        end_line(output);
    if (output->length == 0) {
        output->source = source;
        output->since_ms = now_ms();
    }
    for (size_t i = 0; i < length; i++)
        add(output, bytes[i]);
    if (output->length > 0 && atomic_load(&is_ended))
        end_line(output);
    if (output->length > 0)
        atomic_store(&is_due, true);
}

/* Never fails: the printing code could not handle it. */
static ssize_t on_write(void *cookie, const char *bytes, size_t length)
{
    struct output *output = cookie;
    int saved_errno = errno;

    if (is_inside || getpid() != process) {
        ssize_t written = write(output->fd, bytes, length);

        (void)written;
    } else {
        is_inside = true;
        take(output, bytes, length);
        is_inside = false;
    }
    errno = saved_errno;
    return (ssize_t)length;
}

static int on_close(void *cookie);

/*
 * Unbuffered, so that each call that prints gets here before it returns. A byte stream, because such a stream
 * has no wide characters. With the descriptor's number, for code that asks for it.
 */
static FILE *open_stream(struct output *output)
{
    FILE *stream = fopencookie(output, "w", (cookie_io_functions_t){.write = on_write, .close = on_close});

    if (stream == NULL)
        return NULL;
    setvbuf(stream, NULL, _IONBF, 0);
    fwide(stream, -1);
    stream->_fileno = output->fd;
    return stream;
}

/*
 * The C library's own streams can be closed without harm to whoever prints next; it frees one like this. So
 * another one takes its place, with the descriptor, which stays open. Without memory that is the C library's
 * own one again, and what is printed is not seen.
 */
static int on_close(void *cookie)
{
    struct output *output = cookie;
    bool was_inside = is_inside;

    is_inside = true;
    if (output->length > 0)
        end_line(output);
    is_inside = was_inside;
    output->stream = open_stream(output);
    *output->place = output->stream != NULL ? output->stream : output->own;
    return 0;
}

void printing_begin(void)
{
    fflush(stdout);
    process = getpid();
    for (size_t i = 0; i < OUTPUT_COUNT; i++) {
        outputs[i].own = *outputs[i].place;
        outputs[i].stream = open_stream(&outputs[i]);
        if (outputs[i].stream == NULL)
            return;
    }
    for (size_t i = 0; i < OUTPUT_COUNT; i++)
        *outputs[i].place = outputs[i].stream;
}

/*
 * Takes lines of another thread only after a while: it may be about to complete them. @return is anything
 * left?
 */
static bool end_lines(bool are_all)
{
    bool is_left = false;

    for (size_t i = 0; i < OUTPUT_COUNT; i++) {
        struct output *output = &outputs[i];

        if (output->stream == NULL)
            continue;
        if (ftrylockfile(output->stream) != 0) {
            is_left = true;
            continue;
        }
        if (output->length > 0 && (are_all || pthread_equal(output->source.thread, pthread_self()) ||
                                   now_ms() - output->since_ms >= SPAN_MS))
            end_line(output);
        is_left |= output->length > 0;
        funlockfile(output->stream);
    }
    return is_left;
}

/* @return are there some that it is too early for? */
static bool tell_all_dropped(bool are_all)
{
    bool is_left = false;

    for (uint32_t i = 0; i <= running_count(); i++) {
        struct running_plugin *plugin = running_get(i);
        struct running_prints *prints = prints_of(plugin);

        if (are_all || now_ms() - atomic_load(&prints->since_ms) >= SPAN_MS)
            tell_dropped(prints, uri_of(plugin));
        is_left |= atomic_load(&prints->dropped) > 0;
    }
    return is_left;
}

void printing_note_turn(void)
{
    bool is_left;

    if (!atomic_load_explicit(&is_due, memory_order_relaxed))
        return;
    atomic_store(&is_due, false);
    is_left = end_lines(false);
    if (tell_all_dropped(false) || is_left)
        atomic_store(&is_due, true);
}

void printing_end(void)
{
    atomic_store(&is_ended, true);
    end_lines(true);
    tell_all_dropped(true);
}

void printing_each_rest(void (*on_rest)(const char *name, const char *text))
{
    for (size_t i = 0; i < OUTPUT_COUNT; i++)
        if (outputs[i].line[0] != '\0')
            on_rest(outputs[i].name, outputs[i].line);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report of the daemon's end. All of it may run in a signal handler, on a broken heap and from any
 * thread: it formats into static memory and uses nothing that is not async-signal-safe. A fault inside the
 * report costs the part that it is at; a second one ends the daemon.
 */
#include "crash.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <core/base/frames.h>
#include <core/base/log.h>
#include <core/base/signal_name.h>
#include <core/base/signal_stack.h>
#include <sdk/base/rfc3339.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

#define FRAMES_MAX 48
#define FRAME_BYTES 256
/* How far from the stack pointer an overflow may fault: frames with large arrays. */
#define OVERFLOW_BYTES ((uintptr_t)64 * 1024)
/* How long a reader of the log may be stuck, and how long another thread waits for the report. */
#define PATIENCE_MS 200
#define REPORT_LIMIT_MS 5000

const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, 0};

static struct crash_options options;
static pid_t daemon_pid;
static pthread_key_t loop_key;
static volatile sig_atomic_t exit_is_expected;

/* The thread that reports, and where it continues after a fault of its own. */
static _Atomic pid_t reporter;
static sigjmp_buf next_part;
static volatile sig_atomic_t can_go_on;

/* In a forked child: who forked it, seen while its frames were still there. */
static bool is_child;
static struct blame {
    const struct running_plugin *plugin;
    /** The plugin that the host had called, perhaps another one. */
    struct running_word word;
} forked_by;

static pid_t thread_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

/* The text */

static struct {
    char bytes[FRAMES_MAX * (FRAME_BYTES + 16) + 4096];
    size_t length;
} out;

static void add_bytes(const char *bytes, size_t length)
{
    /* Room for the end of an object. */
    if (length > sizeof(out.bytes) - out.length - 8)
        return;
    memcpy(out.bytes + out.length, bytes, length);
    out.length += length;
}

static void add(const char *text)
{
    add_bytes(text, strlen(text));
}

/* Names and paths are checked when they are taken; a method's path comes from a client. */
static void add_safe(const char *text)
{
    for (; *text != '\0'; text++) {
        char byte = *text;

        if (byte < ' ' || byte > '~' || byte == '"' || byte == '\\')
            byte = '?';
        add_bytes(&byte, 1);
    }
}

static void add_number(uint64_t value, unsigned base, size_t width)
{
    char digits[24];
    size_t i = sizeof(digits);

    do
        digits[--i] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0 || sizeof(digits) - i < width);
    add_bytes(digits + i, sizeof(digits) - i);
}

static void add_address(uintptr_t address)
{
    add("0x");
    add_number(address, 16, 1);
}

static void add_time(void)
{
    struct timespec now;
    char text[RFC3339_MAX];

    clock_gettime(CLOCK_REALTIME, &now);
    add(rfc3339_format(now.tv_sec, (uint32_t)now.tv_nsec, 3, text));
}

/* A reader that is stuck must not keep a dying daemon. */
static void flush(void)
{
    for (size_t done = 0; done < out.length;) {
        struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
        size_t part = out.length - done < PIPE_BUF ? out.length - done : PIPE_BUF;
        ssize_t written =
            poll(&room, 1, PATIENCE_MS) == 1 ? write(STDERR_FILENO, out.bytes + done, part) : -1;

        if (written <= 0 && errno != EINTR)
            break;
        done += written > 0 ? (size_t)written : 0;
    }
    out.length = 0;
}

static bool is_json(void)
{
    return log_format_in_use() == LOG_JSON;
}

static void begin_line(void)
{
    if (log_has_priorities())
        add("<3>");
}

/* A field of the JSON object, or key=value. */
static void add_field(const char *key, const char *value, bool is_first)
{
    if (value == NULL || value[0] == '\0')
        return;
    add(is_json() ? (is_first ? "\"" : ",\"") : " ");
    add(key);
    add(is_json() ? "\":\"" : "=");
    add_safe(value);
    add(is_json() ? "\"" : "");
}

static void add_number_field(const char *key, uint64_t value)
{
    add(is_json() ? ",\"" : " ");
    add(key);
    add(is_json() ? "\":" : "=");
    add_number(value, 10, 1);
}

/* Output that was printed but not logged. */
static void add_rest(const char *name, const char *text)
{
    add(is_json() ? ",\"" : " ");
    add(name);
    add(is_json() ? "\":\"" : "=\"");
    add_safe(text);
    add("\"");
}

/* Who did it */

static struct blame find_blame(void *const *frames, size_t count)
{
    struct blame blame = {NULL, {NULL, RUNNING_NOTHING, NULL, 0}};
    const struct running_thread *thread = running_this_thread();

    if (thread != NULL)
        running_look(thread, &blame.word);
    blame.plugin = running_find_by_frames(frames, count, blame.word.owner, NULL);
    if (blame.plugin == NULL)
        blame.plugin = blame.word.owner;
    return blame;
}

/* The report */

static bool is_overflow(const siginfo_t *info, const void *context)
{
    uintptr_t address = (uintptr_t)info->si_addr, stack;
#if defined(__x86_64__)
    stack = (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    stack = (uintptr_t)((const ucontext_t *)context)->uc_mcontext.sp;
#else
    return false;
#endif
    return info->si_signo == SIGSEGV && info->si_code > 0 && info->si_code != SI_KERNEL &&
           address >= stack - OVERFLOW_BYTES && address < stack + OVERFLOW_BYTES;
}

/* NULL: nothing to say. */
static const char *code_text(const siginfo_t *info, const void *context)
{
    static const struct {
        int number, code;
        const char *text;
    } texts[] = {
        {SIGSEGV, SEGV_MAPERR, "address not mapped"},
        {SIGSEGV, SEGV_ACCERR, "access not permitted"},
        {SIGSEGV, SI_KERNEL, "invalid address"},
        {SIGBUS, BUS_ADRALN, "misaligned address"},
        {SIGBUS, BUS_ADRERR, "beyond the end of a mapped file"},
        {SIGILL, ILL_ILLOPN, "illegal instruction"},
        {SIGILL, ILL_ILLOPC, "illegal instruction"},
        {SIGFPE, FPE_INTDIV, "integer division by zero"},
        {SIGFPE, FPE_INTOVF, "integer overflow"},
        {SIGSYS, 1, "system call not permitted"},
    };

    if (is_overflow(info, context))
        return "stack overflow";
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].number == info->si_signo && texts[i].code == info->si_code)
            return texts[i].text;
    return NULL;
}

static bool has_address(const siginfo_t *info)
{
    return info->si_code > 0 && (info->si_signo == SIGSEGV || info->si_signo == SIGBUS ||
                                 info->si_signo == SIGILL || info->si_signo == SIGFPE);
}

/* By another process, where abort(3) and the watchdog are this one. */
static bool is_sent(const siginfo_t *info)
{
    return info->si_code <= 0 && info->si_pid != daemon_pid;
}

/* "crashed with SIGSEGV (address not mapped) at 0x10" */
static void add_crash(const siginfo_t *info, const void *context)
{
    const char *text = code_text(info, context);

    add(is_sent(info) ? "killed by " : "crashed with ");
    add(signal_name(info->si_signo));
    if (is_sent(info)) {
        add(" from process ");
        add_number((uint64_t)info->si_pid, 10, 1);
    }
    if (text != NULL) {
        add(" (");
        add(text);
        add(")");
    }
    if (has_address(info)) {
        add(" at ");
        add_address((uintptr_t)info->si_addr);
    }
}

static void add_doing(const struct running_word *word)
{
    add(running_doing_name(word->doing));
    if (word->detail != NULL) {
        add(" ");
        add_safe(word->detail);
    }
}

static void add_place(const struct blame *blame)
{
    if (blame->plugin == NULL) {
        add(" in berthd itself");
    } else if (blame->word.owner == NULL) {
        add(running_is_loop() ? " in a callback of the loop" : " on a thread of its own or libuv's");
    } else {
        add(blame->word.owner == blame->plugin ? " in " : " during ");
        add_doing(&blame->word);
        if (blame->word.owner != blame->plugin) {
            add(" of ");
            add_safe(blame->word.owner->uri);
        }
    }
}

static void begin_report(const struct blame *blame)
{
    out.length = 0;
    begin_line();
    if (is_json()) {
        add("{\"time\":\"");
        add_time();
        add("\",\"level\":\"error\",");
        if (blame->plugin != NULL) {
            add("\"plugin\":\"");
            add_safe(blame->plugin->uri);
            add("\",");
        }
        add("\"message\":\"");
        return;
    }
    if (log_format_in_use() != LOG_JOURNAL) {
        add_time();
        add(" error ");
    }
    if (blame->plugin != NULL) {
        add_safe(blame->plugin->uri);
        add(": ");
    }
}

static const char *thread_kind(char *name)
{
    if (running_is_loop())
        return "loop";
    if (running_this_thread() != NULL)
        return "prepare";
    prctl(PR_GET_NAME, name);
    return name[0] != '\0' ? name : "unnamed";
}

static void add_frames(void *const *frames, size_t count)
{
    char text[FRAME_BYTES];

    add(is_json() ? ",\"backtrace\":[" : "");
    for (volatile size_t i = 0; i < count; i++) {
        /* A recursion is shown by its ends. */
        if (i > 1 && i + 2 < count && frames[i] == frames[i - 2] && frames[i] == frames[i + 2])
            continue;
        can_go_on = 1;
        if (sigsetjmp(next_part, 1) == 0)
            frames_describe(frames[i], text, sizeof(text));
        else
            strcpy(text, "?");
        can_go_on = 0;
        if (is_json()) {
            add(i > 0 ? ",\"" : "\"");
            add_safe(text);
            add("\"");
            continue;
        }
        begin_line();
        add("    #");
        add_number(i, 10, 1);
        add(" ");
        add_safe(text);
        add("\n");
    }
    add(is_json() ? "]" : "");
}

/* The message is complete: what happened, and the frames of the thread. */
static void end_report(const struct blame *blame, const siginfo_t *info, const void *context,
                       void *const *frames, size_t count)
{
    char name[16] = "";

    add(is_json() ? "\",\"fields\":{" : "");
    add_field("thread", thread_kind(name), true);
    add_number_field("tid", (uint64_t)thread_id());
    if (info != NULL)
        add_field("signal", signal_name(info->si_signo), false);
    if (blame->plugin != NULL) {
        add_field("module", blame->plugin->module, false);
        add_field("version", blame->plugin->version, false);
        add_field("file", frames_file_name(blame->plugin->path), false);
    }
    if (options.each_rest != NULL)
        options.each_rest(add_rest);
    if (is_json() && info != NULL) {
        add_field("code", code_text(info, context), false);
        if (has_address(info)) {
            add(",\"address\":\"");
            add_address((uintptr_t)info->si_addr);
            add("\"");
        }
    }
    if (is_json() && blame->word.owner != NULL) {
        add_field("step", running_doing_name(blame->word.doing), false);
        add_field("method", blame->word.detail, false);
    }
    if (!is_json()) {
        /* Write what is known before the riskier part. */
        add("\n");
        flush();
    }
    add_frames(frames, count);
    if (is_json()) {
        out.bytes[out.length++] = '}';
        out.bytes[out.length++] = '}';
        out.bytes[out.length++] = '\n';
    }
    flush();
}

static void tell_death(const struct blame *blame, const siginfo_t *info)
{
    struct crash_death death = {.plugin = blame->plugin, .doing = blame->word.doing};

    if (info != NULL) {
        death.signal = info->si_signo;
        death.is_sent = is_sent(info);
        death.address = has_address(info) ? (uintptr_t)info->si_addr : 0;
    }
    if (options.on_death != NULL)
        options.on_death(&death);
}

/* False if a report is under way: this thread's own has failed, or another's has ended late. */
static bool begin_reporting(void)
{
    pid_t nobody = 0, self = thread_id();
    static const struct timespec pause = {.tv_nsec = 10000000};

    if (atomic_compare_exchange_strong(&reporter, &nobody, self))
        return true;
    if (nobody == self) {
        if (can_go_on) {
            can_go_on = 0;
            siglongjmp(next_part, 1);
        }
        return false;
    }
    for (int waited = 0; waited < REPORT_LIMIT_MS; waited += 10)
        nanosleep(&pause, NULL);
    return false;
}

/* The way from exit(3) into this file. */
static size_t skip_own(void **frames, size_t count)
{
    const char *path;
    uintptr_t offset;
    size_t own = 0;

    while (own < count && frames_find_file(frames[own], &path, &offset) && path[0] == '\0')
        own++;
    memmove(frames, frames + own, (count - own) * sizeof(*frames));
    return count - own;
}

/* Broken stacks cannot always be followed. */
static size_t take_frames(const void *context, void **frames)
{
    volatile size_t count = 0;

    can_go_on = 1;
    if (sigsetjmp(next_part, 1) == 0)
        count = context != NULL ? frames_take_interrupted(context, frames, FRAMES_MAX)
                                : frames_take(frames, FRAMES_MAX);
    can_go_on = 0;
    return context != NULL ? count : skip_own(frames, count);
}

/* Crashes */

static void set_default(int number)
{
    signal(number, SIG_DFL);
}

/*
 * If the kernel found the fault, returning repeats it, and the core dump shows the instruction. A signal that
 * was sent, or that arrives after its instruction, is sent again: it arrives on return.
 */
static void end_by(int number, const siginfo_t *info)
{
    set_default(number);
    if (!has_address(info))
        syscall(SYS_tgkill, getpid(), thread_id(), number);
}

static void on_crash(int number, siginfo_t *info, void *context)
{
    static void *frames[FRAMES_MAX];
    struct blame blame;
    size_t count;

    frames_recover();
    if (getpid() != daemon_pid || !begin_reporting()) {
        end_by(number, info);
        return;
    }
    count = take_frames(context, frames);
    blame = find_blame(frames, count);
    tell_death(&blame, info);
    begin_report(&blame);
    add_crash(info, context);
    add_place(&blame);
    end_report(&blame, info, context, frames, count);
    end_by(number, info);
}

static void take_signals(void)
{
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    sigemptyset(&action.sa_mask);
    for (const int *number = crash_signals; *number != 0; number++)
        sigaction(*number, &action, NULL);
}

/* Exits */

static void end_early(const char *what)
{
    static void *frames[FRAMES_MAX];
    struct blame blame;
    size_t count;

    if (!begin_reporting())
        _exit(options.exit_code);
    count = take_frames(NULL, frames);
    blame = find_blame(frames, count);
    tell_death(&blame, NULL);
    begin_report(&blame);
    add(what);
    add_place(&blame);
    add("; exiting with code ");
    add_number((uint64_t)options.exit_code, 10, 1);
    end_report(&blame, NULL, NULL, frames, count);
    _exit(options.exit_code);
}

static void on_exit_called(int status, void *unused)
{
    if (!exit_is_expected && getpid() == daemon_pid)
        end_early("called exit()");
}

/* The loop's thread ends although its loop runs. Its frames are gone; its word still exists. */
static void on_loop_thread_ended(void *unused)
{
    if (!exit_is_expected && getpid() == daemon_pid)
        end_early("ended berthd's main thread with pthread_exit()");
}

/* Forked children */

static void end_child(void)
{
    begin_report(&forked_by);
    add("forked");
    add_place(&forked_by);
    add(", and the child returned into berthd; ended the child; use uv_spawn, or exec in the child");
    end_report(&forked_by, NULL, NULL, NULL, 0);
    _exit(options.exit_code);
}

/* uv_spawn and posix_spawn get here too, or not at all; their children never return. */
static void on_forked_child(void)
{
    void *frames[FRAMES_MAX];

    /* Mapped memory is shared. */
    running_use_box(NULL);
    if (running_this_thread() == NULL)
        return;
    is_child = true;
    forked_by = find_blame(frames, frames_take(frames, FRAMES_MAX));
    running_watch_leave(end_child);
}

void crash_check_child(void)
{
    if (is_child)
        end_child();
}

void crash_start(const struct crash_options *new_options)
{
    options = *new_options;
    daemon_pid = getpid();
    signal_stack_begin();
    if (!IS_SANITIZED)
        take_signals();
    on_exit(on_exit_called, NULL);
    if (pthread_key_create(&loop_key, on_loop_thread_ended) != 0 ||
        pthread_setspecific(loop_key, &options) != 0 || pthread_atfork(NULL, NULL, on_forked_child) != 0)
        abort();
}

void crash_after_load(void)
{
    on_exit(on_exit_called, NULL);
}

void crash_expect_exit(void)
{
    exit_is_expected = 1;
    pthread_setspecific(loop_key, NULL);
}

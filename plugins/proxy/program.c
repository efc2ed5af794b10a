/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program behind a socket: started, watched, and started again, in systemd's words. It leads a session of
 * its own, dies with the daemon, and inherits nothing but a pipe for what it prints, which is logged.
 *
 * The group's ID stays in use until the program is reaped, so killing the group first and reaping afterwards
 * cannot hit another process.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <berth/utf8.h>

#include "proxy.h"

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)
#define DELAY_MAX_MS 30000
#define LINE_MAX_BYTES 400
#define LINES_PER_SECOND 50
/* As many starts as may be counted against the limit. */
#define STARTS_MAX 64

/* Numbers in the child. */
#define LAUNCHER_INPUT 3
#define REPORT 4

static const char default_path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct program {
    struct proxy *proxy;
    char **environment;
    char **arguments;
    pid_t pid;
    /** -1: it does not run. */
    int pidfd, output;
    uv_poll_t exit, reader;
    bool has_reader;
    uv_timer_t timer;
    bool is_stopping, has_failed, is_running;
    unsigned open_handles;
    void (*on_gone)(struct proxy *proxy);
    uint64_t started_ns, delay_ms, starts, interval_start_ns;

    /** What it prints: the line so far, and the last whole one. */
    char line[LINE_MAX_BYTES + 1], last[LINE_MAX_BYTES + 1];
    size_t line_length;
    uint64_t second_ns;
    unsigned lines, dropped;
};

static void on_timer(uv_timer_t *timer);
static void on_exit_seen(uv_poll_t *poll, int status, int events);
static void on_output(uv_poll_t *poll, int status, int events);

/* Its environment */

static char *setting(const char *name, const char *value)
{
    char *text;

    return asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text;
}

/* @return false without memory. */
static bool make_environment(struct program *program)
{
    const struct proxy *proxy = program->proxy;
    size_t count = 0, own = proxy->config.environment.count;
    bool has_path = false, is_whole = true;

    program->environment = calloc(own + 5, sizeof(char *));
    program->arguments = calloc(proxy->config.command.count + 2, sizeof(char *));
    if (program->environment == NULL || program->arguments == NULL)
        return false;
    for (size_t i = 0; i < own; i++) {
        has_path = has_path || strcmp(proxy->config.environment.items[i].key, "PATH") == 0;
        program->environment[count++] =
            setting(proxy->config.environment.items[i].key, proxy->config.environment.items[i].value);
    }
    if (!has_path)
        program->environment[count++] = strdup(default_path);
    program->environment[count++] = setting("BERTH_PROXY_ADDRESS", proxy->address);
    program->environment[count++] = setting("BERTH_PROXY_NAME", proxy->host->id);
    program->environment[count++] = setting("BERTH_PROXY_PROTOCOL", "grpc");
    for (size_t i = 0; i < count; i++)
        is_whole = is_whole && program->environment[i] != NULL;
    count = 0;
    if (proxy->launcher != NULL)
        program->arguments[count++] = (char *)(uintptr_t)proxy->launcher;
    for (size_t i = 0; i < proxy->config.command.count; i++)
        program->arguments[count++] = (char *)proxy->config.command.items[i];
    return is_whole;
}

static void destroy(struct program *program)
{
    for (size_t i = 0; program->environment != NULL && i < program->proxy->config.environment.count + 4; i++)
        free(program->environment[i]);
    free(program->environment);
    free(program->arguments);
    free(program);
}

/* Starting it */

/* Between fork and exec of a process with threads: only what is safe in a signal handler. */
static _Noreturn void become(const struct program *program, int output, int report, pid_t parent)
{
    const struct sigaction action = {.sa_handler = SIG_DFL};
    int error = 0, null;
    sigset_t none;

    setsid();
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    null = open("/dev/null", O_RDONLY);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && null >= 0 &&
        dup2(null, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(output, STDERR_FILENO) >= 0 && chdir("/") == 0) {
        report = dup3(report, REPORT, O_CLOEXEC) < 0 ? report : REPORT;
        if (program->proxy->launcher == NULL)
            close(LAUNCHER_INPUT);
        else if (dup2(program->proxy->launcher_input, LAUNCHER_INPUT) < 0)
            _exit(126);
        closefrom(REPORT + 1);
        execve(program->arguments[0], program->arguments, program->environment);
    }
    error = errno;
    _exit(write(report, &error, sizeof(error)) == sizeof(error) ? 127 : 126);
}

/* Above those that the child moves. */
static int lift(int fd)
{
    int lifted = fd > REPORT ? fd : fcntl(fd, F_DUPFD_CLOEXEC, REPORT + 1);

    if (lifted != fd)
        close(fd);
    return lifted;
}

static int make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    ends[0] = lift(ends[0]);
    ends[1] = lift(ends[1]);
    return ends[0] < 0 || ends[1] < 0 ? EMFILE : 0;
}

static int read_report(int report)
{
    int error = 0;
    ssize_t got;

    do
        got = read(report, &error, sizeof(error));
    while (got < 0 && errno == EINTR);
    return got == 0 ? 0 : got == sizeof(error) ? error : EIO;
}

static void reap(pid_t pid, int *ret_status)
{
    while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
        continue;
}

/* By fork: the host gives its limit of open files back in what pthread_atfork(3) calls. @return an errno. */
static int spawn(struct program *program)
{
    int output[2], report[2], error = make_pipe(output), status;
    pid_t parent = getpid();
    sigset_t all, before;

    if (error != 0)
        return error;
    error = make_pipe(report);
    if (error != 0) {
        close(output[0]);
        close(output[1]);
        return error;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    program->pid = fork();
    if (program->pid == 0)
        become(program, output[1], report[1], parent);
    error = program->pid < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(output[1]);
    close(report[1]);
    if (error == 0)
        error = read_report(report[0]);
    close(report[0]);
    if (error == 0) {
        program->pidfd = (int)syscall(SYS_pidfd_open, program->pid, 0);
        error = program->pidfd < 0 ? errno : 0;
    }
    if (error == 0) {
        fcntl(output[0], F_SETFL, O_NONBLOCK);
        program->output = output[0];
        return 0;
    }
    close(output[0]);
    if (program->pid > 0) {
        kill(-program->pid, SIGKILL);
        reap(program->pid, &status);
    }
    return error;
}

/* Nobody listens on it: whose it was is gone. */
static bool is_left_over(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    bool is_refused;
    int fd;

    if (strlen(path) >= sizeof(address.sun_path) || lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return false;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    is_refused =
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 && errno == ECONNREFUSED;
    close(fd);
    return is_refused;
}

/*
 * A socket that the last one left would make the next one's bind fail. What is no socket stays, and so does
 * one on which somebody listens: it is not for us to take away.
 */
static void clear_socket(const struct program *program)
{
    const char *address = program->proxy->address;

    if (strncmp(address, "unix:", 5) == 0)
        address += 5;
    if (address[0] == '/' && is_left_over(address))
        unlink(address);
}

/* @return 0, or a negative error: then the program is gone, and its descriptors are closed. */
static int watch_end(struct program *program)
{
    int error = uv_poll_init(program->proxy->host->loop, &program->exit, program->pidfd), status;

    if (error == 0) {
        program->open_handles++;
        program->exit.data = program;
        uv_poll_start(&program->exit, UV_READABLE, on_exit_seen);
        return 0;
    }
    kill(-program->pid, SIGKILL);
    reap(program->pid, &status);
    close(program->pidfd);
    close(program->output);
    program->pidfd = program->output = -1;
    return error;
}

/* Without its output it is ended, and that is told as its last line. */
static void watch_output(struct program *program)
{
    int error = uv_poll_init(program->proxy->host->loop, &program->reader, program->output);

    program->has_reader = error == 0;
    if (program->has_reader) {
        program->open_handles++;
        program->reader.data = program;
        uv_poll_start(&program->reader, UV_READABLE | UV_DISCONNECT, on_output);
        return;
    }
    snprintf(program->last, sizeof(program->last), "(the daemon could not watch its output: %s)",
             strerror(-error));
    kill(-program->pid, SIGKILL);
}

static enum berth_code launch(struct program *program, struct berth_error *err)
{
    int error;

    clear_socket(program);
    program->line_length = 0;
    program->last[0] = '\0';
    error = spawn(program);
    if (error != 0)
        return berth_error_set(err, BERTH_UNAVAILABLE, "%.300s: cannot be started: %s", program->arguments[0],
                               strerror(error));
    error = watch_end(program);
    if (error != 0)
        return berth_error_set(err, BERTH_UNAVAILABLE,
                               "%.300s: was killed: the daemon could not watch it: %s", program->arguments[0],
                               strerror(-error));
    berth_series_add(program->proxy->starts, 1);
    program->is_running = true;
    program->proxy->is_program_down = false;
    program->started_ns = uv_hrtime();
    watch_output(program);
    berth_log(program->proxy->host, BERTH_LOG_INFO, "started %s pid=%ld%s",
              program->proxy->config.command.items[0], (long)program->pid,
              program->proxy->launcher != NULL ? " confined=yes" : "");
    return BERTH_OK;
}

/* What it prints */

/* In bounds: a program that prints without end must not fill the log. */
static void take_line(struct program *program)
{
    uint64_t now = uv_hrtime();

    program->line[program->line_length] = '\0';
    program->line_length = 0;
    if (program->line[0] == '\0')
        return;
    for (char *c = program->line; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
            *c = '?';
    memcpy(program->last, program->line, sizeof(program->last));
    if (now - program->second_ns > 1000 * NANOSECONDS_PER_MILLISECOND) {
        if (program->dropped > 0)
            berth_log(program->proxy->host, BERTH_LOG_WARN, "the program printed %u more lines",
                      program->dropped);
        program->second_ns = now;
        program->lines = program->dropped = 0;
    }
    if (program->lines++ < LINES_PER_SECOND)
        berth_log(program->proxy->host, BERTH_LOG_INFO, "program: %s", program->line);
    else
        program->dropped++;
}

/* Some at a time. @return is there an end? */
static bool read_output(struct program *program)
{
    char bytes[4096];
    ssize_t got = read(program->output, bytes, sizeof(bytes));

    for (ssize_t i = 0; i < got; i++) {
        if (bytes[i] == '\n')
            take_line(program);
        else if (program->line_length < LINE_MAX_BYTES)
            program->line[program->line_length++] = bytes[i];
    }
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

static void on_output(uv_poll_t *poll, int status, int events)
{
    struct program *program = poll->data;

    berth_enter(program->proxy->host, "output of the program");
    if (status < 0 || read_output(program))
        uv_poll_stop(poll);
    berth_leave(program->proxy->host);
}

/* Its end */

static void finish_if_closed(struct program *program)
{
    void (*on_gone)(struct proxy *) = program->on_gone;
    struct proxy *proxy = program->proxy;

    if (!program->is_stopping || program->open_handles > 0)
        return;
    destroy(program);
    on_gone(proxy);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct program *program = handle->data;

    program->open_handles--;
    if (program->open_handles == 1 && !program->is_stopping) {
        /* Only the timer is left, which waits for the next start. */
        uv_timer_start(&program->timer, on_timer, program->has_failed ? UINT64_MAX / 2 : program->delay_ms,
                       0);
        return;
    }
    finish_if_closed(program);
}

static void close_pipes(struct program *program)
{
    uv_close((uv_handle_t *)&program->exit, on_handle_closed);
    if (program->has_reader)
        uv_close((uv_handle_t *)&program->reader, on_handle_closed);
    close(program->pidfd);
    close(program->output);
    program->pidfd = program->output = -1;
}

static void describe_end(const struct program *program, int status, char *text, size_t size)
{
    int used;

    if (WIFSIGNALED(status))
        used = snprintf(text, size, "the program was killed by signal %d (%s)", WTERMSIG(status),
                        strsignal(WTERMSIG(status)));
    else
        used = snprintf(text, size, "the program exited with code %d", WEXITSTATUS(status));
    if (program->last[0] != '\0' && used > 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, "; last output: %.200s", program->last);
}

static bool is_to_restart(const struct program *program, int status)
{
    switch (program->proxy->config.restart) {
    case PROXY_CONFIG_RESTART_ALWAYS:
        return true;
    case PROXY_CONFIG_RESTART_ON_FAILURE:
        return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    case PROXY_CONFIG_RESTART_NO:
        break;
    }
    return false;
}

/* Counts the starts of an interval. @return may there be one more? */
static bool is_within_limit(struct program *program)
{
    const struct proxy_config *config = &program->proxy->config;
    uint64_t now = uv_hrtime();

    if (now - program->interval_start_ns > (uint64_t)config->start_limit_interval) {
        program->interval_start_ns = now;
        program->starts = 0;
        program->delay_ms = (uint64_t)config->restart_delay / NANOSECONDS_PER_MILLISECOND;
    } else if (program->starts > 0) {
        program->delay_ms = program->delay_ms * 2 < DELAY_MAX_MS ? program->delay_ms * 2 : DELAY_MAX_MS;
    }
    program->starts++;
    return config->start_limit == 0 || program->starts < (uint64_t)config->start_limit;
}

/* Decides on the next start, which follows when the handles of this one are closed. */
static void plan_restart(struct program *program, int status)
{
    char reason[REASON_MAX - 200], text[REASON_MAX];

    describe_end(program, status, reason, sizeof(reason));
    if (!is_to_restart(program, status)) {
        program->has_failed = true;
        snprintf(text, sizeof(text),
                 "%s; not restarted, as set under restart; run `berthctl plugins restart %s`", reason,
                 program->proxy->host->uri);
    } else if (!is_within_limit(program)) {
        program->has_failed = true;
        snprintf(text, sizeof(text),
                 "%s; not restarted again: start_limit is reached; run `berthctl plugins restart %s`", reason,
                 program->proxy->host->uri);
    } else {
        snprintf(text, sizeof(text), "%s; restarting in %llu ms", reason,
                 (unsigned long long)program->delay_ms);
    }
    program->proxy->take_state(program->proxy, text);
}

static void on_exit_seen(uv_poll_t *poll, int poll_status, int events)
{
    struct program *program = poll->data;
    int status = 0;

    berth_enter(program->proxy->host, "the end of the program");
    for (int i = 0; i < 16 && !read_output(program); i++)
        ;
    kill(-program->pid, SIGKILL);
    reap(program->pid, &status);
    program->is_running = false;
    program->proxy->is_program_down = true;
    if (program->line_length > 0)
        take_line(program);
    if (!program->is_stopping)
        plan_restart(program, status);
    berth_leave(program->proxy->host);
    close_pipes(program);
    if (program->is_stopping)
        uv_close((uv_handle_t *)&program->timer, on_handle_closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct program *program = timer->data;
    struct berth_error err;

    if (program->is_running) {
        /* It was asked to stop, and has not. */
        kill(-program->pid, SIGKILL);
        return;
    }
    if (program->is_stopping || program->has_failed)
        return;
    berth_enter(program->proxy->host, "a start of the program");
    if (launch(program, &err) == BERTH_OK) {
        health_restart(program->proxy);
    } else {
        program->has_failed = !is_within_limit(program);
        program->proxy->take_state(program->proxy, err.message);
        uv_timer_start(timer, on_timer, program->delay_ms, 0);
    }
    berth_leave(program->proxy->host);
}

enum berth_code program_create(struct proxy *proxy, struct program **ret_program, struct berth_error *err)
{
    struct program *program = calloc(1, sizeof(*program));
    enum berth_code code;

    if (program == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the program");
    program->proxy = proxy;
    program->pidfd = program->output = -1;
    if (!make_environment(program)) {
        destroy(program);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the program's environment");
    }
    program->interval_start_ns = uv_hrtime();
    program->delay_ms = (uint64_t)proxy->config.restart_delay / NANOSECONDS_PER_MILLISECOND;
    code = launch(program, err);
    if (code != BERTH_OK) {
        destroy(program);
        return code;
    }
    uv_timer_init(proxy->host->loop, &program->timer);
    program->timer.data = program;
    program->open_handles++;
    *ret_program = program;
    return BERTH_OK;
}

void program_stop(struct program *program, void (*on_gone)(struct proxy *proxy))
{
    program->is_stopping = true;
    program->on_gone = on_gone;
    uv_timer_stop(&program->timer);
    if (program->is_running) {
        kill(-program->pid, SIGTERM);
        uv_timer_start(&program->timer, on_timer,
                       (uint64_t)program->proxy->config.stop_timeout / NANOSECONDS_PER_MILLISECOND, 0);
        return;
    }
    uv_close((uv_handle_t *)&program->timer, on_handle_closed);
}

bool program_has_failed(const struct program *program)
{
    return program->has_failed;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth-worker: runs isolated plugins. Started by berthd with a connection as descriptor 3; its first packet
 * says how to close the sandbox, and each of those that follow names a plugin to load and to run in it.
 *
 * With arguments it becomes the program that they name, confined: descriptor 3 is then a file with that
 * packet.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dying.h"
#include "process.h"

#define CONNECTION 3
/* Of a file that says how a program is confined. */
#define LAUNCH_MAX (1 << 20)
/* As of a shell that cannot run a program. */
#define EXIT_REFUSED 126
/* Where the kernel's questions about refused system calls go. */
#define REPORT 4

/* The whole first packet, which lives as long as the process. Waits for it. */
static bool receive(struct packet *ret_packet)
{
    size_t capacity = PACKET_HEAD, length = 0;
    uint8_t *bytes = malloc(capacity);

    while (bytes != NULL) {
        size_t needed;
        enum packet_parsed parsed = packet_parse(bytes, length, ret_packet, &needed);
        ssize_t got;

        if (parsed != PACKET_PARTIAL)
            return parsed == PACKET_WHOLE;
        if (needed > capacity) {
            uint8_t *larger = realloc(bytes, needed);

            if (larger == NULL)
                break;
            bytes = larger;
            capacity = needed;
        }
        got = recv(CONNECTION, bytes + length, needed - length, 0);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        length += got > 0 ? (size_t)got : 0;
    }
    free(bytes);
    return false;
}

/* The daemon decides when it ends. A service manager or a terminal signals both, and the daemon closes it
 * then. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
}

/* A file that others may read at the same time, hence without moving its position. */
static bool read_start(struct worker_start *ret_start)
{
    struct packet packet;
    struct stat status;
    size_t needed;
    uint8_t *bytes;

    if (fstat(CONNECTION, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > LAUNCH_MAX)
        return false;
    bytes = malloc((size_t)status.st_size + 1);
    return bytes != NULL && pread(CONNECTION, bytes, (size_t)status.st_size, 0) == status.st_size &&
           packet_parse(bytes, (size_t)status.st_size, &packet, &needed) == PACKET_WHOLE &&
           worker_start_read(&packet, ret_start);
}

/* Whoever started it sees on standard error why there is no program. */
_Noreturn static void launch(char **arguments)
{
    struct berth_error error = {.message = ""};
    struct worker_start start;
    enum berth_code code = BERTH_OK;
    const char **read;

    if (!read_start(&start)) {
        fprintf(stderr, "berth-worker: started by berthd of the same version, not by hand\n");
        _exit(EXIT_REFUSED);
    }
    close(CONNECTION);
    if (start.group != NULL)
        code = control_group_enter(start.group, getpid(), &error);
    /* That it runs the program is why it is here. */
    read = calloc(start.sandbox.read_count + 1, sizeof(*read));
    for (size_t i = 0; read != NULL && i < start.sandbox.read_count; i++)
        read[i] = start.sandbox.read[i];
    if (read != NULL) {
        read[start.sandbox.read_count++] = arguments[0];
        start.sandbox.read = read;
    }
    if (code == BERTH_OK)
        code = sandbox_apply(&start.sandbox, &start.kernel, (pid_t)start.daemon_pid, -1, &error);
    if (code == BERTH_OK) {
        execve(arguments[0], arguments, environ);
        berth_error_set(&error, BERTH_UNAVAILABLE, "%.300s: cannot be run in its sandbox: %s", arguments[0],
                        strerror(errno));
    }
    fprintf(stderr, "%s\n", error.message);
    _exit(EXIT_REFUSED);
}

int main(int argc, char **argv)
{
    static struct worker_start start;
    struct berth_error error = {.message = ""};
    struct packet packet;
    enum berth_code code;

    if (argc > 1)
        launch(argv + 1);
    ignore_signals();
    if (!receive(&packet) || !worker_start_read(&packet, &start)) {
        fprintf(stderr, "berth-worker: started by berthd of the same version, not by hand\n");
        return 2;
    }
    code = sandbox_apply(&start.sandbox, &start.kernel, (pid_t)start.daemon_pid,
                         fcntl(REPORT, F_GETFD) >= 0 ? REPORT : -1, &error);
    if (code != BERTH_OK)
        process_refuse(CONNECTION, code, error.message);
    dying_begin();
    /* Third-party code runs from here on: constructors first. */
    process_run(CONNECTION, &start);
}

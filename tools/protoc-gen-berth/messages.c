/* SPDX-License-Identifier: Apache-2.0 */
/* Runs protobuf-c's generator as protoc would. */
#include "messages.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream.h"

extern char **environ;

static const char program[] = "protoc-gen-c";

/* A file in memory rather than a pipe: no side waits for the other to read. */
static int open_request(const uint8_t *bytes, size_t length)
{
    int fd = memfd_create("request", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (!stream_write(fd, bytes, length) || lseek(fd, 0, SEEK_SET) != 0) {
        int error = errno;

        close(fd);
        return -error;
    }
    return fd;
}

static int start(int input, int output, pid_t *ret_pid)
{
    char *const arguments[] = {(char *)(uintptr_t)program, NULL};
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);

    if (error != 0)
        return error;
    error = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (error == 0)
        error = posix_spawnp(ret_pid, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static enum berth_code collect(pid_t pid, int fd, uint8_t **ret_bytes, size_t *ret_length,
                               struct berth_error *err)
{
    enum berth_code code = stream_read(fd, program, ret_bytes, ret_length, err);
    int status = 0;

    close(fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (code != BERTH_OK || status == 0)
        return code;
    free(*ret_bytes);
    return berth_error_set(err, BERTH_UNAVAILABLE, "%s failed; see its messages above", program);
}

enum berth_code messages_generate(const uint8_t *request, size_t length, uint8_t **ret_bytes,
                                  size_t *ret_length, struct berth_error *err)
{
    int input = open_request(request, length);
    int output[2];
    pid_t pid;
    int error;

    if (input < 0 || pipe2(output, O_CLOEXEC) != 0) {
        error = input < 0 ? -input : errno;
        if (input >= 0)
            close(input);
        return berth_error_set(err, BERTH_UNAVAILABLE, "%s cannot be started: %s", program, strerror(error));
    }
    error = start(input, output[1], &pid);
    close(input);
    close(output[1]);
    if (error == 0)
        return collect(pid, output[0], ret_bytes, ret_length, err);
    close(output[0]);
    return berth_error_set(
        err, BERTH_NOT_FOUND,
        "%s cannot be started: %s; --berth_opt=messages needs it (Debian: protobuf-c-compiler)", program,
        strerror(error));
}

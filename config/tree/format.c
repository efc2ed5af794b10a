/* SPDX-License-Identifier: Apache-2.0 */
/* Checks addresses and paths, and compiles patterns, each with a message of its own. */
#include "format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <berth/address.h>

static const char *const names[CONFIG_FORMAT_COUNT] = {
    [CONFIG_FORMAT_ANY] = "any",
    [CONFIG_FORMAT_ADDRESS] = "address",
    [CONFIG_FORMAT_HOST_PORT] = "host_port",
    [CONFIG_FORMAT_SOCKET] = "socket",
    [CONFIG_FORMAT_FILE] = "file",
    [CONFIG_FORMAT_DIRECTORY] = "directory",
};

const char *config_format_name(enum config_format format)
{
    return names[format];
}

bool config_format_is_of_path(enum config_format format)
{
    return format == CONFIG_FORMAT_SOCKET || format == CONFIG_FORMAT_FILE ||
           format == CONFIG_FORMAT_DIRECTORY;
}

BERTH_PRINTF(2, 3)
static bool refuse(struct berth_error *err, const char *format, ...)
{
    char text[BERTH_ERROR_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s", text);
    return false;
}

static bool check_address(const char *text, struct berth_error *err)
{
    struct berth_address address;

    if (berth_address_parse(text, &address, err) != BERTH_OK)
        return false;
    if (address.path == NULL || address.path[0] == '/')
        return true;
    if (strncmp(text, "unix:", 5) == 0)
        return refuse(err, "\"%.200s\": the path of a unix socket must be absolute (unix:/PATH)", text);
    return refuse(err, "\"%.200s\" has no port (try %.100s:50051)", text, text);
}

bool config_format_check(enum config_format format, const char *text, struct berth_error *err)
{
    struct berth_address address;

    switch (format) {
    case CONFIG_FORMAT_ADDRESS:
        return check_address(text, err);
    case CONFIG_FORMAT_HOST_PORT:
        return berth_address_parse_listener(text, &address, err) == BERTH_OK;
    case CONFIG_FORMAT_SOCKET:
        return berth_address_check_path(text, err) == BERTH_OK;
    case CONFIG_FORMAT_ANY:
    case CONFIG_FORMAT_FILE:
    case CONFIG_FORMAT_DIRECTORY:
        break;
    }
    return true;
}

/* Opens the file as its reader will, but never waits for the writer of a FIFO. */
static bool check_readable(const char *path, struct berth_error *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool is_file;

    if (fd < 0)
        return refuse(err, "cannot read %.300s: %s", path, strerror(errno));
    is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    close(fd);
    return is_file || refuse(err, "%.300s is not a regular file", path);
}

static bool check_directory(const char *path, struct berth_error *err)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return refuse(err, "cannot use the directory %.300s: %s", path, strerror(errno));
    return S_ISDIR(status.st_mode) || refuse(err, "%.300s is not a directory", path);
}

bool config_format_check_file(enum config_format format, const char *path, struct berth_error *err)
{
    switch (format) {
    case CONFIG_FORMAT_FILE:
        return check_readable(path, err);
    case CONFIG_FORMAT_DIRECTORY:
        return check_directory(path, err);
    case CONFIG_FORMAT_ANY:
    case CONFIG_FORMAT_ADDRESS:
    case CONFIG_FORMAT_HOST_PORT:
    case CONFIG_FORMAT_SOCKET:
        break;
    }
    return true;
}

bool config_format_check_path(const char *text, struct berth_error *err)
{
    const char *dollar = strchr(text, '$');

    while (dollar != NULL &&
           strchr("{_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", dollar[1]) == NULL)
        dollar = strchr(dollar + 1, '$');
    if (dollar != NULL && dollar[1] != '\0')
        berth_error_set(err, BERTH_INVALID_ARGUMENT,
                        "\"%.200s\": variables are not expanded; write the path out", text);
    else if (text[0] == '~')
        berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%.200s\": ~ is not expanded; write the path out",
                        text);
    else if (text[0] != '\0' && text[1] == ':' && (text[2] == '\\' || text[2] == '/'))
        berth_error_set(err, BERTH_INVALID_ARGUMENT,
                        "\"%.200s\" is a Windows path; use one such as /srv/data", text);
    else
        return true;
    return false;
}

/* regcomp expands every repetition, so "((a{255}){255}){255}" must be refused before it is compiled. */
enum {
    PATTERN_MAX_BYTES = 500,
    PATTERN_MAX_GROUPS = 32,
    /* States of the expanded pattern. */
    PATTERN_MAX_COST = 5000,
};

/* A pattern while it is read: the states of each open group, and of the last atom in it. */
struct cost {
    const char *at;
    uint64_t sums[PATTERN_MAX_GROUPS];
    uint64_t lasts[PATTERN_MAX_GROUPS];
    size_t depth;
};

static void add_atom(struct cost *cost, uint64_t states)
{
    cost->sums[cost->depth] += states;
    cost->lasts[cost->depth] = states;
}

static void multiply_last(struct cost *cost, uint64_t factor)
{
    uint64_t last = cost->lasts[cost->depth];

    cost->sums[cost->depth] += last * factor - last;
    cost->lasts[cost->depth] = last * factor;
}

/* "{2,5}" expands to 5 copies, "{3,}" to 4. regcomp checks the syntax. */
static uint64_t read_repetition(struct cost *cost)
{
    uint64_t most = 1;
    uint64_t number = 0;

    for (; *cost->at != '\0' && *cost->at != '}'; cost->at++) {
        if (*cost->at >= '0' && *cost->at <= '9')
            number = number > 1000 ? number : number * 10 + (uint64_t)(*cost->at - '0');
        else
            number = 0;
        most = number > most ? number : most;
    }
    if (*cost->at == '}')
        cost->at++;
    return most + 1;
}

/* "[]a-z[:alpha:]]": one state, however long. */
static void skip_brackets(struct cost *cost)
{
    if (*cost->at == '^')
        cost->at++;
    if (*cost->at == ']')
        cost->at++;
    while (*cost->at != '\0' && *cost->at != ']') {
        if (cost->at[0] == '[' && (cost->at[1] == ':' || cost->at[1] == '.' || cost->at[1] == '=')) {
            const char end[] = {cost->at[1], ']', '\0'};
            const char *found = strstr(cost->at + 2, end);

            cost->at = found == NULL ? cost->at + strlen(cost->at) : found + 2;
        } else {
            cost->at++;
        }
    }
    if (*cost->at == ']')
        cost->at++;
}

static bool open_group(struct cost *cost)
{
    if (cost->depth + 1 >= PATTERN_MAX_GROUPS)
        return false;
    cost->depth++;
    cost->sums[cost->depth] = 1;
    cost->lasts[cost->depth] = 0;
    return true;
}

static bool close_group(struct cost *cost)
{
    if (cost->depth == 0)
        return false;
    cost->depth--;
    add_atom(cost, cost->sums[cost->depth + 1]);
    return true;
}

/* Reads one step of the pattern. @return NULL, or what is wrong. */
static const char *read_one(struct cost *cost)
{
    char c = *cost->at++;

    switch (c) {
    case '(':
        return open_group(cost) ? NULL : "groups are nested too deeply";
    case ')':
        return close_group(cost) ? NULL : "unmatched )";
    case '[':
        skip_brackets(cost);
        add_atom(cost, 1);
        return NULL;
    case '*':
    case '+':
    case '?':
        multiply_last(cost, 2);
        return NULL;
    case '{':
        multiply_last(cost, read_repetition(cost));
        return NULL;
    case '\\':
        if (*cost->at >= '0' && *cost->at <= '9')
            return "back-references are not supported";
        if (*cost->at != '\0')
            cost->at++;
        add_atom(cost, 1);
        return NULL;
    default:
        add_atom(cost, 1);
        return NULL;
    }
}

static const char *check_cost(const char *pattern)
{
    struct cost cost = {.at = pattern};

    if (strlen(pattern) > PATTERN_MAX_BYTES)
        return "longer than 500 bytes";
    while (*cost.at != '\0') {
        const char *problem = read_one(&cost);

        if (problem != NULL)
            return problem;
        if (cost.sums[cost.depth] > PATTERN_MAX_COST)
            return "repetitions make it too large";
    }
    return cost.depth == 0 ? NULL : "unmatched (";
}

bool config_pattern_compile(const char *pattern, regex_t *ret_regex, struct berth_error *err)
{
    const char *problem = check_cost(pattern);
    char whole[PATTERN_MAX_BYTES + 8];
    char reason[128];
    int code;

    if (problem != NULL) {
        berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%.80s\" is not a valid pattern: %s", pattern,
                        problem);
        return false;
    }
    snprintf(whole, sizeof(whole), "^(%s)$", pattern);
    code = regcomp(ret_regex, whole, REG_EXTENDED | REG_NOSUB);
    if (code == 0)
        return true;
    regerror(code, NULL, reason, sizeof(reason));
    berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%.80s\" is not a valid pattern: %s", pattern, reason);
    return false;
}

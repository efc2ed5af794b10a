/* SPDX-License-Identifier: Apache-2.0 */
/* Which plugins killed the daemon, and which are quarantined for it. */
#include "crash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <config/tree/units.h>

#include <sdk/base/memory.h>
#include <sdk/base/text_file.h>

#define FILE_BYTES_MAX (144 * 1024)

/* The most bytes of lines that are kept although they cannot be read. */
#define OTHERS_BYTES_MAX (16 * 1024)

static char *path_in(const char *state)
{
    return memory_format("%s/deaths", state);
}

static enum berth_code fail(const char *path, const char *what, struct berth_error *err)
{
    return berth_error_set(err, BERTH_UNAVAILABLE, "%s: cannot %s: %s", path, what, strerror(errno));
}

/* The oldest death makes room; a quarantine lasts until it is lifted. */
static void make_room(struct deaths *deaths)
{
    size_t oldest = 0;

    if (deaths->count < DEATHS_MAX)
        return;
    while (oldest < deaths->count - 1 && deaths->items[oldest].is_quarantine)
        oldest++;
    deaths->count--;
    memmove(&deaths->items[oldest], &deaths->items[oldest + 1],
            (deaths->count - oldest) * sizeof(*deaths->items));
}

static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

/* @return false if this cannot be one. */
static bool read_line(struct deaths *deaths, const char *line)
{
    struct death death = {.time_s = 0};
    char kind[16];
    int end = 0;

    if (sscanf(line, "%" SCNd64 " %15s %255s %191[^\n]%n", &death.time_s, kind, death.uri, death.what,
               &end) != 4 ||
        line[end] != '\0' || !is_plain(death.uri) || !is_plain(death.what))
        return false;
    death.is_quarantine = strcmp(kind, "quarantine") == 0;
    if (!death.is_quarantine && strcmp(kind, "death") != 0)
        return false;
    make_room(deaths);
    deaths->items[deaths->count++] = death;
    return true;
}

static char *put_line(char *to, const char *line, size_t length)
{
    memmove(to, line, length);
    to[length] = '\n';
    return to + length + 1;
}

/* Takes the text, in which the lines to be kept move to the front. */
static void read_lines(struct deaths *deaths, char *text)
{
    char *from = text, *to = text;

    while (*from != '\0') {
        size_t length = strcspn(from, "\n");
        bool is_last = from[length] == '\0';

        from[length] = '\0';
        if (!read_line(deaths, from) && length > 0) {
            bool has_room = (size_t)(to - text) + length < OTHERS_BYTES_MAX;

            deaths->other_count += has_room;
            deaths->lost_count += !has_room;
            if (has_room)
                to = put_line(to, from, length);
        }
        from += length + !is_last;
    }
    *to = '\0';
    deaths->others = text;
}

static enum berth_code read_open(FILE *file, const char *path, struct deaths *deaths, struct berth_error *err)
{
    struct stat status;
    size_t length;
    char *text;

    if (fstat(fileno(file), &status) != 0)
        return fail(path, "examine it", err);
    if (!S_ISREG(status.st_mode) || (status.st_uid != geteuid() && status.st_uid != 0 && geteuid() != 0) ||
        (status.st_mode & 0022) != 0 || status.st_size > FILE_BYTES_MAX)
        return berth_error_set(
            err, BERTH_PERMISSION_DENIED,
            "%s: ignoring this file: too large, not a regular file, wrong owner, or writable by others",
            path);
    /* One byte for the end of a last line that lacks it, and one for the NUL. */
    text = memory_allocate((size_t)status.st_size + 2, 1);
    length = fread(text, 1, (size_t)status.st_size, file);
    if (ferror(file) != 0) {
        free(text);
        return fail(path, "read it", err);
    }
    for (char *nul = text; (nul = memchr(nul, '\0', length - (size_t)(nul - text))) != NULL;)
        *nul = '?';
    read_lines(deaths, text);
    return BERTH_OK;
}

enum berth_code deaths_read(const char *state, struct deaths *ret_deaths, struct berth_error *err)
{
    char *path = path_in(state);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    enum berth_code code = BERTH_OK;

    *ret_deaths = (struct deaths){.items = memory_allocate(DEATHS_MAX, sizeof(*ret_deaths->items))};
    if (file != NULL)
        code = read_open(file, path, ret_deaths, err);
    else if (errno != ENOENT)
        code = fail(path, "open it", err);
    if (file != NULL)
        fclose(file);
    free(path);
    return code;
}

bool deaths_describe_others(const struct deaths *deaths, const char *state, char ret_text[BERTH_ERROR_MAX])
{
    if (deaths->other_count == 0)
        return false;
    snprintf(ret_text, BERTH_ERROR_MAX, "%s/deaths: cannot read %zu line%s; leaving %s as %s", state,
             deaths->other_count, deaths->other_count == 1 ? "" : "s",
             deaths->other_count == 1 ? "it" : "them", deaths->other_count == 1 ? "it is" : "they are");
    if (deaths->lost_count > 0)
        snprintf(ret_text + strlen(ret_text), BERTH_ERROR_MAX - strlen(ret_text),
                 ", but dropping %zu more: too many to keep", deaths->lost_count);
    return true;
}

static char *format(const struct deaths *deaths)
{
    size_t size;
    char *text;
    FILE *file = memory_or_abort(open_memstream(&text, &size));

    for (size_t i = 0; i < deaths->count; i++)
        fprintf(file, "%" PRId64 " %s %s %s\n", deaths->items[i].time_s,
                deaths->items[i].is_quarantine ? "quarantine" : "death", deaths->items[i].uri,
                deaths->items[i].what);
    fputs(deaths->others != NULL ? deaths->others : "", file);
    if (fclose(file) != 0)
        abort();
    return text;
}

enum berth_code deaths_write(const char *state, const struct deaths *deaths, struct berth_error *err)
{
    char *path = path_in(state), *text = format(deaths);
    struct stat like;
    bool is_root = geteuid() == 0 && stat(state, &like) == 0;
    enum berth_code code;

    /* Root may have run the command for a daemon of another user. */
    like.st_mode = 0600;
    code = text_file_keep(path, text, is_root ? &like : NULL, err);
    free(text);
    free(path);
    return code;
}

void deaths_finish(struct deaths *deaths)
{
    free(deaths->items);
    free(deaths->others);
    *deaths = (struct deaths){.items = NULL};
}

static void append(struct deaths *deaths, const char *uri, const char *what, int64_t now_s,
                   bool is_quarantine)
{
    struct death *death;

    make_room(deaths);
    death = &deaths->items[deaths->count++];
    death->time_s = now_s;
    death->is_quarantine = is_quarantine;
    snprintf(death->uri, sizeof(death->uri), "%s", uri);
    snprintf(death->what, sizeof(death->what), "%s", what);
}

bool deaths_add(struct deaths *deaths, const char *uri, const char *what, int64_t now_s,
                const struct deaths_limit *limit)
{
    int64_t within_s = (int64_t)(limit->within_ns / 1000000000u);
    char within[CONFIG_UNITS_MAX], reason[192];
    size_t recent = 0;
    bool is_quarantined = false;

    append(deaths, uri, what, now_s, false);
    for (size_t i = 0; i < deaths->count; i++) {
        const struct death *death = &deaths->items[i];

        if (strcmp(death->uri, uri) != 0)
            continue;
        is_quarantined = is_quarantined || death->is_quarantine;
        recent += !death->is_quarantine && death->time_s <= now_s && death->time_s >= now_s - within_s;
    }
    if (limit->count == 0 || recent < limit->count || is_quarantined)
        return false;
    config_format_duration((int64_t)limit->within_ns, within);
    snprintf(reason, sizeof(reason), "killed the daemon %zu times within %s, last: %.90s", recent, within,
             what);
    append(deaths, uri, reason, now_s, true);
    return true;
}

enum berth_code deaths_note(const char *state, const char *uri, const char *what,
                            const struct deaths_limit *limit, struct berth_error *err)
{
    struct deaths deaths;
    enum berth_code code = deaths_read(state, &deaths, err);

    if (code == BERTH_OK) {
        deaths_add(&deaths, uri, what, (int64_t)time(NULL), limit);
        code = deaths_write(state, &deaths, err);
    }
    deaths_finish(&deaths);
    return code;
}

size_t deaths_forget(struct deaths *deaths, const char *uri)
{
    size_t kept = 0, lifted = 0;

    for (size_t i = 0; i < deaths->count; i++) {
        if (uri == NULL || strcmp(deaths->items[i].uri, uri) == 0)
            lifted += deaths->items[i].is_quarantine;
        else
            deaths->items[kept++] = deaths->items[i];
    }
    deaths->count = kept;
    return lifted;
}

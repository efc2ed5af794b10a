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

#include <config/units.h>

#include <sdk/base/memory.h>

#define FILE_BYTES_MAX (128 * 1024)

static char *path_in(const char *state, const char *ending)
{
    return memory_format("%s/deaths%s", state, ending);
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

static void read_line(struct deaths *deaths, const char *line)
{
    struct death death = {.time_s = 0};
    char kind[16];

    if (sscanf(line, "%" SCNd64 " %15s %255s %191[^\n]", &death.time_s, kind, death.uri, death.what) != 4 ||
        !is_plain(death.uri) || !is_plain(death.what))
        return;
    death.is_quarantine = strcmp(kind, "quarantine") == 0;
    if (!death.is_quarantine && strcmp(kind, "death") != 0)
        return;
    make_room(deaths);
    deaths->items[deaths->count++] = death;
}

static enum berth_code read_open(FILE *file, const char *path, struct deaths *deaths, struct berth_error *err)
{
    struct stat status;
    char line[512];

    if (fstat(fileno(file), &status) != 0)
        return fail(path, "examine it", err);
    if (!S_ISREG(status.st_mode) || (status.st_uid != geteuid() && status.st_uid != 0 && geteuid() != 0) ||
        (status.st_mode & 0022) != 0 || status.st_size > FILE_BYTES_MAX)
        return berth_error_set(
            err, BERTH_PERMISSION_DENIED,
            "%s: ignoring this file: too large, not a regular file, wrong owner, or writable by others",
            path);
    while (fgets(line, sizeof(line), file) != NULL)
        read_line(deaths, line);
    if (ferror(file) == 0)
        return BERTH_OK;
    deaths->count = 0;
    return fail(path, "read it", err);
}

enum berth_code deaths_read(const char *state, struct deaths *ret_deaths, struct berth_error *err)
{
    char *path = path_in(state, "");
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    enum berth_code code = BERTH_OK;

    ret_deaths->count = 0;
    ret_deaths->items = memory_allocate(DEATHS_MAX, sizeof(*ret_deaths->items));
    if (file != NULL)
        code = read_open(file, path, ret_deaths, err);
    else if (errno != ENOENT)
        code = fail(path, "open it", err);
    if (file != NULL)
        fclose(file);
    free(path);
    return code;
}

static bool write_all(int fd, const struct deaths *deaths)
{
    FILE *file = fdopen(fd, "w");
    bool is_complete = true;

    if (file == NULL) {
        close(fd);
        return false;
    }
    for (size_t i = 0; i < deaths->count; i++)
        fprintf(file, "%" PRId64 " %s %s %s\n", deaths->items[i].time_s,
                deaths->items[i].is_quarantine ? "quarantine" : "death", deaths->items[i].uri,
                deaths->items[i].what);
    is_complete = ferror(file) == 0 && fflush(file) == 0 && fsync(fd) == 0;
    return fclose(file) == 0 && is_complete;
}

enum berth_code deaths_write(const char *state, const struct deaths *deaths, struct berth_error *err)
{
    char *path = path_in(state, ""), *next = path_in(state, ".new");
    enum berth_code code = BERTH_OK;
    struct stat folder;
    int fd;

    unlink(next);
    fd = open(next, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        code = fail(next, "create it", err);
    /* Root may have run the command for a daemon of another user. */
    else if (geteuid() == 0 && stat(state, &folder) == 0 && folder.st_uid != 0 &&
             fchown(fd, folder.st_uid, folder.st_gid) != 0) {
        code = fail(next, "give it to the daemon's user", err);
        close(fd);
    } else if (!write_all(fd, deaths) || rename(next, path) != 0)
        code = fail(path, "write it", err);
    if (code != BERTH_OK)
        unlink(next);
    free(path);
    free(next);
    return code;
}

void deaths_finish(struct deaths *deaths)
{
    free(deaths->items);
    deaths->items = NULL;
    deaths->count = 0;
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

/* SPDX-License-Identifier: Apache-2.0 */
/* The list of violations, and names for the plugin's code that is running. */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"

struct berth_testing *fake_current;

/* Is this one of the lines? */
static bool has_line(const char *lines, const char *line)
{
    size_t length = strlen(line);

    for (const char *at = lines; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, line, length) == 0 && (at[length] == '\n' || at[length] == '\0'))
            return true;
    }
    return false;
}

void fake_fault(struct berth_testing *testing, const char *format, ...)
{
    char text[BERTH_ERROR_MAX];
    va_list arguments;
    char *before;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&testing->faults_lock);
    before = testing->faults;
    if (!has_line(before, text)) {
        testing->faults =
            memory_format("%s%s%s", before == NULL ? "" : before, before == NULL ? "" : "\n", text);
        free(before);
    }
    pthread_mutex_unlock(&testing->faults_lock);
}

bool fake_is_on_loop(struct berth_testing *testing, const char *function, struct berth_error *err)
{
    if (pthread_equal(pthread_self(), testing->thread))
        return true;
    fake_fault(testing, "called %s from a thread other than the loop's: use berth_post", function);
    berth_error_set(err, BERTH_FAILED_PRECONDITION,
                    "%s called %s from a thread other than the loop's: use berth_post", testing->host.uri,
                    function);
    return false;
}

uint64_t fake_real_ns(void)
{
    struct timespec now = {0};

    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * MILLISECOND_NS + (uint64_t)now.tv_nsec;
}

void fake_name_word(const struct fake_word *word, char *text, size_t size)
{
    snprintf(text, size, "%s%s%s", word->doing, word->detail != NULL ? " " : "",
             word->detail != NULL ? word->detail : "");
}

/* What runs at the innermost level. */
const struct fake_word *fake_running(const struct berth_testing *testing)
{
    static const struct fake_word unknown = {.doing = FAKE_CALLBACK};
    unsigned depth = testing->depth < FAKE_DEPTH_MAX ? testing->depth : FAKE_DEPTH_MAX;

    return depth > 0 ? &testing->words[depth - 1] : &unknown;
}

void fake_name_running(const struct berth_testing *testing, char *text, size_t size)
{
    fake_name_word(fake_running(testing), text, size);
}

void fake_name_caller(const struct berth_testing *testing, char *text, size_t size)
{
    if (testing->is_preparing)
        snprintf(text, size, "prepare");
    else if (!pthread_equal(pthread_self(), testing->thread))
        snprintf(text, size, "a thread");
    else
        fake_name_running(testing, text, size);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to the whole process, compared and restored. It is done around every step of every plugin, so
 * it is to cost little: the environment is compared by its pointers first, and of the signals those that are
 * changed together by one of them.
 */
#include "surroundings.h"

#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

#define LOCALE_BYTES 512
#define TEXT_BYTES 160

/*
 * Those that a host needs are restored. Handlers of faults may belong to a language's run time, which passes
 * on faults that are not its own; libuv takes SIGCHLD for its processes, but ignoring SIGCHLD loses their
 * status.
 */
static const struct kind {
    int number;
    const char *name;
    enum { RESTORED, RESTORED_UNLESS_HANDLED, RESTORED_IF_IGNORED } policy;
} kinds[] = {
    {SIGTERM, "SIGTERM", RESTORED},
    {SIGINT, "SIGINT", RESTORED},
    {SIGQUIT, "SIGQUIT", RESTORED},
    {SIGHUP, "SIGHUP", RESTORED},
    {SIGPIPE, "SIGPIPE", RESTORED},
    {SIGXFSZ, "SIGXFSZ", RESTORED},
    {SIGCHLD, "SIGCHLD", RESTORED_IF_IGNORED},
    {SIGSEGV, "SIGSEGV", RESTORED_UNLESS_HANDLED},
    /* From here on only where one above has changed. */
    {SIGBUS, "SIGBUS", RESTORED_UNLESS_HANDLED},
    {SIGILL, "SIGILL", RESTORED_UNLESS_HANDLED},
    {SIGFPE, "SIGFPE", RESTORED_UNLESS_HANDLED},
    {SIGABRT, "SIGABRT", RESTORED_UNLESS_HANDLED},
};

#define SENTINELS 8

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

struct surroundings {
    struct sigaction actions[KIND_COUNT];
    sigset_t mask;
    int folder;
    char folder_path[PATH_MAX];
    dev_t folder_device;
    ino_t folder_inode;
    mode_t umask;
    char locale[LOCALE_BYTES];
    /* The pointers as they were, and copies of what they point at; both end with NULL. */
    char **environment, **copies;
};

struct report {
    void (*on_change)(void *context, const char *what, bool is_restored);
    void *context;
};

static void tell(const struct report *report, const char *what, const char *name, bool is_restored)
{
    char text[TEXT_BYTES];

    snprintf(text, sizeof(text), "%s%s", what, name);
    report->on_change(report->context, text, is_restored);
}

/* Never wider than it was, since other threads may create files meanwhile. */
static mode_t read_umask(void)
{
    mode_t now = umask(077);

    umask(now);
    return now;
}

static void forget_environment(struct surroundings *surroundings)
{
    for (char **copy = surroundings->copies; copy != NULL && *copy != NULL; copy++)
        free(*copy);
    free(surroundings->copies);
    free(surroundings->environment);
    surroundings->copies = NULL;
    surroundings->environment = NULL;
}

static size_t count_of(char **list)
{
    size_t count = 0;

    while (list != NULL && list[count] != NULL)
        count++;
    return count;
}

static bool take_environment(struct surroundings *surroundings)
{
    size_t count = count_of(environ);

    forget_environment(surroundings);
    surroundings->environment = calloc(count + 1, sizeof(*environ));
    surroundings->copies = calloc(count + 1, sizeof(*environ));
    if (surroundings->environment == NULL || surroundings->copies == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        surroundings->environment[i] = environ[i];
        surroundings->copies[i] = strdup(environ[i]);
        if (surroundings->copies[i] == NULL)
            return false;
    }
    return true;
}

/* Empty if it has none, such as a folder that was removed. */
static void read_folder(char path[PATH_MAX])
{
    if (getcwd(path, PATH_MAX) == NULL)
        path[0] = '\0';
}

static void take_folder(struct surroundings *surroundings)
{
    struct stat status;

    surroundings->folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (surroundings->folder < 0 || fstat(surroundings->folder, &status) != 0)
        return;
    read_folder(surroundings->folder_path);
    surroundings->folder_device = status.st_dev;
    surroundings->folder_inode = status.st_ino;
}

struct surroundings *surroundings_take(void)
{
    struct surroundings *surroundings = calloc(1, sizeof(*surroundings));

    if (surroundings == NULL)
        return NULL;
    for (size_t i = 0; i < KIND_COUNT; i++)
        sigaction(kinds[i].number, NULL, &surroundings->actions[i]);
    pthread_sigmask(SIG_SETMASK, NULL, &surroundings->mask);
    take_folder(surroundings);
    surroundings->umask = read_umask();
    snprintf(surroundings->locale, sizeof(surroundings->locale), "%s", setlocale(LC_ALL, NULL));
    if (take_environment(surroundings))
        return surroundings;
    surroundings_free(surroundings);
    return NULL;
}

void surroundings_free(struct surroundings *surroundings)
{
    if (surroundings == NULL)
        return;
    forget_environment(surroundings);
    if (surroundings->folder >= 0)
        close(surroundings->folder);
    free(surroundings);
}

static bool is_plain(const struct sigaction *action, void (*handler)(int number))
{
    return (action->sa_flags & SA_SIGINFO) == 0 && action->sa_handler == handler;
}

static bool is_same(const struct sigaction *one, const struct sigaction *other)
{
    if (((one->sa_flags ^ other->sa_flags) & (SA_SIGINFO | SA_NOCLDWAIT)) != 0)
        return false;
    return (one->sa_flags & SA_SIGINFO) != 0 ? one->sa_sigaction == other->sa_sigaction
                                             : one->sa_handler == other->sa_handler;
}

static bool is_to_restore(const struct kind *kind, const struct sigaction *now)
{
    if (kind->policy == RESTORED)
        return true;
    return is_plain(now, SIG_IGN) || (kind->policy == RESTORED_UNLESS_HANDLED && is_plain(now, SIG_DFL));
}

static void check_signals(struct surroundings *surroundings, const struct report *report)
{
    bool any_changed = false;

    for (size_t i = 0; i < (any_changed ? KIND_COUNT : SENTINELS); i++) {
        struct sigaction *before = &surroundings->actions[i], now;
        bool is_restored;

        if (sigaction(kinds[i].number, NULL, &now) != 0 || is_same(before, &now))
            continue;
        any_changed = true;
        is_restored = is_to_restore(&kinds[i], &now) && sigaction(kinds[i].number, before, NULL) == 0;
        if (is_restored || kinds[i].policy != RESTORED_IF_IGNORED)
            tell(report, "the handler of ", kinds[i].name, is_restored);
        if (!is_restored)
            *before = now;
    }
}

static void check_mask(struct surroundings *surroundings, const struct report *report)
{
    sigset_t now;

    pthread_sigmask(SIG_SETMASK, NULL, &now);
    /* The kernel's part of it. */
    if (memcmp(&now, &surroundings->mask, _NSIG / 8) == 0)
        return;
    for (int number = 1; number < SIGRTMAX; number++)
        if (sigismember(&now, number) == 1 && sigismember(&surroundings->mask, number) == 0) {
            tell(report, "the signal mask", "", pthread_sigmask(SIG_SETMASK, &surroundings->mask, NULL) == 0);
            return;
        }
}

static void check_folder(struct surroundings *surroundings, const struct report *report)
{
    char path[PATH_MAX];
    struct stat now;

    read_folder(path);
    if (strcmp(path, surroundings->folder_path) == 0)
        return;
    /* It may have been renamed. */
    if (surroundings->folder < 0 || stat(".", &now) != 0 ||
        (now.st_dev == surroundings->folder_device && now.st_ino == surroundings->folder_inode))
        return;
    tell(report, "the working directory", "", fchdir(surroundings->folder) == 0);
}

/* One call reads and restores it. */
static void check_umask(struct surroundings *surroundings, const struct report *report)
{
    if (umask(surroundings->umask) != surroundings->umask)
        tell(report, "the umask", "", true);
}

static void check_locale(struct surroundings *surroundings, const struct report *report)
{
    if (strcmp(setlocale(LC_ALL, NULL), surroundings->locale) != 0)
        tell(report, "the locale", "", setlocale(LC_ALL, surroundings->locale) != NULL);
}

/* The entry of the same name. */
static const char *find(char **list, const char *entry)
{
    size_t length = strcspn(entry, "=");

    for (; *list != NULL; list++)
        if (strncmp(*list, entry, length) == 0 && (*list)[length] == '=')
            return *list;
    return NULL;
}

static void tell_variable(const struct report *report, const char *entry)
{
    char name[64];

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(entry, "="), entry);
    for (char *byte = name; *byte != '\0'; byte++)
        if (*byte <= ' ' || *byte > '~')
            *byte = '?';
    tell(report, "the environment variable ", name, false);
}

static void check_environment(struct surroundings *surroundings, const struct report *report)
{
    size_t count = count_of(environ);

    if (count == count_of(surroundings->environment) &&
        memcmp(environ, surroundings->environment, count * sizeof(*environ)) == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        const char *before = find(surroundings->copies, environ[i]);

        if (before == NULL || strcmp(before, environ[i]) != 0)
            tell_variable(report, environ[i]);
    }
    for (char **copy = surroundings->copies; *copy != NULL; copy++)
        if (environ == NULL || find(environ, *copy) == NULL)
            tell_variable(report, *copy);
    if (!take_environment(surroundings))
        abort();
}

void surroundings_check(struct surroundings *surroundings,
                        void (*on_change)(void *context, const char *what, bool is_restored), void *context)
{
    const struct report report = {on_change, context};

    check_signals(surroundings, &report);
    check_mask(surroundings, &report);
    check_folder(surroundings, &report);
    check_umask(surroundings, &report);
    check_locale(surroundings, &report);
    check_environment(surroundings, &report);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The black box. Its first page is mapped and shared; the names behind it are written once. The whole file is
 * allocated before it is mapped, because a store to a page without room on the disk ends in SIGBUS.
 */
#include "crash.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <core/base/frames.h>
#include <core/base/log.h>
#include <core/base/signal_name.h>
#include <sdk/base/memory.h>

#define PAGE_BYTES 4096
#define FILE_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define NAME_MAX_BYTES 255

struct page {
    char magic[8];
    int64_t pid;
    char boot_id[40];
    /* Set while the daemon runs; cleared when it exits on purpose. */
    atomic_uint is_running;
    struct running_box running;
    /* From the crash report. */
    struct box_report {
        atomic_uint is_set;
        uint32_t owner;
        int32_t doing, signal;
        uint32_t is_sent;
        uint64_t address;
    } death;
    /* Behind this page: for each plugin its URI and its file's name, each with a NUL. */
    uint32_t name_bytes;
};

static_assert(sizeof(struct page) <= PAGE_BYTES, "one page is mapped");

static const char magic[8] = "berth-1";

static struct {
    int fd;
    struct page *page;
} box = {.fd = -1};

static enum berth_code fail(const char *path, const char *what, struct berth_error *err)
{
    return berth_error_set(err, BERTH_UNAVAILABLE, "%s: %s: %s", path, what, strerror(errno));
}

static void read_boot_id(char *text, size_t size)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, size - 1) : 0;

    text[length > 0 ? length : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
}

/* The lock is the process's, so that a child that lives on does not keep it. */
static enum berth_code take(const char *path, struct berth_error *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat status;

    box.fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (box.fd < 0)
        return fail(path, "cannot open it", err);
    if (fstat(box.fd, &status) != 0)
        return fail(path, "cannot examine it", err);
    if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() || status.st_nlink != 1 ||
        (status.st_mode & 0077) != 0)
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%s: does not belong to this user alone (mode 0600); remove it", path);
    if (fcntl(box.fd, F_SETLK, &whole) != 0)
        return fail(path, "another daemon uses it", err);
    return BERTH_OK;
}

/* What the previous run left */

struct past {
    struct page page;
    char *names;
    const char *names_end;
};

static bool is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return length > 0 && length <= NAME_MAX_BYTES;
}

static bool read_past(struct past *past)
{
    struct stat status;
    size_t size;

    if (fstat(box.fd, &status) != 0 || status.st_size < PAGE_BYTES ||
        (uint64_t)status.st_size > FILE_BYTES_MAX ||
        pread(box.fd, &past->page, sizeof(past->page), 0) != (ssize_t)sizeof(past->page) ||
        memcmp(past->page.magic, magic, sizeof(magic)) != 0)
        return false;
    size = (size_t)status.st_size - PAGE_BYTES;
    if (past->page.name_bytes < size)
        size = past->page.name_bytes;
    past->page.boot_id[sizeof(past->page.boot_id) - 1] = '\0';
    past->names = memory_allocate(size + 1, 1);
    if (pread(box.fd, past->names, size, PAGE_BYTES) != (ssize_t)size)
        return false;
    past->names_end = past->names + size;
    return true;
}

/* The names of the plugin with this index. */
static bool find_names(const struct past *past, uint32_t index, const char **ret_uri, const char **ret_file)
{
    const char *at = past->names;

    for (uint32_t i = 1; index > 0 && at < past->names_end; i++) {
        const char *file = at + strlen(at) + 1;

        if (file >= past->names_end)
            return false;
        if (i == index) {
            *ret_uri = at;
            *ret_file = file;
            return is_plain(at, strlen(at)) && is_plain(file, strlen(file));
        }
        at = file + strlen(file) + 1;
    }
    return false;
}

static void add_suspect(const struct past *past, uint32_t index, int doing, struct log_names *names,
                        struct box_death *death)
{
    const char *uri, *file;

    if (!find_names(past, index, &uri, &file))
        return;
    if (doing == RUNNING_NOTHING)
        log_names_add(names, "%s (%s)", uri, file);
    else
        log_names_add(names, "%s of %s (%s)", running_doing_name((enum running_doing)doing), uri, file);
    snprintf(death->uri, sizeof(death->uri), "%s", names->count == 1 ? uri : "");
}

static void describe_end(const struct box_report *reported, char *text, size_t size)
{
    if (!reported->is_set)
        snprintf(text, size, "ended without shutting down");
    else if (reported->signal == 0)
        snprintf(text, size, "was ended by exit() or pthread_exit()");
    else if (reported->address != 0)
        snprintf(text, size, "crashed with %s at 0x%" PRIx64, signal_name(reported->signal),
                 reported->address);
    else
        snprintf(text, size, "crashed with %s", signal_name(reported->signal));
}

/*
 * SIGKILL leaves the same trace as _exit(2), and an operator or the kernel may kill a daemon at any time. It
 * counts against a plugin only while the loop did nothing but start that plugin, which is over in a moment.
 */
static bool is_evidence(const struct past *past)
{
    const struct page *page = &past->page;

    if (page->death.is_set)
        return page->death.is_sent == 0;
    return page->running.owner != 0 &&
           (page->running.doing == RUNNING_LOAD || page->running.doing == RUNNING_MIGRATE ||
            page->running.doing == RUNNING_CHECK || page->running.doing == RUNNING_INIT);
}

/* Where nothing was reported, all that ran are suspects. */
static void explain(const struct past *past, struct box_death *death)
{
    const struct page *page = &past->page;
    struct log_names suspects = {0};
    char end[96], boot_id[sizeof(page->boot_id)];
    int doing = page->death.is_set ? page->death.doing : page->running.owner != 0 ? page->running.doing : 0;

    death->uri[0] = '\0';
    if (page->death.is_set) {
        add_suspect(past, page->death.owner, doing, &suspects, death);
    } else {
        add_suspect(past, page->running.owner, doing, &suspects, death);
        for (size_t i = 0; i < RUNNING_BOX_PREPARES; i++) {
            if (page->running.prepares[i] != 0 && suspects.count == 0)
                doing = RUNNING_PREPARE;
            add_suspect(past, page->running.prepares[i], RUNNING_PREPARE, &suspects, death);
        }
    }
    death->counts = death->uri[0] != '\0' && is_evidence(past);
    describe_end(&page->death, end, sizeof(end));
    read_boot_id(boot_id, sizeof(boot_id));
    if (!page->death.is_set && strcmp(boot_id, page->boot_id) != 0) {
        death->uri[0] = '\0';
        death->counts = false;
        snprintf(death->sentence, sizeof(death->sentence),
                 "the previous run (pid %" PRId64
                 ") ended without shutting down; the machine has restarted since",
                 page->pid);
        return;
    }
    snprintf(death->sentence, sizeof(death->sentence), "the previous run (pid %" PRId64 ") %s, %s%s",
             page->pid, end, suspects.count > 0 ? "in " : "while no plugin was being called",
             suspects.count > 0 ? log_names_text(&suspects) : "");
    snprintf(death->what, sizeof(death->what), "%s%s%s",
             !page->death.is_set       ? "ended"
             : page->death.signal != 0 ? signal_name(page->death.signal)
                                       : "exit()",
             doing != RUNNING_NOTHING ? " in " : "",
             doing != RUNNING_NOTHING ? running_doing_name((enum running_doing)doing) : "");
}

/* This run */

static enum berth_code map(const char *path, struct berth_error *err)
{
    int error = ftruncate(box.fd, 0) != 0 ? errno : posix_fallocate(box.fd, 0, PAGE_BYTES);
    struct page *page;

    if (error != 0) {
        errno = error;
        return fail(path, "no room for it", err);
    }
    page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, box.fd, 0);
    if (page == MAP_FAILED)
        return fail(path, "cannot map it", err);
    page->pid = getpid();
    read_boot_id(page->boot_id, sizeof(page->boot_id));
    page->is_running = 1;
    memcpy(page->magic, magic, sizeof(magic));
    box.page = page;
    return BERTH_OK;
}

enum berth_code box_open(const char *state, bool *ret_has_died, struct box_death *ret_death,
                         struct berth_error *err)
{
    char *path = memory_format("%s/black-box", state);
    struct past past = {.names = NULL};
    enum berth_code code = take(path, err);

    *ret_has_died = false;
    if (code == BERTH_OK && read_past(&past) && past.page.is_running) {
        *ret_has_died = true;
        explain(&past, ret_death);
    }
    free(past.names);
    if (code == BERTH_OK)
        code = map(path, err);
    if (code != BERTH_OK)
        box_close();
    free(path);
    return code;
}

static void write_names(FILE *names)
{
    for (uint32_t i = 1; i <= running_count(); i++) {
        const struct running_plugin *plugin = running_get(i);

        fprintf(names, "%s%c%s%c", plugin->uri, 0, frames_file_name(plugin->path), 0);
    }
}

void box_begin(void)
{
    char *text = NULL;
    size_t length = 0;
    FILE *names;

    if (box.page == NULL)
        return;
    names = memory_or_abort(open_memstream(&text, &length));
    write_names(names);
    if (fclose(names) != 0)
        abort();
    if (length <= FILE_BYTES_MAX - PAGE_BYTES && pwrite(box.fd, text, length, PAGE_BYTES) == (ssize_t)length)
        box.page->name_bytes = (uint32_t)length;
    free(text);
    running_use_box(&box.page->running);
}

void box_note_death(const struct crash_death *death)
{
    struct page *page = box.page;

    if (page == NULL || page->death.is_set)
        return;
    page->death.owner = death->plugin != NULL ? death->plugin->index : 0;
    page->death.doing = death->doing;
    page->death.signal = death->signal;
    page->death.is_sent = death->is_sent;
    page->death.address = death->address;
    page->death.is_set = 1;
}

void box_note_end(void)
{
    if (box.page != NULL)
        box.page->is_running = 0;
}

void box_close(void)
{
    running_use_box(NULL);
    box_note_end();
    /* A thread that is stuck in a plugin may still write to the page: it stays mapped. */
    if (box.fd >= 0)
        close(box.fd);
    box.page = NULL;
    box.fd = -1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Writes what berth-worker has to know to confine a program, into memory that nobody can change. */
#include "launched.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <unistd.h>

#include <core/wire/start.h>

#include <sdk/base/memory.h>
#include <sdk/base/write_all.h>

#include "limits.h"
#include "promises.h"
#include "worker.h"

/* Whoever starts programs moves descriptors with low numbers. */
#define FIRST_DESCRIPTOR 16

struct launched {
    LIST_ENTRY(launched) link;
    char *uri, *program;
    int input;
    uid_t user;
    struct limits limits;
    struct berth_isolation shown;
    struct promises promises;
};

/* The loop's thread only. */
static LIST_HEAD(, launched) all = LIST_HEAD_INITIALIZER(all);

static enum berth_code check_required(const struct launched *launched, const struct sandbox_wanted *wanted,
                                      struct berth_error *err)
{
    const struct sandbox_item *items = launched->promises.report.items;

    for (size_t i = 0; i < SANDBOX_PROMISES && wanted->is_required; i++)
        if (items[i].verdict == SANDBOX_MISSING)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION, "sandbox is required, but %s: %s",
                                   items[i].name, items[i].text);
    return BERTH_OK;
}

static enum berth_code write_input(struct launched *launched, const struct worker_start *start,
                                   struct berth_error *err)
{
    struct packet_writer writer = {.bytes = NULL};
    int fd = memfd_create("berth-sandbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    enum berth_code code = BERTH_OK;

    worker_start_write(&writer, start);
    if (fd < 0 || writer.is_bad || !berth_write_all(fd, writer.bytes, writer.length) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot write down its sandbox: %s",
                               strerror(errno));
    else
        launched->input = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR);
    if (code == BERTH_OK && launched->input < 0)
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot write down its sandbox: %s",
                               strerror(errno));
    packet_writer_finish(&writer);
    if (fd >= 0)
        close(fd);
    return code;
}

static enum berth_code fill(struct launched *launched, const struct isolated_options *options,
                            const struct confinement *confinement, struct berth_error *err)
{
    const struct sandbox_wanted *wanted = &confinement->wanted;
    struct worker_start start = {.daemon_version = "",
                                 .daemon_revision = "",
                                 .daemon_root = options->root,
                                 .daemon_state = options->state,
                                 .daemon_pid = getpid(),
                                 .sandbox = *wanted};
    enum berth_code code;

    limits_prepare();
    sandbox_kernel_ask(&start.kernel);
    promises_judge(&launched->promises, wanted, &start.kernel);
    code = check_required(launched, wanted, err);
    if (code == BERTH_OK)
        code = confinement_give_folders(confinement, err);
    if (code == BERTH_OK)
        code = limits_begin(&launched->limits, wanted, err);
    start.group = launched->limits.group;
    if (code == BERTH_OK)
        code = write_input(launched, &start, err);
    launched->shown = promises_show(&launched->promises);
    launched->shown.launcher = launched->program;
    launched->shown.launcher_input = launched->input;
    return code;
}

enum berth_code launched_create(const struct isolated_options *options, struct launched **ret_launched,
                                struct berth_error *err)
{
    struct launched *launched = memory_allocate(1, sizeof(*launched));
    struct confinement confinement;
    enum berth_code code = confinement_init(&confinement, options->sharers, options->sharer_count,
                                            options->root, options->state, err);

    launched->uri = memory_copy(options->plugin->uri);
    launched->program = worker_find_program();
    launched->input = -1;
    LIST_INSERT_HEAD(&all, launched, link);
    if (code == BERTH_OK)
        code = fill(launched, options, &confinement, err);
    launched->user = confinement.wanted.user;
    confinement_finish(&confinement);
    if (code == BERTH_OK)
        *ret_launched = launched;
    else
        launched_destroy(launched);
    return code;
}

uid_t launched_user(const struct launched *launched)
{
    return launched->user;
}

void launched_destroy(struct launched *launched)
{
    if (launched == NULL)
        return;
    LIST_REMOVE(launched, link);
    limits_end(&launched->limits);
    if (launched->input >= 0)
        close(launched->input);
    free(launched->uri);
    free(launched->program);
    free(launched);
}

const struct berth_isolation *launched_show(const char *uri)
{
    const struct launched *launched;

    LIST_FOREACH(launched, &all, link)
    if (strcmp(launched->uri, uri) == 0)
        return &launched->shown;
    return NULL;
}

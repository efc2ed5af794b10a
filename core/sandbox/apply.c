/* SPDX-License-Identifier: Apache-2.0 */
/* Applies a sandbox to the calling process. */
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filter.h"
#include "keeper.h"
#include "landlock.h"
#include "namespaces.h"

/* Standard input, output and error, and the connection to the daemon. */
#define FIRST_FOREIGN_DESCRIPTOR 4
#define DEFAULT_DESCRIPTORS 1024u
/* No kernel gives a process more, as set by default (fs.nr_open). */
#define DESCRIPTORS_MAX (1u << 20)

static enum berth_code fail(struct berth_error *err, const char *what)
{
    return berth_error_set(err, BERTH_INTERNAL, "sandbox: cannot %s: %s", what, strerror(errno));
}

/* All from this one on, also by a kernel before 5.9. */
static bool close_foreign(int first)
{
    struct rlimit limit;

    if (close_range((unsigned)first, ~0u, 0) == 0)
        return true;
    if (errno != ENOSYS || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    for (rlim_t fd = (rlim_t)first; fd < limit.rlim_max && fd < DESCRIPTORS_MAX; fd++)
        close((int)fd);
    return true;
}

/* Says the first promise that is missing. */
static enum berth_code check_required(const struct sandbox_wanted *wanted,
                                      const struct sandbox_kernel *kernel, struct berth_error *err)
{
    struct sandbox_report report;

    sandbox_judge(wanted, kernel, &report);
    for (size_t i = 0; i < SANDBOX_PROMISES && wanted->is_required; i++)
        if (report.items[i].verdict == SANDBOX_MISSING)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION, "sandbox is required, but %s: %s",
                                   report.items[i].name, report.items[i].text);
    return BERTH_OK;
}

static bool set_limit(int resource, uint64_t value)
{
    struct rlimit now;
    struct rlimit limit = {.rlim_cur = value, .rlim_max = value};

    if (getrlimit(resource, &now) != 0)
        return false;
    /* Never above what was inherited. */
    if (limit.rlim_max > now.rlim_max)
        limit.rlim_cur = limit.rlim_max = now.rlim_max;
    return setrlimit(resource, &limit) == 0;
}

static enum berth_code limit_resources(const struct sandbox_wanted *wanted,
                                       const struct sandbox_kernel *kernel, struct berth_error *err)
{
    if (!set_limit(RLIMIT_NOFILE, wanted->descriptors > 0 ? wanted->descriptors : DEFAULT_DESCRIPTORS))
        return fail(err, "limit descriptors");
    /* What a plugin has in memory is not written to a file that others may read. */
    if (!set_limit(RLIMIT_CORE, 0))
        return fail(err, "turn core dumps off");
    if (wanted->memory_bytes > 0 && !set_limit(RLIMIT_DATA, wanted->memory_bytes))
        return fail(err, "limit memory");
    /* This counts all processes of the user, and those of root not at all: a group counts better. */
    if (wanted->tasks > 0 && (kernel->group_limits & CONTROL_GROUP_TASKS) == 0 &&
        !set_limit(RLIMIT_NPROC, wanted->tasks))
        return fail(err, "limit tasks");
    if (!set_limit(RLIMIT_MSGQUEUE, 0) || !set_limit(RLIMIT_RTPRIO, 0))
        return fail(err, "limit queues and priorities");
    return BERTH_OK;
}

static enum berth_code change_user(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                                   struct berth_error *err)
{
    if (!wanted->has_user || !kernel->can_set_user)
        return BERTH_OK;
    if (setgroups(0, NULL) != 0)
        return fail(err, "leave the daemon's groups");
    if (setresgid(wanted->group, wanted->group, wanted->group) != 0)
        return fail(err, "change the group");
    if (setresuid(wanted->user, wanted->user, wanted->user) != 0)
        return fail(err, "change the user");
    return BERTH_OK;
}

static enum berth_code drop_capabilities(struct berth_error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    /* The bounding set is emptied where that is allowed; without rights to gain, it grants nothing. */
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) != 0)
        return fail(err, "drop capabilities");
    return BERTH_OK;
}

/* After the change of user, which clears it. The parent may have died before. */
static enum berth_code die_with(pid_t parent, struct berth_error *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return fail(err, "tie its life to the daemon's");
    if (getppid() != parent)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "sandbox: the daemon is gone");
    return BERTH_OK;
}

struct rights {
    const struct sandbox_wanted *wanted;
    const struct sandbox_kernel *kernel;
};

static enum berth_code weaken(const void *context, struct berth_error *err)
{
    const struct rights *rights = context;
    enum berth_code code = change_user(rights->wanted, rights->kernel, err);

    return code == BERTH_OK ? drop_capabilities(err) : code;
}

static enum berth_code confine(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                               int ruleset, pid_t parent, int report, struct berth_error *err)
{
    enum berth_code code = weaken(&(struct rights){wanted, kernel}, err);

    if (code == BERTH_OK)
        code = die_with(parent, err);
    /* Nobody of the same user may trace it. */
    if (code == BERTH_OK && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        code = fail(err, "make it untraceable");
    if (code == BERTH_OK && ruleset >= 0)
        code = landlock_restrict(ruleset, err);
    else if (ruleset >= 0)
        close(ruleset);
    if (code == BERTH_OK && kernel->has_seccomp)
        code = filter_apply(wanted, sandbox_allows_modes(wanted, kernel), report, err);
    if (report >= 0)
        close(report);
    return code;
}

enum berth_code sandbox_apply(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                              pid_t parent, int report, struct berth_error *err)
{
    enum berth_code code = check_required(wanted, kernel, err);
    int ruleset = -1;

    if (code != BERTH_OK)
        return code;
    if (!close_foreign(report < 0 ? FIRST_FOREIGN_DESCRIPTOR : report + 1))
        return fail(err, "close inherited descriptors");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(err, "set no_new_privs");
    /* Paths are opened as the daemon: the user it changes to may be unable to reach them. */
    if (sandbox_has_namespaces(wanted, kernel))
        code = namespaces_enter(wanted, kernel, err);
    if (code == BERTH_OK && sandbox_has_pid_namespace(wanted, kernel)) {
        code = keeper_enter(parent, weaken, &(struct rights){wanted, kernel}, err);
        parent = KEEPER_INIT;
    }
    if (code == BERTH_OK && kernel->landlock_abi > 0)
        code = landlock_create(wanted, kernel->landlock_abi, &ruleset, err);
    if (code == BERTH_OK)
        code = limit_resources(wanted, kernel, err);
    if (code != BERTH_OK) {
        if (ruleset >= 0)
            close(ruleset);
        return code;
    }
    return confine(wanted, kernel, ruleset, parent, report, err);
}

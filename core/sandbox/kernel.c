/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the running kernel what a sandbox can promise here. */
#include "sandbox.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "landlock.h"
#include "namespaces.h"

static bool has_capability(int capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

/* Asked for an action that every kernel with filters has. */
static bool has_filters(void)
{
    uint32_t action = SECCOMP_RET_ERRNO;

    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

void sandbox_kernel_ask(struct sandbox_kernel *ret_kernel)
{
    static struct sandbox_kernel known;
    static bool is_known;

    if (!is_known) {
        bool is_privileged = has_capability(CAP_SYS_ADMIN);

        known = (struct sandbox_kernel){
            .landlock_abi = landlock_abi(),
            .has_seccomp = has_filters(),
            .can_set_user = has_capability(CAP_SETUID) && has_capability(CAP_SETGID),
            .can_make_namespaces = namespaces_probe(!is_privileged),
            .needs_user_namespace = !is_privileged,
            .user = geteuid(),
            .group = getegid(),
        };
        is_known = true;
    }
    *ret_kernel = known;
    ret_kernel->group_limits = control_groups_own()->limits;
}

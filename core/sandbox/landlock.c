/* SPDX-License-Identifier: Apache-2.0 */
/* Builds a Landlock ruleset from a wanted sandbox. */
#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "namespaces.h"

/* The system calls have the same numbers on every architecture. */
#define CALL_CREATE_RULESET 444
#define CALL_ADD_RULE 445
#define CALL_RESTRICT_SELF 446
#define CREATE_VERSION 1u

#define RULE_PATH_BENEATH 1
#define RULE_NET_PORT 2

#define FS_EXECUTE (UINT64_C(1) << 0)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_MAKE_CHAR (UINT64_C(1) << 6)
#define FS_MAKE_BLOCK (UINT64_C(1) << 11)
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
/* Bits 0 to 12 came with the first ABI. */
#define FS_FIRST ((UINT64_C(1) << 13) - 1)
/* What applies to a file that is no directory. */
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)

#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

#define ABI_REFER 2
#define ABI_TRUNCATE 3
#define ABI_NET 4
#define ABI_IOCTL_DEV 5
#define ABI_SCOPE 6

struct ruleset_attributes {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

struct path_rule {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

struct port_rule {
    uint64_t allowed_access;
    uint64_t port;
};

static uint64_t handled_files(int abi)
{
    uint64_t handled = FS_FIRST;

    if (abi >= ABI_REFER)
        handled |= FS_REFER;
    if (abi >= ABI_TRUNCATE)
        handled |= FS_TRUNCATE;
    if (abi >= ABI_IOCTL_DEV)
        handled |= FS_IOCTL_DEV;
    return handled;
}

static uint64_t handled_ports(const struct sandbox_wanted *wanted, int abi)
{
    return abi >= ABI_NET && wanted->network != SANDBOX_NETWORK_ALL ? NET_BIND_TCP | NET_CONNECT_TCP : 0;
}

int landlock_abi(void)
{
    long abi = syscall(CALL_CREATE_RULESET, NULL, 0, CREATE_VERSION);

    return abi > 0 ? (int)abi : 0;
}

/* The kernel takes a longer struct than it knows only if the rest is 0; an older one does not know the rest.
 */
static int create_ruleset(const struct sandbox_wanted *wanted, int abi)
{
    struct ruleset_attributes attributes = {
        .handled_access_fs = handled_files(abi),
        .handled_access_net = handled_ports(wanted, abi),
        .scoped =
            abi >= ABI_SCOPE
                ? SCOPE_SIGNAL | (wanted->network == SANDBOX_NETWORK_ALL ? 0 : SCOPE_ABSTRACT_UNIX_SOCKET)
                : 0,
    };
    size_t size = abi >= ABI_SCOPE ? sizeof(attributes)
                  : abi >= ABI_NET ? offsetof(struct ruleset_attributes, scoped)
                                   : offsetof(struct ruleset_attributes, handled_access_net);

    return (int)syscall(CALL_CREATE_RULESET, &attributes, size, 0);
}

/* Symbolic links are followed: what is behind the path is what may be reached, also by its other names. */
static int add_path(int ruleset, const char *path, uint64_t access)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    struct path_rule rule = {.allowed_access = access, .parent_fd = fd};
    struct stat status;
    int result;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode))
        rule.allowed_access &= FS_OF_FILES;
    result = syscall(CALL_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) == 0 ? 0 : -errno;
    close(fd);
    return result;
}

static enum berth_code add_paths(int ruleset, const char *const *paths, size_t count, uint64_t access,
                                 const char *what, struct berth_error *err)
{
    for (size_t i = 0; i < count; i++) {
        int error = add_path(ruleset, paths[i], access);

        if (error != 0)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION, "sandbox: cannot allow %s of %s: %s", what,
                                   paths[i], strerror(-error));
    }
    return BERTH_OK;
}

static enum berth_code add_files(int ruleset, const struct sandbox_wanted *wanted, int abi,
                                 struct berth_error *err)
{
    const uint64_t reads = FS_READ_FILE | FS_READ_DIR | (wanted->runs_program ? FS_EXECUTE : 0);
    const uint64_t never = FS_EXECUTE | FS_MAKE_CHAR | FS_MAKE_BLOCK | FS_IOCTL_DEV;
    enum berth_code code;

    for (size_t i = 0; sandbox_read_always[i] != NULL; i++) {
        int error = add_path(ruleset, sandbox_read_always[i], reads);

        if (error != 0 && error != -ENOENT && error != -EACCES && error != -ENOTDIR)
            return berth_error_set(err, BERTH_INTERNAL, "sandbox: cannot allow reading of %s: %s",
                                   sandbox_read_always[i], strerror(-error));
    }
    code = add_paths(ruleset, (const char *const[]){"/dev/null"}, 1,
                     FS_READ_FILE | FS_WRITE_FILE | (handled_files(abi) & FS_TRUNCATE), "writing", err);
    if (code == BERTH_OK)
        code = add_paths(ruleset, wanted->read, wanted->read_count, reads, "reading", err);
    if (code == BERTH_OK)
        code = add_paths(ruleset, wanted->write, wanted->write_count, handled_files(abi) & ~never, "writing",
                         err);
    return code;
}

static enum berth_code add_ports(int ruleset, const uint16_t *ports, size_t count, uint64_t access,
                                 struct berth_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct port_rule rule = {.allowed_access = access, .port = ports[i]};

        if (syscall(CALL_ADD_RULE, ruleset, RULE_NET_PORT, &rule, 0) != 0)
            return berth_error_set(err, BERTH_INTERNAL, "sandbox: cannot allow port %u: %s", ports[i],
                                   strerror(errno));
    }
    return BERTH_OK;
}

enum berth_code landlock_create(const struct sandbox_wanted *wanted, int abi, int *ret_fd,
                                struct berth_error *err)
{
    int ruleset = create_ruleset(wanted, abi);
    enum berth_code code;

    if (ruleset < 0)
        return berth_error_set(err, BERTH_INTERNAL, "sandbox: cannot create a Landlock ruleset (ABI %d): %s",
                               abi, strerror(errno));
    code = add_files(ruleset, wanted, abi, err);
    if (code == BERTH_OK && handled_ports(wanted, abi) != 0 && wanted->network == SANDBOX_NETWORK_TCP) {
        code = add_ports(ruleset, wanted->connect_ports, wanted->connect_port_count, NET_CONNECT_TCP, err);
        if (code == BERTH_OK)
            code = add_ports(ruleset, wanted->bind_ports, wanted->bind_port_count, NET_BIND_TCP, err);
    }
    if (code != BERTH_OK) {
        close(ruleset);
        return code;
    }
    *ret_fd = ruleset;
    return BERTH_OK;
}

enum berth_code landlock_restrict(int fd, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    if (syscall(CALL_RESTRICT_SELF, fd, 0) != 0)
        code = berth_error_set(err, BERTH_INTERNAL, "sandbox: Landlock refused to restrict the process: %s",
                               strerror(errno));
    close(fd);
    return code;
}

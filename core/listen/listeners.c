/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One claim for each address that plugins listen on. A claim belongs to a plugin, and is used by generations
 * of it; it outlives them until a sweep. Plugins get duplicates of the descriptor: all share one queue of
 * waiting connections, which the claim keeps open.
 */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include <berth/address.h>

#include <core/base/log.h>
#include <sdk/base/memory.h>
#include <sdk/base/tcp_socket.h>
#include <sdk/base/unix_socket.h>

#include "inherited.h"
#include "kept.h"

#define CLAIMS_MAX 1024
#define USERS_MAX 64

struct claim {
    LIST_ENTRY(claim) link;
    /** The path, or the TCP address as the kernel would write the configured one. */
    char *address;
    char *uri;
    int fd;
    bool is_unix;
    /** By the service manager, whose file it is. */
    bool is_given;
    /** Of a unix socket that is ours. */
    struct unix_socket place;
    /** Its name in the service manager's store; "": it is not there. */
    char kept_name[KEPT_NAME_MAX];
    const void *users[USERS_MAX];
    size_t user_count;
    /** It was in use at a sweep, so that it is not of a change that is under way. */
    bool is_settled;
};

struct listeners {
    LIST_HEAD(, claim) claims;
    size_t claim_count;
    /** Sockets of the service manager that nobody has asked for. */
    struct inherited *inherited;
    size_t inherited_count;
    listeners_notify *notify;
    /** How many sockets the service manager keeps, and how many of them it has. */
    unsigned kept_max, kept_count;
    bool is_stopping;
};

/* What a plugin asks for. */
struct wish {
    const char *uri;
    const struct berth_listen *request;
    bool is_unix;
    /** A TCP port that the kernel chooses: then each plugin has its own socket. */
    bool is_any_port;
    struct sockaddr_storage ip;
    char address[INHERITED_ADDRESS_MAX];
};

struct listeners *listeners_create(listeners_notify *notify)
{
    struct listeners *listeners = memory_allocate(1, sizeof(*listeners));

    LIST_INIT(&listeners->claims);
    listeners->notify = notify;
    listeners->kept_max = kept_max();
    listeners->inherited_count = inherited_take(&listeners->inherited);
    for (size_t i = 0; i < listeners->inherited_count; i++)
        listeners->kept_count += kept_parse(listeners->inherited[i].name, &(struct kept){0});
    return listeners;
}

void listeners_hide(void)
{
    inherited_hide();
}

static enum berth_code read_wish(const char *uri, const struct berth_listen *request, struct wish *ret_wish,
                                 struct berth_error *err)
{
    struct wish wish = {.uri = uri, .request = request};
    struct berth_address parsed;
    enum berth_code code;

    if (request->address == NULL || request->address[0] == '\0')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "cannot listen: the address is empty");
    wish.is_unix = berth_address_is_path(request->address);
    if (wish.is_unix) {
        const char *path = berth_address_skip_scheme(request->address, "unix:");

        code = berth_address_check_path(path, err);
        if (code != BERTH_OK)
            return code;
        snprintf(wish.address, sizeof(wish.address), "%s", path);
    } else {
        code = berth_address_parse_listener(request->address, &parsed, err);
        if (code != BERTH_OK)
            return code;
        wish.ip = parsed.ip;
        wish.is_any_port = berth_address_port(&parsed.ip) == 0;
        tcp_address_format(&parsed.ip, wish.address);
    }
    *ret_wish = wish;
    return BERTH_OK;
}

static bool is_met(const struct claim *claim, const struct wish *wish)
{
    return claim->is_unix == wish->is_unix && strcmp(claim->address, wish->address) == 0 &&
           (!wish->is_any_port || strcmp(claim->uri, wish->uri) == 0);
}

static struct claim *find_claim(const struct listeners *listeners, const struct wish *wish)
{
    struct claim *claim;

    LIST_FOREACH(claim, &listeners->claims, link)
    if (is_met(claim, wish))
        return claim;
    return NULL;
}

/* A path of ours is said by the kernel as it was bound, before its socket was renamed. */
static bool has_address(const struct inherited *inherited, const struct wish *wish)
{
    if (inherited->is_unix != wish->is_unix)
        return false;
    return wish->is_unix ? unix_socket_is_bound_at(inherited->address, wish->address)
                         : strcmp(inherited->address, wish->address) == 0;
}

/* By what our own name says, then by its address, then by the name that an operator gave it. */
static struct inherited *find_inherited(const struct listeners *listeners, const struct wish *wish)
{
    uint64_t hash = kept_hash(wish->uri, wish->address);
    struct kept kept;

    for (size_t i = 0; i < listeners->inherited_count; i++)
        if (kept_parse(listeners->inherited[i].name, &kept) && kept.hash == hash &&
            listeners->inherited[i].is_unix == wish->is_unix)
            return &listeners->inherited[i];
    for (size_t i = 0; i < listeners->inherited_count; i++)
        if (has_address(&listeners->inherited[i], wish))
            return &listeners->inherited[i];
    for (size_t i = 0; i < listeners->inherited_count; i++)
        if (listeners->inherited[i].is_unix == wish->is_unix &&
            (strcmp(listeners->inherited[i].name, wish->uri) == 0 ||
             strcmp(listeners->inherited[i].name, wish->address) == 0))
            return &listeners->inherited[i];
    return NULL;
}

static void forget_inherited(struct listeners *listeners, struct inherited *inherited)
{
    *inherited = listeners->inherited[--listeners->inherited_count];
}

static struct unix_socket_options place_of(const struct wish *wish)
{
    const struct berth_listen *request = wish->request;

    return (struct unix_socket_options){
        .path = wish->address,
        .backlog = request->backlog < INT32_MAX ? (int)request->backlog : INT32_MAX,
        .mode = (mode_t)(request->mode & 07777),
        .set_owner = request->set_owner,
        .uid = (uid_t)request->uid,
        .gid = (gid_t)request->gid,
    };
}

/* Its mode and owner are those of the socket unit. */
static void compare_given(const struct claim *claim, const struct wish *wish)
{
    struct unix_socket_options place = place_of(wish);
    mode_t wanted = place.mode != 0 ? place.mode : 0660;
    struct stat status;

    if (lstat(claim->address, &status) == 0 && (status.st_mode & 07777) != wanted)
        log_plugin(BERTH_LOG_WARN, wish->uri,
                   "the service manager has opened %s with mode %04o instead of %04o; set SocketMode= in its "
                   "socket unit",
                   claim->address, (unsigned)(status.st_mode & 07777), (unsigned)wanted);
}

static void withdraw(struct listeners *listeners, const char *name)
{
    if (name[0] == '\0' || listeners->notify == NULL)
        return;
    kept_remove(listeners->notify, name);
    listeners->kept_count--;
}

/* An earlier run of the daemon has left it. @return false, closed, if its path has been taken from it. */
static bool take_kept(struct listeners *listeners, struct claim *claim, const struct inherited *inherited,
                      const struct kept *kept, const struct wish *wish)
{
    struct unix_socket_options place = place_of(wish);
    struct berth_error err;
    enum berth_code code = BERTH_OK;

    if (claim->is_unix)
        code = unix_socket_take_over(&claim->place, wish->address, kept->device, kept->inode, &err);
    if (code == BERTH_OK && claim->is_unix) {
        code = unix_socket_dress(&claim->place, &place, &err);
        if (code != BERTH_OK)
            unix_socket_release(&claim->place);
    }
    if (code == BERTH_OK) {
        claim->fd = inherited->fd;
        kept_format(kept, claim->kept_name);
        return true;
    }
    log_plugin(BERTH_LOG_WARN, wish->uri, "not using the socket that was kept for %s: %s", wish->address,
               err.message);
    close(inherited->fd);
    withdraw(listeners, inherited->name);
    return false;
}

/* @return false if the service manager has none that can be used. */
static bool take_inherited(struct listeners *listeners, struct claim *claim, const struct wish *wish)
{
    struct inherited *found = find_inherited(listeners, wish);
    struct inherited inherited;
    struct kept kept;

    if (found == NULL)
        return false;
    inherited = *found;
    forget_inherited(listeners, found);
    if (kept_parse(inherited.name, &kept)) {
        if (!take_kept(listeners, claim, &inherited, &kept, wish))
            return false;
    } else {
        claim->fd = inherited.fd;
        claim->is_given = true;
        if (claim->is_unix)
            compare_given(claim, wish);
    }
    if (claim->is_given)
        log_plugin(BERTH_LOG_INFO, wish->uri, "using the socket from the service manager address=%s",
                   inherited.address);
    else
        log_plugin(BERTH_LOG_INFO, wish->uri, "using the socket from the previous run address=%s",
                   wish->address);
    return true;
}

static enum berth_code open_socket(struct claim *claim, const struct wish *wish, struct berth_error *err)
{
    struct unix_socket_options place = place_of(wish);

    return wish->is_unix
               ? unix_socket_claim(&claim->place, &place, &claim->fd, err)
               : tcp_socket_listen(&wish->ip, wish->request->address, place.backlog, &claim->fd, err);
}

static void keep(struct listeners *listeners, struct claim *claim)
{
    struct kept kept = {.hash = kept_hash(claim->uri, claim->address)};

    if (listeners->notify == NULL || listeners->kept_count >= listeners->kept_max)
        return;
    if (claim->is_unix) {
        kept.device = claim->place.device;
        kept.inode = claim->place.inode;
    }
    kept_format(&kept, claim->kept_name);
    if (kept_add(listeners->notify, claim->kept_name, claim->fd))
        listeners->kept_count++;
    else
        claim->kept_name[0] = '\0';
}

static void free_claim(struct claim *claim)
{
    free(claim->address);
    free(claim->uri);
    free(claim);
}

static enum berth_code make_claim(struct listeners *listeners, const struct wish *wish,
                                  struct claim **ret_claim, struct berth_error *err)
{
    struct claim *claim;
    enum berth_code code;

    if (listeners->claim_count >= CLAIMS_MAX)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "cannot listen on %s: plugins listen on %d addresses already", wish->address,
                               CLAIMS_MAX);
    claim = memory_allocate(1, sizeof(*claim));
    claim->address = memory_copy(wish->address);
    claim->uri = memory_copy(wish->uri);
    claim->is_unix = wish->is_unix;
    if (!take_inherited(listeners, claim, wish)) {
        code = open_socket(claim, wish, err);
        if (code != BERTH_OK) {
            free_claim(claim);
            return code;
        }
        keep(listeners, claim);
    }
    LIST_INSERT_HEAD(&listeners->claims, claim, link);
    listeners->claim_count++;
    *ret_claim = claim;
    return BERTH_OK;
}

/* Nobody used it, or this plugin does: it may want another mode, and have another URI. */
static enum berth_code pass_claim(struct claim *claim, const struct wish *wish, struct berth_error *err)
{
    struct unix_socket_options place = place_of(wish);

    if (strcmp(claim->uri, wish->uri) != 0) {
        if (claim->user_count > 0)
            return berth_error_set(err, BERTH_ALREADY_EXISTS,
                                   "cannot listen on %s: %s already listens there; choose another address",
                                   wish->address, claim->uri);
        free(claim->uri);
        claim->uri = memory_copy(wish->uri);
    }
    if (!claim->is_unix)
        return BERTH_OK;
    if (!claim->is_given)
        return unix_socket_dress(&claim->place, &place, err);
    compare_given(claim, wish);
    return BERTH_OK;
}

/*
 * Somebody has removed the path or put another file there: nobody can reach the socket, so a new one takes
 * its place, if the path is free. Whoever has the old one keeps its descriptor.
 */
static enum berth_code renew_claim(struct listeners *listeners, struct claim *claim, const struct wish *wish,
                                   struct berth_error *err)
{
    enum berth_code code;

    close(claim->fd);
    withdraw(listeners, claim->kept_name);
    claim->kept_name[0] = '\0';
    unix_socket_release(&claim->place);
    code = open_socket(claim, wish, err);
    if (code == BERTH_OK) {
        log_plugin(BERTH_LOG_WARN, wish->uri, "the socket had lost its path; opened another one address=%s",
                   wish->address);
        keep(listeners, claim);
        return BERTH_OK;
    }
    LIST_REMOVE(claim, link);
    listeners->claim_count--;
    free_claim(claim);
    return code;
}

static bool is_user(const struct claim *claim, const void *owner)
{
    for (size_t i = 0; i < claim->user_count; i++)
        if (claim->users[i] == owner)
            return true;
    return false;
}

static enum berth_code add_user(struct claim *claim, const void *owner, int *ret_fd, struct berth_error *err)
{
    int fd = -1;

    if (!is_user(claim, owner) && claim->user_count == USERS_MAX)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot listen on %s: it has %d users already",
                               claim->address, USERS_MAX);
    if (ret_fd != NULL) {
        fd = fcntl(claim->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot listen on %s: %s", claim->address,
                                   strerror(errno));
        *ret_fd = fd;
    }
    if (!is_user(claim, owner))
        claim->users[claim->user_count++] = owner;
    return BERTH_OK;
}

enum berth_code listeners_listen(struct listeners *listeners, const void *owner, const char *uri,
                                 const struct berth_listen *request, int *ret_fd, struct berth_error *err)
{
    struct berth_listen whole = {0};
    struct claim *claim;
    struct wish wish;
    enum berth_code code;

    if (request == NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "cannot listen: the request is NULL");
    memcpy(&whole, request, request->size < sizeof(whole) ? request->size : sizeof(whole));
    code = read_wish(uri, &whole, &wish, err);
    if (code != BERTH_OK)
        return code;
    claim = find_claim(listeners, &wish);
    code = claim != NULL ? pass_claim(claim, &wish, err) : make_claim(listeners, &wish, &claim, err);
    if (code == BERTH_NOT_FOUND && claim != NULL)
        code = renew_claim(listeners, claim, &wish, err);
    return code == BERTH_OK ? add_user(claim, owner, ret_fd, err) : code;
}

static void close_claim(struct listeners *listeners, struct claim *claim)
{
    bool is_left = listeners->is_stopping && claim->kept_name[0] != '\0';

    close(claim->fd);
    if (!is_left)
        withdraw(listeners, claim->kept_name);
    if (claim->is_unix && !claim->is_given)
        (is_left ? unix_socket_leave : unix_socket_release)(&claim->place);
    LIST_REMOVE(claim, link);
    listeners->claim_count--;
    free_claim(claim);
}

/* What the service manager holds stays open for the next run, whatever we do. */
static bool is_to_close_at_once(const struct listeners *listeners, const struct claim *claim)
{
    return listeners->is_stopping && claim->user_count == 0 && claim->kept_name[0] == '\0';
}

static void drop_user(struct listeners *listeners, struct claim *claim, const void *owner)
{
    for (size_t i = 0; i < claim->user_count; i++)
        if (claim->users[i] == owner) {
            claim->users[i] = claim->users[--claim->user_count];
            break;
        }
    if (is_to_close_at_once(listeners, claim))
        close_claim(listeners, claim);
}

static struct claim *next_claim(struct claim *claim)
{
    return LIST_NEXT(claim, link);
}

void listeners_unlisten(struct listeners *listeners, const void *owner, const char *address)
{
    const struct berth_listen request = {.address = address};
    struct claim *claim, *next;
    struct wish wish;

    if (read_wish("", &request, &wish, NULL) != BERTH_OK)
        return;
    for (claim = LIST_FIRST(&listeners->claims); claim != NULL; claim = next) {
        next = next_claim(claim);
        if (claim->is_unix == wish.is_unix && strcmp(claim->address, wish.address) == 0 &&
            is_user(claim, owner))
            drop_user(listeners, claim, owner);
    }
}

void listeners_release(struct listeners *listeners, const void *owner)
{
    struct claim *claim, *next;

    for (claim = LIST_FIRST(&listeners->claims); claim != NULL; claim = next) {
        next = next_claim(claim);
        drop_user(listeners, claim, owner);
    }
}

/* Nobody listens where an earlier run did: the file goes too, if it is still that one's. */
static void drop_kept(struct listeners *listeners, const struct inherited *inherited, const struct kept *kept)
{
    char path[INHERITED_ADDRESS_MAX];
    struct unix_socket place;
    size_t length;

    snprintf(path, sizeof(path), "%s", inherited->address);
    length = strlen(path);
    if (inherited->is_unix && length > 1 && path[length - 1] == '~') {
        path[length - 1] = '\0';
        if (unix_socket_take_over(&place, path, kept->device, kept->inode, NULL) == BERTH_OK)
            unix_socket_release(&place);
    }
    withdraw(listeners, inherited->name);
    log_line(BERTH_LOG_INFO, "closing %s: no plugin listens there", path);
}

static void drop_inherited(struct listeners *listeners)
{
    while (listeners->inherited_count > 0) {
        const struct inherited *inherited = &listeners->inherited[--listeners->inherited_count];
        struct kept kept;

        close(inherited->fd);
        if (kept_parse(inherited->name, &kept))
            drop_kept(listeners, inherited, &kept);
        else
            log_line(BERTH_LOG_WARN,
                     "closing socket %s from the service manager (%s): no plugin listens there",
                     inherited->address, inherited->name[0] != '\0' ? inherited->name : "without a name");
    }
    free(listeners->inherited);
    listeners->inherited = NULL;
}

void listeners_sweep(struct listeners *listeners)
{
    struct claim *claim, *next;

    drop_inherited(listeners);
    for (claim = LIST_FIRST(&listeners->claims); claim != NULL; claim = next) {
        next = next_claim(claim);
        claim->is_settled = true;
        if (claim->user_count == 0)
            close_claim(listeners, claim);
    }
}

void listeners_give_up(struct listeners *listeners)
{
    struct claim *claim, *next;

    for (claim = LIST_FIRST(&listeners->claims); claim != NULL; claim = next) {
        next = next_claim(claim);
        if (claim->user_count == 0 && !claim->is_settled)
            close_claim(listeners, claim);
    }
}

void listeners_stop(struct listeners *listeners)
{
    struct claim *claim, *next;

    listeners->is_stopping = true;
    for (claim = LIST_FIRST(&listeners->claims); claim != NULL; claim = next) {
        next = next_claim(claim);
        if (is_to_close_at_once(listeners, claim))
            close_claim(listeners, claim);
    }
}

void listeners_destroy(struct listeners *listeners)
{
    if (listeners == NULL)
        return;
    listeners->is_stopping = true;
    while (!LIST_EMPTY(&listeners->claims))
        close_claim(listeners, LIST_FIRST(&listeners->claims));
    for (size_t i = 0; i < listeners->inherited_count; i++)
        close(listeners->inherited[i].fd);
    free(listeners->inherited);
    free(listeners);
}

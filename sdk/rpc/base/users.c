/* SPDX-License-Identifier: Apache-2.0 */
/* Remembers who created what of this library. */
#include "users.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

struct user {
    LIST_ENTRY(user) link;
    const void *object, *creator;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, user) users = LIST_HEAD_INITIALIZER(users);
/* There was no memory to remember one. */
static bool is_incomplete;

void users_add(const void *object, const void *creator)
{
    struct user *user = malloc(sizeof(*user));

    pthread_mutex_lock(&lock);
    if (user != NULL) {
        *user = (struct user){.object = object, .creator = creator};
        LIST_INSERT_HEAD(&users, user, link);
    } else {
        is_incomplete = true;
    }
    pthread_mutex_unlock(&lock);
}

void users_remove(const void *object)
{
    struct user *user;

    pthread_mutex_lock(&lock);
    LIST_FOREACH(user, &users, link)
    if (user->object == object)
        break;
    if (user != NULL)
        LIST_REMOVE(user, link);
    pthread_mutex_unlock(&lock);
    free(user);
}

bool berth_library_each_user(bool (*on_user)(void *context, const void *creator), void *context)
{
    bool is_whole;
    struct user *user;

    pthread_mutex_lock(&lock);
    is_whole = !is_incomplete;
    LIST_FOREACH(user, &users, link)
    is_whole = is_whole && on_user(context, user->creator);
    pthread_mutex_unlock(&lock);
    return is_whole;
}

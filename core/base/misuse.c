/* SPDX-License-Identifier: Apache-2.0 */
/* Names who broke the contract, and where in its code; once for each place, so that a loop floods no log. */
#include "misuse.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <sdk/base/hash.h>

#include "frames.h"
#include "log.h"

/* Further places are counted but not logged. */
#define PLACES_MAX 512

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct place {
    const void *owner, *caller;
    uint64_t what;
} places[PLACES_MAX];
static size_t place_count;

static bool is_seen(const struct place *place)
{
    for (size_t i = 0; i < place_count; i++)
        if (places[i].owner == place->owner && places[i].caller == place->caller &&
            places[i].what == place->what)
            return true;
    return false;
}

/* Is this the first of its kind, and is there room to remember it? */
static bool remember(const struct place *place)
{
    bool is_new;

    pthread_mutex_lock(&lock);
    is_new = place_count < PLACES_MAX && !is_seen(place);
    if (is_new)
        places[place_count++] = *place;
    pthread_mutex_unlock(&lock);
    return is_new;
}

/* The owner of the code is to blame; of several plugins in one module, the one known to be involved. */
static struct running_plugin *blame(struct running_plugin *involved, const char *file)
{
    struct running_plugin *owner = file != NULL ? running_find_by_file(file, involved) : NULL;

    return owner != NULL ? owner : involved;
}

void misuse_report(const struct misuse *misuse)
{
    struct running_plugin *plugin;
    struct place place;
    const char *file = NULL, *uri;
    uintptr_t offset = 0;
    char where[128] = "unknown caller", text[512];

    if (misuse->caller == NULL || !frames_find_file(misuse->caller, &file, &offset))
        file = NULL;
    plugin = blame(misuse->plugin, file);
    if (plugin != NULL)
        atomic_fetch_add(&plugin->misuses, 1);
    uri = plugin != NULL ? plugin->uri : misuse->uri;
    place = (struct place){
        .owner = plugin != NULL ? (const void *)plugin : (const void *)uri,
        .caller = misuse->caller,
        /* Numbers in it are not another kind. */
        .what = berth_hash(BERTH_HASH_START, misuse->what, strcspn(misuse->what, "0123456789"))};
    if (!remember(&place))
        return;
    if (file != NULL)
        snprintf(where, sizeof(where), "%s+0x%zx", frames_file_name(file), (size_t)offset);
    if (misuse->path != NULL && file != NULL)
        snprintf(text, sizeof(text), "%s (%s; %s)", misuse->what, misuse->path, where);
    else if (misuse->path != NULL || misuse->caller != NULL)
        snprintf(text, sizeof(text), "%s (%s)", misuse->what, misuse->path != NULL ? misuse->path : where);
    else
        snprintf(text, sizeof(text), "%s", misuse->what);
    log_write(BERTH_LOG_WARN, uri, text);
}

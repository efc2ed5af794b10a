/* SPDX-License-Identifier: Apache-2.0 */
/* Updates linked through their own memory, so that queueing never fails. */
#include "queue.h"

void store_queue_append(struct store_queue *queue, struct berth_store_update *update)
{
    update->reserved[STORE_UPDATE_NEXT] = NULL;
    if (queue->last == NULL)
        queue->first = update;
    else
        queue->last->reserved[STORE_UPDATE_NEXT] = update;
    queue->last = update;
    queue->count++;
}

void store_queue_add(struct store_queue *queue, struct berth_store_update *update)
{
    store_update_set(update, STORE_UPDATE_ATTEMPTS, 0);
    store_update_set(update, STORE_UPDATE_TRAITS, 0);
    store_queue_append(queue, update);
}

struct berth_store_update *store_queue_take(struct store_queue *queue)
{
    struct berth_store_update *update = queue->first;

    if (update == NULL)
        return NULL;
    queue->first = update->reserved[STORE_UPDATE_NEXT];
    if (queue->first == NULL)
        queue->last = NULL;
    queue->count--;
    return update;
}

void store_queue_put_back(struct store_queue *queue, struct store_queue *front)
{
    if (front->first == NULL)
        return;
    front->last->reserved[STORE_UPDATE_NEXT] = queue->first;
    queue->first = front->first;
    if (queue->last == NULL)
        queue->last = front->last;
    queue->count += front->count;
    *front = (struct store_queue){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the messages of a call until it is certain that they need not be sent again. */
#include "replay.h"

bool replay_has_room(const struct replay *replay, size_t length)
{
    return replay->budget->used == 0 || replay->budget->used + length <= replay->budget->limit;
}

void replay_keep(struct replay *replay, struct message_block *block)
{
    if (replay->is_over)
        return;
    if (!replay_has_room(replay, block->length)) {
        replay_finish(replay);
        return;
    }
    message_block_ref(block);
    if (replay->last == NULL)
        replay->first = block;
    else
        replay->last->next_kept = block;
    replay->last = block;
    replay->length += block->length;
    replay->budget->used += block->length;
}

void replay_restore(const struct replay *replay, struct outbox *outbox)
{
    for (struct message_block *block = replay->first; block != NULL; block = block->next_kept) {
        block->next = NULL;
        outbox_add(outbox, message_block_ref(block));
    }
}

void replay_finish(struct replay *replay)
{
    while (replay->first != NULL) {
        struct message_block *block = replay->first;

        replay->first = block->next_kept;
        message_block_unref(block);
    }
    replay->budget->used -= replay->length;
    replay->last = NULL;
    replay->length = 0;
    replay->is_over = true;
}

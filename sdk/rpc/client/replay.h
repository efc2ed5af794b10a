/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_CLIENT_REPLAY_H
#define RPC_CLIENT_REPLAY_H

#include <sdk/rpc/base/buffer.h>
#include <sdk/rpc/message/outflow.h>

/** What was sent on a call that may yet have to be sent again. All zero with `budget` set is empty. */
struct replay {
    struct message_block *first;
    struct message_block *last;
    size_t length;
    struct budget *budget;
    /** Something is missing, or it is needed no more. */
    bool is_over;
};

/** Is there room in the budget for one more message? The first of all has room whatever its length. */
bool replay_has_room(const struct replay *replay, size_t length);

/** Keeps the message that was last put into an outbox; forgets all where there is no room. */
void replay_keep(struct replay *replay, struct message_block *block);

/** Puts everything into an empty outbox again. */
void replay_restore(const struct replay *replay, struct outbox *outbox);

/** Forgets everything, and keeps nothing from here on. */
void replay_finish(struct replay *replay);

#endif

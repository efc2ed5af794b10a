/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TTRPC_FRAME_H
#define RPC_TTRPC_FRAME_H

#include <sdk/rpc/base/buffer.h>

/** Length of a frame's header. */
#define TTRPC_HEADER 10

/** Maximum length of a frame's data (PROTOCOL.md, Message Frame). */
#define TTRPC_DATA_MAX (4u << 20)

enum ttrpc_type {
    TTRPC_REQUEST = 1,
    TTRPC_RESPONSE = 2,
    TTRPC_DATA = 3,
};

/** Of a Request and of Data: the sender will send no more on this stream. */
#define TTRPC_REMOTE_CLOSED 1u
/** Of a Request: Data follows. */
#define TTRPC_REMOTE_OPEN 2u
/** Of Data: not even an empty message. */
#define TTRPC_NO_DATA 4u

struct ttrpc_frame {
    uint32_t id;
    /** enum ttrpc_type, or a type of a later version. */
    uint8_t type;
    uint8_t flags;
    /** As stated in the header, and the length of `data`. */
    uint32_t length;
    const unsigned char *data;
};

enum ttrpc_read {
    /** All input has been consumed, and no frame is complete. */
    TTRPC_READ_MORE,
    TTRPC_READ_FRAME,
    /** The stated length is over the maximum: the frame is skipped, and `data` is NULL. */
    TTRPC_READ_OVERSIZE,
    /** Out of budget or memory: the frame is skipped, and `data` is NULL. */
    TTRPC_READ_NO_ROOM,
};

/** Assembles the frames of one direction of a connection. Zero-initialise, except `budget`. */
struct ttrpc_reader {
    unsigned char header[TTRPC_HEADER];
    /** How much of the header has arrived; all of it while the data is incomplete. */
    unsigned header_length;
    struct ttrpc_frame frame;
    struct buffer partial;
    struct budget *budget;
    /** Remaining bytes of a skipped frame. */
    uint32_t skipping;
    /** `partial` holds a frame that has been returned. */
    bool is_given;
};

/**
 * Consumes `input` up to the end of the next frame.
 *
 * @param ret_frame  Set unless more input is needed. Its data is inside the input if it is complete there,
 *                   otherwise inside the reader, until the next call.
 */
enum ttrpc_read ttrpc_reader_next(struct ttrpc_reader *reader, struct span *input,
                                  struct ttrpc_frame *ret_frame);

/** Did the input end inside a frame? */
bool ttrpc_reader_is_inside(const struct ttrpc_reader *reader);

void ttrpc_reader_finish(struct ttrpc_reader *reader);

void ttrpc_header_write(unsigned char header[TTRPC_HEADER], uint32_t length, uint32_t id, uint8_t type,
                        uint8_t flags);

#endif

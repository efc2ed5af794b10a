/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to what a worker asks for; see wire/ask.h. */
#ifndef CORE_CROSSING_ASKED_H
#define CORE_CROSSING_ASKED_H

#include "crossing.h"

/**
 * Answers one question. A reader that is bad before anything was done breaks the channel.
 * @param answer  what the answer has behind its code and message; nothing is sent of it with an error.
 */
typedef enum berth_code asked_function(struct crossing *crossing, struct packet_reader *reader,
                                       struct packet_writer *answer, struct berth_error *err);

asked_function asked_get, asked_get_single, asked_each;
asked_function asked_emit, asked_publish, asked_forward, asked_subscribe, asked_unsubscribe, asked_store;
asked_function asked_state, asked_http_begin, asked_span;
asked_function asked_metric, asked_series, asked_remove_series;

/**
 * The interface of this number, if it is of this kind.
 * @param ret_instance  as its functions want it.
 * @return NULL, with the reader bad.
 */
const void *used_find(struct crossing *crossing, uint32_t number, enum ask_interface kind,
                      struct packet_reader *reader, void **ret_instance);

#endif

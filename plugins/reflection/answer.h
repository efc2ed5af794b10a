/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to one request of server reflection, from an index. */
#ifndef REFLECTION_ANSWER_H
#define REFLECTION_ANSWER_H

#include <berth/error.h>
#include <grpc/reflection/v1/reflection.pb-c.h>

#include "descriptor_index.h"

/** The message, and memory it points to besides the index and the request. */
struct answer {
    Grpc__Reflection__V1__ServerReflectionResponse response;
    Grpc__Reflection__V1__FileDescriptorResponse files;
    Grpc__Reflection__V1__ExtensionNumberResponse extensions;
    Grpc__Reflection__V1__ListServiceResponse services;
    Grpc__Reflection__V1__ErrorResponse error;
    void *items, *pointers;
};

/** Fills an answer, possibly with an error. Index and request are borrowed until it is finished. */
void answer_make(struct answer *answer, const struct descriptor_index *index,
                 const Grpc__Reflection__V1__ServerReflectionRequest *request);
/** Turns the answer into an error. `message` is static. */
void answer_refuse(struct answer *answer, enum berth_code code, const char *message);
void answer_finish(struct answer *answer);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The values that the texts of generated files have holes for. */
#include "generate.h"

#include <stddef.h>

static const char *kind_constant(enum berth_method_kind kind)
{
    switch (kind) {
    case BERTH_METHOD_UNARY:
        return "BERTH_METHOD_UNARY";
    case BERTH_METHOD_SERVER_STREAM:
        return "BERTH_METHOD_SERVER_STREAM";
    case BERTH_METHOD_CLIENT_STREAM:
        return "BERTH_METHOD_CLIENT_STREAM";
    case BERTH_METHOD_BIDI_STREAM:
        return "BERTH_METHOD_BIDI_STREAM";
    }
    return "";
}

static const char *kind_words(enum berth_method_kind kind)
{
    switch (kind) {
    case BERTH_METHOD_UNARY:
        return "one request, one reply";
    case BERTH_METHOD_SERVER_STREAM:
        return "one request, many replies";
    case BERTH_METHOD_CLIENT_STREAM:
        return "many requests, one reply";
    case BERTH_METHOD_BIDI_STREAM:
        return "many requests, many replies";
    }
    return "";
}

bool generate_streams_requests(const struct model_method *method)
{
    return method->kind == BERTH_METHOD_CLIENT_STREAM || method->kind == BERTH_METHOD_BIDI_STREAM;
}

bool generate_streams_replies(const struct model_method *method)
{
    return method->kind == BERTH_METHOD_SERVER_STREAM || method->kind == BERTH_METHOD_BIDI_STREAM;
}

void generate_file_values(struct generate_values *values, const struct model_file *file)
{
    *values = (struct generate_values){
        .items = {{"file", file->name}, {"base", file->stem}, {"identifier", file->identifier}},
    };
}

void generate_service_values(struct generate_values *values, const struct model_service *service)
{
    *values = (struct generate_values){
        .items = {{"service", service->name}, {"stem", service->stem}, {"STEM", service->constant}},
    };
}

void generate_method_values(struct generate_values *values, const struct model_service *service,
                            const struct model_method *method)
{
    *values = (struct generate_values){
        .items =
            {
                {"service", service->name},
                {"service_stem", service->stem},
                {"method", method->name},
                {"member", method->member},
                {"stem", method->stem},
                {"STEM", method->constant},
                {"request", method->request_type},
                {"request_symbol", method->request_symbol},
                {"reply", method->reply_type},
                {"reply_symbol", method->reply_symbol},
                {"kind", kind_constant(method->kind)},
                {"kind_words", kind_words(method->kind)},
            },
    };
}

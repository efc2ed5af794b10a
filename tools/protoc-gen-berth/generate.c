/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that generate code share: texts with placeholders, their values, and untrusted comments. */
#include "generate.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *find_value(const struct text_value *values, const char *name, size_t length)
{
    for (; values->name != NULL; values++)
        if (strlen(values->name) == length && memcmp(values->name, name, length) == 0)
            return values->value;
    abort();
}

void text_fill(FILE *out, const struct text_value *values, const char *text)
{
    const char *begin;

    while ((begin = strchr(text, '$')) != NULL) {
        const char *end = strchr(begin + 1, '$');

        fwrite(text, 1, (size_t)(begin - text), out);
        if (end == NULL)
            abort();
        fputs(find_value(values, begin + 1, (size_t)(end - begin - 1)), out);
        text = end + 1;
    }
    fputs(text, out);
}

static void write_line(FILE *out, const char *line, size_t length)
{
    char before = '\0';

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)line[i];

        if ((before == '*' && c == '/') || (before == '/' && c == '*'))
            fputc(' ', out);
        before = c < ' ' || c == 0x7f || c == '\\' ? ' ' : (char)c;
        fputc(before, out);
    }
}

void text_write_comment(FILE *out, const char *before, const char *comment)
{
    while (comment != NULL && *comment != '\0') {
        size_t length = strcspn(comment, "\n");
        size_t indent = strspn(comment, " ");
        size_t end = length;

        while (end > indent && strchr(" \r\t", comment[end - 1]) != NULL)
            end--;
        fputs(before, out);
        if (end > indent) {
            fputc(' ', out);
            write_line(out, comment + indent, end - indent);
        }
        fputc('\n', out);
        comment += length + (comment[length] == '\n');
    }
}

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

const struct generate_way generate_on_channel = {
    .ending = "client",
    .guard = "CLIENT",
    .header = "berth/rpc/client.h",
    .prefix = "berth_rpc_call",
    .infix = "",
    .where = "struct berth_rpc_channel *channel",
    .from = "channel",
    .set_kind = "    options.kind = kind;\n",
    .filled = "path, kind and tag",
    .limits = "this channel's limits",
    .has_blocking = true,
};

const struct generate_way generate_in_host = {
    .ending = "calls",
    .guard = "CALLS",
    .header = "berth/plugin.h",
    .prefix = "berth_outgoing",
    .infix = "_outgoing",
    .where = "const struct berth_host *host",
    .from = "host",
    .set_kind = "    (void)kind;\n",
    .filled = "path and tag",
    .limits = "the limit of calls between plugins",
};

void generate_way_values(struct generate_values *values, const struct generate_way *way)
{
    const struct text_value more[] = {
        {"ending", way->ending}, {"GUARD", way->guard},       {"header", way->header},
        {"prefix", way->prefix}, {"way", way->infix},         {"where", way->where},
        {"from", way->from},     {"set_kind", way->set_kind}, {"filled", way->filled},
        {"limits", way->limits},
    };
    size_t count = 0;

    while (values->items[count].name != NULL)
        count++;
    memcpy(&values->items[count], more, sizeof(more));
}

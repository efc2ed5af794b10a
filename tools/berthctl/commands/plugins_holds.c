/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl plugins holds: why a plugin cannot be unloaded, and what it holds of others. */
#include "command.h"

#include <inttypes.h>
#include <stdio.h>

#include <config/print/json.h>
#include <config/text/utf8.h>

#include <tools/berthctl/print/table.h>

typedef Berth__Inspect__V1__HoldsResponse holds_message;
typedef Berth__Inspect__V1__Hold hold_message;

static void clean(holds_message *holds)
{
    utf8_make_line(holds->sentence);
    for (size_t i = 0; i < holds->n_holds; i++) {
        utf8_make_line(holds->holds[i]->holder);
        utf8_make_line(holds->holds[i]->provider);
        utf8_make_line(holds->holds[i]->what);
    }
}

static const char *note_of(const hold_message *hold)
{
    if (hold->orphan)
        return "though it has ended";
    if (!hold->unknown)
        return "";
    return *hold->holder == '\0' ? "owner unknown" : "which start or plugin of its module is unknown";
}

static void add_side(struct table *table, const char *uri, uint64_t generation, const char *nobody)
{
    char text[512];

    if (*uri == '\0')
        table_add(table, nobody);
    else if (generation == 0)
        table_add(table, uri);
    else {
        snprintf(text, sizeof(text), "%s (%" PRIu64 ")", uri, generation);
        table_add(table, text);
    }
}

static void print_table(const holds_message *holds, const struct command_options *options)
{
    static const char *const names[] = {"HOLDER", "OF", "COUNT", "WHAT", "NOTE"};
    struct table table = {0};
    char count[32];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        table_add(&table, names[i]);
    table_end_line(&table);
    for (size_t i = 0; i < holds->n_holds; i++) {
        const hold_message *hold = holds->holds[i];

        add_side(&table, hold->holder, hold->holder_generation, "-");
        add_side(&table, hold->provider, hold->provider_generation, "the host");
        snprintf(count, sizeof(count), "%" PRIu64, hold->count);
        table_add(&table, count);
        table_add(&table, hold->what);
        table_add(&table, note_of(hold));
        table_end_line(&table);
    }
    table_print(&table, stdout, options->with_colours);
    table_finish(&table);
    if (holds->more)
        puts("(and more)");
}

static void print_text(const holds_message *holds, const struct command_options *options)
{
    if (*holds->sentence == '\0')
        printf("nothing keeps %s from being unloaded\n", options->words[0]);
    else
        printf("cannot unload %s: %s\n", options->words[0], holds->sentence);
    if (holds->n_holds > 0) {
        putchar('\n');
        print_table(holds, options);
    }
}

static void json_text(struct config_json *json, const char *key, const char *text)
{
    config_json_string(json, key, *text == '\0' ? NULL : text);
}

static void print_json(const holds_message *holds, const char *uri)
{
    struct config_json json = {.out = stdout};

    config_json_open(&json, NULL, '{');
    config_json_string(&json, "uri", uri);
    json_text(&json, "kept_by", holds->sentence);
    config_json_open(&json, "holds", '[');
    for (size_t i = 0; i < holds->n_holds; i++) {
        const hold_message *hold = holds->holds[i];

        config_json_open(&json, NULL, '{');
        json_text(&json, "holder", hold->holder);
        config_json_integer(&json, "holder_generation", (int64_t)hold->holder_generation);
        json_text(&json, "provider", hold->provider);
        config_json_integer(&json, "provider_generation", (int64_t)hold->provider_generation);
        config_json_string(&json, "what", hold->what);
        config_json_integer(&json, "count", (int64_t)hold->count);
        config_json_bool(&json, "unknown", hold->unknown);
        config_json_bool(&json, "orphan", hold->orphan);
        config_json_close(&json, '}');
    }
    config_json_close(&json, ']');
    config_json_bool(&json, "more", holds->more);
    config_json_close(&json, '}');
}

int command_plugins_holds(const struct command_options *options)
{
    Berth__Inspect__V1__HoldsRequest request = BERTH__INSPECT__V1__HOLDS_REQUEST__INIT;
    holds_message *holds;
    struct berth_error err;
    enum berth_code code;

    request.uri = options->words[0];
    code = client_ask(&options->client, "/berth.inspect.v1.Inspect/Holds", &request.base,
                      &berth__inspect__v1__holds_response__descriptor, &holds, &err);
    if (code == BERTH_NOT_FOUND) {
        fprintf(stderr, "berthctl: %s; berthctl plugins ls --all lists all plugins\n", err.message);
        return COMMAND_EXIT_BAD_NEWS;
    }
    if (code != BERTH_OK)
        return command_fail(options, code, &err);
    clean(holds);
    if (options->json)
        print_json(holds, options->words[0]);
    else
        print_text(holds, options);
    protobuf_c_message_free_unpacked(&holds->base, NULL);
    return COMMAND_EXIT_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl log and log-level: the daemon's log, line by line as it is written, and its levels. */
#include "command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <berth/plugin.h>

#include <config/print/json.h>
#include <config/text/utf8.h>
#include <sdk/base/rfc3339.h>

typedef Berth__Inspect__V1__LogLevel log_level;

static const char *log_level_name(log_level level)
{
    int first = BERTH__INSPECT__V1__LOG_LEVEL__LOG_LEVEL_ERROR;

    return (int)level < first ? "default" : berth_log_level_name((enum berth_log_level)((int)level - first));
}

/* "default" is LOG_LEVEL_UNSPECIFIED. @return false if there is none. */
static bool log_level_parse(const char *name, log_level *ret_level)
{
    for (int level = 0; level <= BERTH__INSPECT__V1__LOG_LEVEL__LOG_LEVEL_DEBUG; level++)
        if (strcmp(name, log_level_name((log_level)level)) == 0) {
            *ret_level = (log_level)level;
            return true;
        }
    return false;
}

static const char *format_time(int64_t time_ns, char ret_text[RFC3339_MAX])
{
    const int64_t second = 1000000000, rest = time_ns % second;

    return rfc3339_format(time_ns / second - (rest < 0), (uint32_t)(rest < 0 ? rest + second : rest), 3,
                          ret_text);
}

typedef Berth__Inspect__V1__LogLine log_line_message;

static void print_line_text(const log_line_message *line, const char *moment)
{
    if (line->lost > 0) {
        fflush(stdout);
        fprintf(stderr, "berthctl: %" PRIu64 " line%s missed here; this reader is too slow\n", line->lost,
                line->lost == 1 ? "" : "s");
    }
    printf("%s %-5s %s%s%s\n", moment, log_level_name(line->level), line->uri, *line->uri != '\0' ? ": " : "",
           line->text);
}

static void print_line_json(const log_line_message *line, const char *moment)
{
    struct config_json json = {.out = stdout, .is_on_one_line = true};

    config_json_open(&json, NULL, '{');
    config_json_string(&json, "time", moment);
    config_json_string(&json, "level", log_level_name(line->level));
    if (*line->uri != '\0')
        config_json_string(&json, "plugin", line->uri);
    config_json_string(&json, "message", line->text);
    if (line->lost > 0)
        config_json_integer(&json, "lost", (int64_t)line->lost);
    config_json_close(&json, '}');
}

/* As the daemon writes it itself. Flushed at once: it may go to a pipe. */
static void print_line(void *context, ProtobufCMessage *message)
{
    const struct command_options *options = context;
    log_line_message *line = (log_line_message *)message;
    char text[RFC3339_MAX];
    const char *moment = format_time(line->time_ns, text);

    utf8_make_line(line->uri);
    utf8_make_line(line->text);
    if (options->json)
        print_line_json(line, moment);
    else
        print_line_text(line, moment);
    fflush(stdout);
    protobuf_c_message_free_unpacked(message, NULL);
}

int command_log(const struct command_options *options)
{
    Berth__Inspect__V1__LogRequest request = BERTH__INSPECT__V1__LOG_REQUEST__INIT;
    bool is_replaced;
    const struct client_stream what = {
        .path = "/berth.inspect.v1.Inspect/Log",
        .request = &request.base,
        .answer = &berth__inspect__v1__log_line__descriptor,
        .on_message = print_line,
        .context = (void *)(uintptr_t)options,
        .is_endless = true,
        .ret_is_replaced = &is_replaced,
    };
    struct berth_error err;
    enum berth_code code;

    if (options->level != NULL)
        log_level_parse(options->level, &request.level);
    if (options->word_count > 0)
        request.uri = options->words[0];
    do {
        is_replaced = false;
        code = client_stream(&options->client, &what, &err);
        if (is_replaced)
            fputs("berthctl: introspection was replaced; lines may be missing here\n", stderr);
    } while (is_replaced);
    if (code == BERTH_NOT_FOUND) {
        fprintf(stderr, "berthctl: %s; berthctl plugins ls --all lists them\n", err.message);
        return COMMAND_EXIT_BAD_NEWS;
    }
    return code == BERTH_OK ? COMMAND_EXIT_OK : command_fail(options, code, &err);
}

typedef Berth__Inspect__V1__LogLevelsResponse levels_message;

/* What the words of the command ask for. */
struct wish {
    bool sets;
    log_level level;
    /** NULL: the daemon. */
    const char *uri;
};

static bool is_uri(const char *word)
{
    return strchr(word, '.') != NULL;
}

static int refuse(const char *word, const char *what)
{
    fprintf(stderr, "berthctl: log-level: \"%s\" is not %s; see berthctl log-level --help\n", word, what);
    return COMMAND_EXIT_USAGE;
}

/* [LEVEL] [URI]; a URI alone asks for its level. @return CLI_GO_ON or an exit code. */
static int read_words(const struct command_options *options, struct wish *ret_wish)
{
    struct wish wish = {.sets = options->word_count > 0};

    if (options->word_count == 1 && is_uri(options->words[0]))
        wish = (struct wish){.uri = options->words[0]};
    else if (wish.sets && !log_level_parse(options->words[0], &wish.level))
        return refuse(options->words[0], "one of error, warn, info, debug, default");
    if (options->word_count == 2)
        wish.uri = options->words[1];
    if (wish.uri != NULL && !is_uri(wish.uri))
        return refuse(wish.uri, "the URI of a plugin");
    if (wish.sets && wish.uri == NULL && wish.level == BERTH__INSPECT__V1__LOG_LEVEL__LOG_LEVEL_UNSPECIFIED)
        return refuse("default", "a level of the daemon; name a plugin, too");
    *ret_wish = wish;
    return CLI_GO_ON;
}

static enum berth_code ask(const struct client *client, const struct wish *wish, levels_message **ret_levels,
                           struct berth_error *err)
{
    Berth__Inspect__V1__LogLevelsRequest request = BERTH__INSPECT__V1__LOG_LEVELS_REQUEST__INIT;
    Berth__Inspect__V1__SetLogLevelRequest change = BERTH__INSPECT__V1__SET_LOG_LEVEL_REQUEST__INIT;
    const ProtobufCMessageDescriptor *answer = &berth__inspect__v1__log_levels_response__descriptor;

    if (wish->uri != NULL)
        request.uri = change.uri = (char *)(uintptr_t)wish->uri;
    if (!wish->sets)
        return client_ask(client, "/berth.inspect.v1.Inspect/LogLevels", &request.base, answer, ret_levels,
                          err);
    change.level = wish->level;
    return client_ask(client, "/berth.inspect.v1.Inspect/SetLogLevel", &change.base, answer, ret_levels, err);
}

/* Its own level, else the daemon's. */
static log_level level_of(const levels_message *levels, const char *uri)
{
    for (size_t i = 0; i < levels->n_plugins; i++)
        if (strcmp(levels->plugins[i]->uri, uri) == 0)
            return levels->plugins[i]->level;
    return levels->level;
}

static void print_text(const levels_message *levels, const struct wish *wish)
{
    if (wish->uri != NULL) {
        puts(log_level_name(level_of(levels, wish->uri)));
        return;
    }
    puts(log_level_name(levels->level));
    for (size_t i = 0; i < levels->n_plugins; i++)
        printf("%s %s\n", log_level_name(levels->plugins[i]->level), levels->plugins[i]->uri);
}

static void print_json(const levels_message *levels)
{
    struct config_json json = {.out = stdout};

    config_json_open(&json, NULL, '{');
    config_json_string(&json, "level", log_level_name(levels->level));
    config_json_open(&json, "plugins", '{');
    for (size_t i = 0; i < levels->n_plugins; i++)
        config_json_string(&json, levels->plugins[i]->uri, log_level_name(levels->plugins[i]->level));
    config_json_close(&json, '}');
    config_json_close(&json, '}');
}

int command_log_level(const struct command_options *options)
{
    levels_message *levels;
    struct berth_error err;
    struct wish wish;
    enum berth_code code;
    int exit_code = read_words(options, &wish);

    if (exit_code != CLI_GO_ON)
        return exit_code;
    code = ask(&options->client, &wish, &levels, &err);
    if (code == BERTH_NOT_FOUND) {
        fprintf(stderr, "berthctl: %s; berthctl plugins ls lists them\n", err.message);
        return COMMAND_EXIT_BAD_NEWS;
    }
    if (code != BERTH_OK)
        return command_fail(options, code, &err);
    for (size_t i = 0; i < levels->n_plugins; i++)
        utf8_make_line(levels->plugins[i]->uri);
    if (options->json)
        print_json(levels);
    else
        print_text(levels, &wish);
    protobuf_c_message_free_unpacked(&levels->base, NULL);
    return COMMAND_EXIT_OK;
}

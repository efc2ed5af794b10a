/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl reload and plugins start, stop, restart, upgrade, rollback: asks for a change, waits, prints what
 * came of it. */
#include "command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <berth/change/v1/change.pb-c.h>
#include <config/print/json.h>
#include <config/text/utf8.h>
#include <sdk/base/memory.h>

typedef Berth__Change__V1__ChangeAnswer answer_message;
typedef Berth__Change__V1__Report report_message;
typedef Berth__Change__V1__Step step_message;

/* How long to wait before asking again whoever took the place of what answered. */
#define RETRY_MS 100

/* What the daemon has said so far. */
struct waiting {
    uint64_t number;
    /* With the report; or NULL. */
    answer_message *answer;
};

static void on_answer(void *context, ProtobufCMessage *message)
{
    struct waiting *waiting = context;
    answer_message *answer = (answer_message *)message;

    waiting->number = answer->number;
    if (answer->report == NULL || waiting->answer != NULL)
        protobuf_c_message_free_unpacked(message, NULL);
    else
        waiting->answer = answer;
}

static enum berth_code call(const struct client *client, const char *path, const ProtobufCMessage *request,
                            struct waiting *waiting, struct berth_error *err)
{
    const struct client_stream what = {
        .path = path,
        .request = request,
        .answer = &berth__change__v1__change_answer__descriptor,
        .on_message = on_answer,
        .context = waiting,
    };

    return client_stream(client, &what, err);
}

/*
 * Asks again until the change is done. It may replace the very plugins that carry the answer: then their
 * successors are asked, for as long as anybody answers within the time limit.
 */
static enum berth_code ask(const struct client *client, const Berth__Change__V1__ChangeRequest *request,
                           struct waiting *waiting, struct berth_error *err)
{
    enum berth_code code = call(client, "/berth.change.v1.Changes/Request", &request->base, waiting, err);
    uint64_t silent_ms = 0;

    while (waiting->number > 0 && waiting->answer == NULL &&
           (code == BERTH_OK || code == BERTH_UNAVAILABLE) && silent_ms < client->timeout_ms) {
        Berth__Change__V1__FollowRequest follow = BERTH__CHANGE__V1__FOLLOW_REQUEST__INIT;

        if (code == BERTH_UNAVAILABLE)
            nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * 1000000}, NULL);
        follow.number = waiting->number;
        code = call(client, "/berth.change.v1.Changes/Follow", &follow.base, waiting, err);
        silent_ms = code == BERTH_UNAVAILABLE ? silent_ms + RETRY_MS : 0;
    }
    return code;
}

static void clean_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        utf8_make_line(texts[i]);
}

static void clean(report_message *report)
{
    utf8_make_line(report->message);
    for (size_t i = 0; i < report->n_steps; i++) {
        step_message *step = report->steps[i];
        char *texts[] = {step->uri,          step->action,     step->reason, step->cause,
                         step->from_version, step->to_version, step->mode,   step->message};

        clean_texts(texts, sizeof(texts) / sizeof(texts[0]));
    }
    clean_texts(report->applied, report->n_applied);
    clean_texts(report->warnings, report->n_warnings);
    clean_texts(report->problems, report->n_problems);
}

/* What a replacement means for callers. Steps of one group follow each other. */
static void print_mode(const report_message *report, size_t last)
{
    const step_message *step = report->steps[last];
    uint64_t expected_ns = 0, pause_ns = 0;
    char text[PLUGIN_DURATION_MAX];
    const char *mode = "";

    for (size_t i = last + 1; i-- > 0 && report->steps[i]->group == step->group;) {
        expected_ns += report->steps[i]->expected_pause_ns;
        pause_ns = report->steps[i]->pause_ns > pause_ns ? report->steps[i]->pause_ns : pause_ns;
        mode = *report->steps[i]->mode != '\0' ? report->steps[i]->mode : mode;
    }
    if (*mode == '\0' || step->code != BERTH_OK)
        return;
    printf("            %s", mode);
    if (!report->dry_run) {
        plugin_format_duration(pause_ns, text);
        if (pause_ns > 0)
            printf(": calls waited for %s\n", text);
        else
            puts(": no call waited");
    } else if (strcmp(mode, "beside") == 0) {
        puts(": no call waits");
    } else {
        plugin_format_duration(expected_ns, text);
        printf(": calls wait%s%s\n", expected_ns > 0 ? ", expected pause: " : "",
               expected_ns > 0 ? text : "");
    }
}

static void print_step(const report_message *report, size_t i)
{
    const step_message *step = report->steps[i];

    printf("%-11s %s%s%s\n", step->action, step->uri, *step->reason != '\0' ? ": " : "", step->reason);
    if (step->code != BERTH_OK)
        printf("            %s: %s\n", report->dry_run ? "not possible" : "failed", step->message);
    if (i + 1 == report->n_steps || report->steps[i + 1]->group != step->group)
        print_mode(report, i);
}

static void print_lines(FILE *out, const char *what, char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%s\n", what, texts[i]);
}

static void print_text(const report_message *report)
{
    print_lines(stderr, "", report->problems, report->n_problems);
    print_lines(stderr, "warning: ", report->warnings, report->n_warnings);
    print_lines(stdout, "apply       ", report->applied, report->n_applied);
    for (size_t i = 0; i < report->n_steps; i++)
        print_step(report, i);
    if (report->code == BERTH_OK)
        printf("%zu of %" PRIu64 " plugin%s %s\n", report->n_steps, report->plugins,
               report->plugins == 1 ? "" : "s", report->dry_run ? "would change" : "changed");
    else
        fprintf(stderr, "berthctl: %s\n", report->message);
}

static void add_texts(struct config_json *json, const char *key, char *const *texts, size_t count)
{
    config_json_open(json, key, '[');
    for (size_t i = 0; i < count; i++)
        config_json_string(json, NULL, texts[i]);
    config_json_close(json, ']');
}

static void add_text(struct config_json *json, const char *key, const char *text)
{
    config_json_string(json, key, *text == '\0' ? NULL : text);
}

static void add_step(struct config_json *json, const step_message *step)
{
    config_json_open(json, NULL, '{');
    config_json_string(json, "uri", step->uri);
    config_json_string(json, "action", step->action);
    add_text(json, "reason", step->reason);
    add_text(json, "cause", step->cause);
    add_text(json, "from_version", step->from_version);
    add_text(json, "to_version", step->to_version);
    config_json_integer(json, "group", (int64_t)step->group);
    add_text(json, "mode", step->mode);
    config_json_integer(json, "expected_pause_ns", (int64_t)step->expected_pause_ns);
    config_json_integer(json, "pause_ns", (int64_t)step->pause_ns);
    config_json_string(json, "code", berth_code_name((enum berth_code)step->code));
    add_text(json, "message", step->message);
    config_json_integer(json, "generation", (int64_t)step->generation);
    config_json_close(json, '}');
}

static void print_json(const answer_message *answer)
{
    struct config_json json = {.out = stdout};
    const report_message *report = answer->report;

    config_json_open(&json, NULL, '{');
    config_json_integer(&json, "number", (int64_t)answer->number);
    config_json_bool(&json, "dry_run", report->dry_run);
    config_json_string(&json, "code", berth_code_name((enum berth_code)report->code));
    add_text(&json, "message", report->message);
    config_json_open(&json, "steps", '[');
    for (size_t i = 0; i < report->n_steps; i++)
        add_step(&json, report->steps[i]);
    config_json_close(&json, ']');
    config_json_integer(&json, "plugins", (int64_t)report->plugins);
    add_texts(&json, "applied", report->applied, report->n_applied);
    add_texts(&json, "warnings", report->warnings, report->n_warnings);
    add_texts(&json, "problems", report->problems, report->n_problems);
    config_json_close(&json, '}');
}

static int exit_code_of(const report_message *report)
{
    if (report->code == BERTH_OK)
        return COMMAND_EXIT_OK;
    return report->code == BERTH_ABORTED ? COMMAND_EXIT_PARTLY : COMMAND_EXIT_BAD_NEWS;
}

/* The daemon has another working directory, so files are named by their real paths. */
static char **find_subjects(const struct command_options *options)
{
    char **subjects = memory_allocate(options->word_count, sizeof(*subjects));

    for (size_t i = 0; i < options->word_count; i++) {
        subjects[i] = strchr(options->words[i], '/') != NULL ? realpath(options->words[i], NULL) : NULL;
        if (subjects[i] == NULL)
            subjects[i] = memory_copy(options->words[i]);
    }
    return subjects;
}

/* Borrows from the options. */
static Berth__Change__V1__Start find_start(const struct command_options *options)
{
    Berth__Change__V1__Start start = BERTH__CHANGE__V1__START__INIT;

    start.config = options->start.config != NULL ? options->start.config : start.config;
    start.root = options->start.root != NULL ? options->start.root : start.root;
    start.state = options->start.state != NULL ? options->start.state : start.state;
    start.n_plugin_dirs = options->start.plugin_dir_count;
    start.plugin_dirs = options->start.plugin_dirs;
    start.lenient = options->start.is_lenient;
    return start;
}

static int change(const struct command_options *options, Berth__Change__V1__Kind kind)
{
    Berth__Change__V1__ChangeRequest request = BERTH__CHANGE__V1__CHANGE_REQUEST__INIT;
    Berth__Change__V1__Start start = find_start(options);
    struct waiting waiting = {.number = 0};
    struct berth_error err;
    enum berth_code code;
    int exit_code;

    request.kind = kind;
    request.n_subjects = options->word_count;
    request.subjects = find_subjects(options);
    request.dry_run = options->is_dry_run;
    request.atomic = options->is_atomic;
    request.cascade = options->cascades;
    request.force = options->is_forced;
    request.keep = options->keeps;
    request.start = options->start.is_given ? &start : NULL;
    code = ask(&options->client, &request, &waiting, &err);
    for (size_t i = 0; i < options->word_count; i++)
        free(request.subjects[i]);
    free(request.subjects);
    if (waiting.answer == NULL) {
        if (code == BERTH_OK)
            code = berth_error_set(&err, BERTH_UNAVAILABLE, "the call ended before the change was done");
        return command_fail(options, code, &err);
    }
    clean(waiting.answer->report);
    if (options->json)
        print_json(waiting.answer);
    else
        print_text(waiting.answer->report);
    exit_code = exit_code_of(waiting.answer->report);
    protobuf_c_message_free_unpacked(&waiting.answer->base, NULL);
    return exit_code;
}

int command_reload(const struct command_options *options)
{
    return change(options, BERTH__CHANGE__V1__KIND__KIND_RELOAD);
}

int command_plugins_start(const struct command_options *options)
{
    return change(options, BERTH__CHANGE__V1__KIND__KIND_START);
}

int command_plugins_stop(const struct command_options *options)
{
    return change(options, BERTH__CHANGE__V1__KIND__KIND_STOP);
}

int command_plugins_restart(const struct command_options *options)
{
    return change(options, BERTH__CHANGE__V1__KIND__KIND_RESTART);
}

int command_plugins_upgrade(const struct command_options *options)
{
    return change(options, BERTH__CHANGE__V1__KIND__KIND_UPGRADE);
}

int command_plugins_rollback(const struct command_options *options)
{
    return change(options, BERTH__CHANGE__V1__KIND__KIND_ROLLBACK);
}

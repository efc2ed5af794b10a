/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store over etcd in a process of its own, told what to do line by line on stdin, telling on stdout what
 * happens: store_etcd_driver ENDPOINTS PREFIX [NAME=MILLISECONDS-OR-BYTES...]
 *
 *     put ID BUCKET KEY VALUE | remove ID BUCKET KEY | add ID BUCKET KEY | fill ID BUCKET COUNT SIZE
 *     refuse ID BUCKET KEY | get BUCKET KEY | list BUCKET | buckets | quit
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include <berth/plugin.h>
#include <berth/store_engine.h>
#include <plugins/store-etcd/store.h>

struct driver {
    struct berth_host host;
    struct berth_daemon_info daemon;
    struct berth_inspect inspect;
    struct store *store;
    struct berth_store_watch *watch;
    uv_pipe_t input;
    char line[4096];
    size_t length;
    const char *endpoints[8];
    struct berth_rpc_tls_options tls;
    char tls_files[3][256];
    int exit_code;
};

enum action { ACTION_PUT, ACTION_REMOVE, ACTION_ADD, ACTION_FILL, ACTION_REFUSE };

struct request {
    struct berth_store_update update;
    enum action action;
    char id[32];
    char bucket[BERTH_STORE_BUCKET_MAX + 1];
    char key[256];
    char value[1024];
    long count;
    long size;
};

static struct driver driver;

static void say(const char *format, ...) BERTH_PRINTF(1, 2);

static void say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

static bool logs(const struct berth_host *host, enum berth_log_level level)
{
    return true;
}

static void write_log(const struct berth_host *host, enum berth_log_level level, const char *text)
{
    fprintf(stderr, "%d %s\n", (int)level, text);
}

static enum berth_code add_export(const struct berth_host *host, const char *key, const char *value)
{
    say("export %s %s", key, value);
    return BERTH_OK;
}

/* There is no other plugin. */
static enum berth_code get_single(const struct berth_host *host, const char *type, struct berth_ref *ret_ref,
                                  struct berth_error *err)
{
    return berth_error_set(err, BERTH_NOT_FOUND, "no plugin of type %s", type);
}

static void report(const struct berth_host *host, enum berth_code code, const char *message)
{
    say("condition %s %s", berth_code_name(code), message == NULL ? "" : message);
}

static enum berth_code add(struct request *request, struct berth_store_txn *txn, struct berth_store_bytes key,
                           struct berth_error *err)
{
    struct berth_store_bytes value;
    enum berth_code code = berth_store_interface.get(txn, request->bucket, key, &value, err);
    long number = 0;

    if (code == BERTH_OK && value.length < sizeof(request->value)) {
        memcpy(request->value, value.data, value.length);
        request->value[value.length] = '\0';
        number = atol(request->value);
    } else if (code != BERTH_NOT_FOUND) {
        return code;
    }
    snprintf(request->value, sizeof(request->value), "%ld", number + 1);
    return berth_store_interface.put(txn, request->bucket, key, berth_store_text(request->value), err);
}

static enum berth_code fill(struct request *request, struct berth_store_txn *txn, struct berth_error *err)
{
    char *value = calloc(1, (size_t)request->size + 1);
    enum berth_code code = BERTH_OK;

    memset(value, 'x', (size_t)request->size);
    for (long i = 0; i < request->count && code == BERTH_OK; i++) {
        snprintf(request->key, sizeof(request->key), "key-%06ld", i);
        code = berth_store_interface.put(txn, request->bucket, berth_store_text(request->key),
                                         (struct berth_store_bytes){value, (size_t)request->size}, err);
    }
    free(value);
    return code;
}

static enum berth_code change(struct berth_store_update *update, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    struct request *request = (struct request *)update;
    struct berth_store_bytes key = berth_store_text(request->key);
    struct berth_store_bytes value;

    switch (request->action) {
    case ACTION_PUT:
        return berth_store_interface.put(txn, request->bucket, key, berth_store_text(request->value), err);
    case ACTION_REMOVE:
        return berth_store_interface.remove(txn, request->bucket, key, err);
    case ACTION_ADD:
        return add(request, txn, key, err);
    case ACTION_FILL:
        return fill(request, txn, err);
    case ACTION_REFUSE:
        if (berth_store_interface.get(txn, request->bucket, key, &value, err) != BERTH_OK)
            return berth_error_set(err, BERTH_NOT_FOUND, "nothing");
        return berth_error_set(err, BERTH_ALREADY_EXISTS, "%.*s", (int)value.length,
                               (const char *)value.data);
    }
    return BERTH_INTERNAL;
}

static void done(struct berth_store_update *update, enum berth_code code, const char *message)
{
    struct request *request = (struct request *)update;

    say("done %s %s %s", request->id, berth_code_name(code), message == NULL ? "" : message);
    free(request);
}

static void print_side(const char *name, struct berth_store_bytes value, char *text, size_t size)
{
    if (value.data == NULL)
        snprintf(text, size, "%s=-", name);
    else
        snprintf(text, size, "%s=\"%.*s\"", name, (int)(value.length > 60 ? 60 : value.length),
                 (const char *)value.data);
}

static void on_change(void *context, const struct berth_store_change *told)
{
    static const char *const causes[] = {"OTHER", "CAUGHT_UP", "OWN"};
    char before[128], after[128];

    print_side("before", told->before, before, sizeof(before));
    print_side("after", told->after, after, sizeof(after));
    say("change %s %s %.*s %s %s", causes[told->cause], told->bucket, (int)told->key.length,
        (const char *)told->key.data, before, after);
}

static void get(const char *bucket, const char *key)
{
    struct berth_store_txn *txn;
    struct berth_store_bytes value;
    struct berth_error err;
    enum berth_code code = berth_store_interface.begin(driver.store, &txn, &err);

    if (code != BERTH_OK) {
        say("got %s %s", berth_code_name(code), err.message);
        return;
    }
    code = berth_store_interface.get(txn, bucket, berth_store_text(key), &value, &err);
    say("got %s %.*s", berth_code_name(code), code == BERTH_OK ? (int)value.length : 0,
        code == BERTH_OK ? (const char *)value.data : "");
    berth_store_interface.end(txn);
}

static void list(const char *bucket)
{
    struct berth_store_txn *txn;
    struct berth_store_entry entry = {0};
    struct berth_error err;

    if (berth_store_interface.begin(driver.store, &txn, &err) != BERTH_OK)
        return;
    while (berth_store_interface.next(txn, bucket, entry.key, &entry, &err) == BERTH_OK)
        say("entry %.*s %zu", (int)entry.key.length, (const char *)entry.key.data, entry.value.length);
    say("listed");
    berth_store_interface.end(txn);
}

static void list_buckets(void)
{
    char bucket[BERTH_STORE_BUCKET_MAX + 1] = "";
    struct berth_store_txn *txn;
    struct berth_error err;

    if (berth_store_interface.begin(driver.store, &txn, &err) != BERTH_OK)
        return;
    while (berth_store_interface.next_bucket(txn, bucket, bucket, &err) == BERTH_OK)
        say("bucket %s", bucket);
    say("listed");
    berth_store_interface.end(txn);
}

static void on_ended(struct store *store)
{
    free(store);
    uv_close((uv_handle_t *)&driver.input, NULL);
}

static void quit(void)
{
    berth_store_interface.unwatch(driver.store, driver.watch);
    store_end(driver.store, on_ended);
}

static void change_as_told(enum action action, const char *line)
{
    struct request *request = calloc(1, sizeof(*request));

    request->action = action;
    request->update.change = change;
    request->update.done = done;
    if (action == ACTION_FILL)
        sscanf(line, "%*s %31s %200s %ld %ld", request->id, request->bucket, &request->count, &request->size);
    else
        sscanf(line, "%*s %31s %200s %255s %1023s", request->id, request->bucket, request->key,
               request->value);
    berth_store_interface.update(driver.store, &request->update);
}

static void obey(const char *line)
{
    static const char *const names[] = {"put", "remove", "add", "fill", "refuse"};
    char verb[16] = "", bucket[BERTH_STORE_BUCKET_MAX + 1] = "", key[256] = "";

    sscanf(line, "%15s %200s %255s", verb, bucket, key);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(verb, names[i]) == 0)
            change_as_told((enum action)i, line);
    if (strcmp(verb, "get") == 0)
        get(bucket, key);
    else if (strcmp(verb, "list") == 0)
        list(bucket);
    else if (strcmp(verb, "buckets") == 0)
        list_buckets();
    else if (strcmp(verb, "quit") == 0)
        quit();
}

static void allocate(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    *buffer = uv_buf_init(driver.line + driver.length, (unsigned)(sizeof(driver.line) - driver.length - 1));
}

static void on_input(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    char *end;

    if (count < 0) {
        uv_read_stop(stream);
        return;
    }
    driver.length += (size_t)count;
    while ((end = memchr(driver.line, '\n', driver.length)) != NULL) {
        size_t used = (size_t)(end - driver.line) + 1;

        *end = '\0';
        obey(driver.line);
        driver.length -= used;
        memmove(driver.line, end + 1, driver.length);
    }
}

static void on_started(struct store *store, enum berth_code code, const char *message)
{
    say("started %s %s", berth_code_name(code), message == NULL ? "" : message);
    if (code != BERTH_OK) {
        driver.exit_code = 1;
        store_end(store, on_ended);
        return;
    }
    driver.watch = berth_store_interface.watch(store, "", on_change, NULL);
    uv_read_start((uv_stream_t *)&driver.input, allocate, on_input);
}

/* What lies in a folder: ca.pem, client.pem and client.key. */
static void trust(struct store_options *options, const char *folder)
{
    static const char *const names[] = {"ca.pem", "client.pem", "client.key"};

    for (size_t i = 0; i < 3; i++)
        snprintf(driver.tls_files[i], sizeof(driver.tls_files[i]), "%s/%s", folder, names[i]);
    driver.tls = (struct berth_rpc_tls_options){.size = sizeof(driver.tls),
                                                .ca_file = driver.tls_files[0],
                                                .certificate_file = driver.tls_files[1],
                                                .key_file = driver.tls_files[2]};
    options->tls = &driver.tls;
}

static void set(struct store_options *options, const char *argument)
{
    const struct {
        const char *name;
        uint64_t *value;
    } names[] = {
        {"dial_timeout", &options->dial_timeout_ms}, {"commit_timeout", &options->commit_timeout_ms},
        {"max_stale", &options->max_stale_ms},       {"lease_ttl", &options->lease_ttl_ms},
        {"max_mirror", &options->max_mirror},        {"max_request", &options->max_request},
        {"max_value", &options->limits.max_value},   {"max_writes", &options->limits.max_writes},
        {"max_change", &options->limits.max_change},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t length = strlen(names[i].name);

        if (strncmp(argument, names[i].name, length) == 0 && argument[length] == '=')
            *names[i].value = strtoull(argument + length + 1, NULL, 10);
    }
    if (strncmp(argument, "user=", 5) == 0)
        options->user = argument + 5;
    if (strncmp(argument, "password=", 9) == 0)
        options->password = argument + 9;
    if (strncmp(argument, "tls=", 4) == 0)
        trust(options, argument + 4);
}

static void choose(struct store_options *options, char **argv)
{
    *options = (struct store_options){
        .endpoints = driver.endpoints,
        .prefix = argv[2],
        .dial_timeout_ms = 20000,
        .commit_timeout_ms = 20000,
        .lease_ttl_ms = 3000,
        .max_mirror = 64 << 20,
        .max_request = 1536 << 10,
        .limits = {sizeof(options->limits), 1 << 20, 100, 1400 << 10},
    };
    for (char *word = strtok(argv[1], ","); word != NULL && options->endpoint_count < 8;
         word = strtok(NULL, ","))
        driver.endpoints[options->endpoint_count++] = word;
    for (char **argument = argv + 3; *argument != NULL; argument++)
        set(options, *argument);
}

int main(int argc, char **argv)
{
    struct store_options options;
    struct berth_error err;
    uv_loop_t loop;

    if (argc < 3)
        return 2;
    driver.daemon = (struct berth_daemon_info){.size = sizeof(driver.daemon), .version = "0"};
    driver.inspect = (struct berth_inspect){.size = sizeof(driver.inspect), .daemon = &driver.daemon};
    driver.host = (struct berth_host){.size = sizeof(driver.host),
                                      .loop = &loop,
                                      .inspect = &driver.inspect,
                                      .logs = logs,
                                      .log = write_log,
                                      .get_single = get_single,
                                      .add_export = add_export,
                                      .report = report};
    uv_loop_init(&loop);
    uv_pipe_init(&loop, &driver.input, 0);
    uv_pipe_open(&driver.input, 0);
    choose(&options, argv);
    if (store_start(&driver.host, &options, NULL, on_started, &driver.store, &err) != BERTH_OK)
        return fprintf(stderr, "%s\n", err.message), 1;
    uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0)
        return fprintf(stderr, "a handle is left open\n"), 1;
    return driver.exit_code;
}

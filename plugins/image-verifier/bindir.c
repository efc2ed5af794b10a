/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the programs of a directory to verify images: for each image one after the other, until all have
 * accepted it or one has not.
 */
#include "image-verifier-plugin.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <berth/types/image_verifier.h>

#include "folder.h"
#include "program.h"

#define USUAL_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DESCRIPTOR_MEDIA_TYPE "application/vnd.oci.descriptor.v1+json"

/* The most text of all verifiers together that makes up a reason. */
#define REASON_MAX 131072

/* The settings at one time. Verifications keep those that they began with. */
struct options {
    size_t holders;
    char *bin_dir;
    /* Negative: all. */
    int64_t max_verifiers;
    uint64_t timeout_ms;
    /* As environ. */
    char **environment;
    int64_t max_running;
};

/* What all verifications of an instance have in common. */
struct bindir {
    const struct berth_host *host;
    struct options *options;
    int64_t running_count;
    LIST_HEAD(, berth_verification) running;
    bool is_closing;
};

/* One image on its way through the verifiers, one after the other, until all have agreed or one has not. */
struct berth_verification {
    /* First, so that its end finds the verification. */
    struct child child;
    LIST_ENTRY(berth_verification) link;
    struct bindir *bindir;
    struct options *options;
    berth_image_verified *done;
    void *context;
    bool is_cancelled;

    char *name;
    char *digest;
    char input[PROGRAM_INPUT_MAX];
    size_t input_length;

    /* What runs on another thread: it has these to itself until it has ended. */
    uv_work_t work;
    struct folder folder;
    size_t next;
    enum berth_code code;
    struct berth_error err;

    bool runs;
    uint64_t began_ns;
    size_t limit;
    char *reason;
    size_t reason_length;
};

static void release(struct options *options)
{
    if (options == NULL || --options->holders > 0)
        return;
    for (size_t i = 0; options->environment != NULL && options->environment[i] != NULL; i++)
        free(options->environment[i]);
    free(options->environment);
    free(options->bin_dir);
    free(options);
}

static void destroy(struct bindir *bindir)
{
    release(bindir->options);
    free(bindir);
}

static void destroy_verification(struct berth_verification *verification)
{
    folder_finish(&verification->folder);
    release(verification->options);
    free(verification->name);
    free(verification->digest);
    free(verification->reason);
    free(verification);
}

/* May free the instance, once it closes. */
static void finish(struct berth_verification *verification, enum berth_code code, bool ok, const char *reason)
{
    struct bindir *bindir = verification->bindir;
    const struct berth_host *host = bindir->host;

    verification->done(verification->context, code, code == BERTH_OK && ok, reason);
    LIST_REMOVE(verification, link);
    bindir->running_count--;
    destroy_verification(verification);
    if (!bindir->is_closing || !LIST_EMPTY(&bindir->running))
        return;
    destroy(bindir);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

static const char *verifier(const struct berth_verification *verification)
{
    return verification->folder.names[verification->next];
}

/* Ends without a verdict: says what the verifier did, and for how long it ran. */
static void fail(struct berth_verification *verification, enum berth_code code, const char *why)
{
    struct berth_error err;

    berth_error_set(&err, code, "failed to call verifier %.255s (runtime %.3fs): %.1600s",
                    verifier(verification), (double)(uv_hrtime() - verification->began_ns) / 1e9, why);
    finish(verification, code, false, err.message);
}

static void finish_cancelled(struct berth_verification *verification)
{
    finish(verification, BERTH_CANCELLED, false, "the verification of the image was cancelled");
}

/* Together they are bounded: what does not fit is left out. */
static bool add_reason(struct berth_verification *verification, const char *text)
{
    const char *comma = verification->reason_length > 0 ? ", " : "";
    char *piece, *grown;
    int length = asprintf(&piece, "%s%s => %s", comma, verifier(verification), text);

    if (length < 0)
        return false;
    if (verification->reason_length + (size_t)length > REASON_MAX) {
        free(piece);
        return true;
    }
    grown = realloc(verification->reason, verification->reason_length + (size_t)length + 1);
    if (grown != NULL) {
        memcpy(grown + verification->reason_length, piece, (size_t)length + 1);
        verification->reason = grown;
        verification->reason_length += (size_t)length;
    }
    free(piece);
    return grown != NULL;
}

static void run_next(struct berth_verification *verification);

static void reject(struct berth_verification *verification, const char *text)
{
    char *reason;

    if (asprintf(&reason, "verifier %s rejected image (exit code %d): %s", verifier(verification),
                 verification->child.number, text) < 0)
        reason = NULL;
    finish(verification, BERTH_OK, false, reason != NULL ? reason : "a verifier rejected the image");
    free(reason);
}

static void take_exit(struct berth_verification *verification)
{
    char *text = output_text(&verification->child.output.output);

    if (verification->child.number != 0) {
        reject(verification, text != NULL ? text : "");
    } else if (text == NULL || !add_reason(verification, text)) {
        fail(verification, BERTH_RESOURCE_EXHAUSTED, "no memory for its output");
    } else {
        verification->next++;
        run_next(verification);
    }
    free(text);
}

static void fail_by_signal(struct berth_verification *verification)
{
    struct berth_error err;
    int number = verification->child.number;

    berth_error_set(&err, BERTH_ABORTED, "killed by signal %d (%s)", number, strsignal(number));
    fail(verification, BERTH_ABORTED, err.message);
}

static void fail_by_time(struct berth_verification *verification)
{
    struct berth_error err;

    berth_error_set(&err, BERTH_DEADLINE_EXCEEDED,
                    "timed out after per_verifier_timeout (%.3fs) and was killed",
                    (double)verification->options->timeout_ms / 1e3);
    fail(verification, BERTH_DEADLINE_EXCEEDED, err.message);
}

static void take_end(struct berth_verification *verification)
{
    switch (verification->child.end) {
    case CHILD_EXITED:
        take_exit(verification);
        break;
    case CHILD_SIGNALLED:
        fail_by_signal(verification);
        break;
    case CHILD_TIMED_OUT:
        fail_by_time(verification);
        break;
    case CHILD_KILLED:
        finish_cancelled(verification);
        break;
    case CHILD_LOST:
        fail(verification, BERTH_UNAVAILABLE, "its exit status is unknown");
        break;
    }
}

static void log_line(void *context, const char *line)
{
    const struct berth_verification *verification = context;

    berth_log(verification->bindir->host, BERTH_LOG_DEBUG, "image_verifier=%s stream=stderr %s",
              verifier(verification), line);
}

static void on_child_end(struct child *child)
{
    struct berth_verification *verification = (struct berth_verification *)child;

    verification->runs = false;
    output_each_line(&child->errors.output, log_line, verification);
    if (verification->is_cancelled)
        finish_cancelled(verification);
    else
        take_end(verification);
}

/* On another thread. */
static enum berth_code start_program(struct berth_verification *verification, const char *path, char *shown,
                                     struct berth_error *err)
{
    char *const arguments[] = {
        shown,
        (char[]){"-name"},
        verification->name,
        (char[]){"-digest"},
        verification->digest,
        (char[]){"-stdin-media-type"},
        (char[]){DESCRIPTOR_MEDIA_TYPE},
        NULL,
    };
    const struct program_call call = {
        .path = path,
        .arguments = arguments,
        .environment = verification->options->environment,
        .input = verification->input,
        .input_length = verification->input_length,
    };

    return program_start(&verification->child.program, &call, err);
}

static void work_on_program(uv_work_t *work)
{
    struct berth_verification *verification = work->data;
    struct berth_error *err = &verification->err;
    char *path = NULL, *shown = NULL;

    verification->code = folder_find_program(&verification->folder, verifier(verification), &path, err);
    if (verification->code == BERTH_OK &&
        asprintf(&shown, "%s/%s", verification->folder.path, verifier(verification)) < 0) {
        shown = NULL;
        verification->code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for its name");
    }
    if (verification->code == BERTH_OK)
        verification->code = start_program(verification, path, shown, err);
    free(path);
    free(shown);
}

static void on_program(uv_work_t *work, int status)
{
    struct berth_verification *verification = work->data;

    if (verification->code != BERTH_OK) {
        fail(verification, verification->code, verification->err.message);
        return;
    }
    verification->runs = true;
    child_watch(&verification->child, verification->bindir->host->loop, verification->options->timeout_ms,
                on_child_end);
    if (verification->is_cancelled)
        child_kill(&verification->child);
}

static void run_next(struct berth_verification *verification)
{
    const char *reason = verification->reason != NULL ? verification->reason : "no image verifier was called";

    if (verification->is_cancelled) {
        finish_cancelled(verification);
    } else if (verification->next == verification->limit) {
        finish(verification, BERTH_OK, true, reason);
    } else {
        verification->child = (struct child){0};
        verification->began_ns = uv_hrtime();
        uv_queue_work(verification->bindir->host->loop, &verification->work, work_on_program, on_program);
    }
}

static void begin(struct berth_verification *verification)
{
    const struct options *options = verification->options;
    size_t count = verification->folder.count;

    verification->limit = count;
    if (options->max_verifiers >= 0 && (size_t)options->max_verifiers < count) {
        verification->limit = (size_t)options->max_verifiers;
        berth_log(verification->bindir->host, BERTH_LOG_WARN,
                  "skipping verifiers beyond max_verifiers folder=%s verifiers=%zu max_verifiers=%zu",
                  options->bin_dir, count, verification->limit);
    }
    run_next(verification);
}

static void accept_all(struct berth_verification *verification, const char *format)
{
    struct berth_error text;

    snprintf(text.message, sizeof(text.message), format, verification->options->bin_dir);
    finish(verification, BERTH_OK, true, text.message);
}

static void work_on_folder(uv_work_t *work)
{
    struct berth_verification *verification = work->data;

    verification->code =
        folder_read(&verification->folder, verification->options->bin_dir, &verification->err);
}

static void on_folder(uv_work_t *work, int status)
{
    struct berth_verification *verification = work->data;

    if (verification->is_cancelled)
        finish_cancelled(verification);
    else if (verification->code != BERTH_OK)
        finish(verification, verification->code, false, verification->err.message);
    else if (!verification->folder.exists)
        accept_all(verification, "image verifier directory %s does not exist");
    else if (verification->folder.count == 0)
        accept_all(verification, "no image verifier binaries found in %s");
    else
        begin(verification);
}

static enum berth_code check_length(const char *what, const char *text, size_t most, struct berth_error *err)
{
    size_t length = text != NULL ? strlen(text) : 0;

    if (length > 0 && length <= most)
        return BERTH_OK;
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "an image's %s must have 1 to %zu bytes; this one has %zu: invalid argument", what,
                           most, length);
}

/* What may stand between quotes in JSON as it is; neither a digest nor a media type has anything else. */
static enum berth_code check_word(const char *what, const char *text, size_t most, struct berth_error *err)
{
    enum berth_code code = check_length(what, text, most, err);

    for (; code == BERTH_OK && *text != '\0'; text++)
        if (*text <= ' ' || *text > '~' || *text == '"' || *text == '\\')
            code = berth_error_set(
                err, BERTH_INVALID_ARGUMENT,
                "an image's %s must not contain blanks, quotes or control characters: invalid "
                "argument",
                what);
    return code;
}

static enum berth_code check_image(const struct berth_image *image, struct berth_error *err)
{
    enum berth_code code = check_length("name", image->name, BERTH_IMAGE_NAME_MAX, err);

    if (code == BERTH_OK)
        code = check_word("digest", image->digest, BERTH_IMAGE_DIGEST_MAX, err);
    if (code == BERTH_OK)
        code = check_word("media type", image->media_type, BERTH_IMAGE_MEDIA_TYPE_MAX, err);
    return code;
}

static bool copy_image(struct berth_verification *verification, const struct berth_image *image)
{
    verification->name = strdup(image->name);
    verification->digest = strdup(image->digest);
    verification->input_length =
        (size_t)snprintf(verification->input, sizeof(verification->input),
                         "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%lld}\n", image->media_type,
                         image->digest, (long long)image->manifest_size);
    return verification->name != NULL && verification->digest != NULL;
}

static enum berth_code check_room(const struct bindir *bindir, struct berth_error *err)
{
    if (bindir->is_closing)
        return berth_error_set(err, BERTH_UNAVAILABLE, "the image verifier is closing");
    if (bindir->running_count < bindir->options->max_running)
        return BERTH_OK;
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                           "%lld images are being verified already, as many as max_running allows",
                           (long long)bindir->running_count);
}

static enum berth_code verify(void *instance, const struct berth_image *image, berth_image_verified *done,
                              void *context, struct berth_verification **ret_verification,
                              struct berth_error *err)
{
    struct bindir *bindir = instance;
    struct berth_verification *verification;
    enum berth_code code = check_room(bindir, err);

    if (code == BERTH_OK)
        code = check_image(image, err);
    if (code != BERTH_OK)
        return code;
    verification = calloc(1, sizeof(*verification));
    if (verification == NULL || !copy_image(verification, image)) {
        if (verification != NULL)
            destroy_verification(verification);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory to verify an image");
    }
    verification->bindir = bindir;
    verification->options = bindir->options;
    verification->options->holders++;
    verification->done = done;
    verification->context = context;
    verification->work.data = verification;
    LIST_INSERT_HEAD(&bindir->running, verification, link);
    bindir->running_count++;
    if (ret_verification != NULL)
        *ret_verification = verification;
    uv_queue_work(bindir->host->loop, &verification->work, work_on_folder, on_folder);
    return BERTH_OK;
}

static void cancel(void *instance, struct berth_verification *verification)
{
    (void)instance;
    verification->is_cancelled = true;
    if (verification->runs)
        child_kill(&verification->child);
}

const struct berth_image_verifier bindir_interface = {
    .size = sizeof(bindir_interface),
    .verify = verify,
    .cancel = cancel,
};

static enum berth_code say_no_memory(struct berth_error *err)
{
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the image verifier's settings");
}

static enum berth_code check_variable(const char *name, struct berth_error *err)
{
    if (*name != '\0' && strchr(name, '=') == NULL)
        return BERTH_OK;
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "environment: \"%.200s\" is not a valid variable name: it must not be empty or "
                           "contain =",
                           name);
}

static enum berth_code set_environment(struct options *options, const struct bindir_config *config,
                                       struct berth_error *err)
{
    enum berth_code code = BERTH_OK;
    size_t count = config->environment.count;
    bool has_path = false;

    options->environment = calloc(count + 2, sizeof(options->environment[0]));
    if (options->environment == NULL)
        return say_no_memory(err);
    for (size_t i = 0; i < count && code == BERTH_OK; i++) {
        const char *name = config->environment.items[i].key;

        has_path = has_path || strcmp(name, "PATH") == 0;
        code = check_variable(name, err);
        if (code == BERTH_OK &&
            asprintf(&options->environment[i], "%s=%s", name, config->environment.items[i].value) < 0) {
            options->environment[i] = NULL;
            code = say_no_memory(err);
        }
    }
    if (code != BERTH_OK || has_path)
        return code;
    options->environment[count] = strdup(USUAL_PATH);
    return options->environment[count] != NULL ? BERTH_OK : say_no_memory(err);
}

static enum berth_code set_folder(struct options *options, const struct berth_host *host, const char *path,
                                  struct berth_error *err)
{
    const char *root;
    enum berth_code code = BERTH_OK;

    if (path != NULL) {
        options->bin_dir = strdup(path);
    } else {
        code = berth_root_dir(host, &root, err);
        if (code != BERTH_OK)
            return code;
        if (asprintf(&options->bin_dir, "%s/bin", root) < 0)
            options->bin_dir = NULL;
    }
    return options->bin_dir != NULL ? BERTH_OK : say_no_memory(err);
}

static enum berth_code fill(struct options *options, const struct berth_host *host, struct berth_error *err)
{
    struct bindir_config config;
    enum berth_code code = bindir_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    code = set_folder(options, host, config.bin_dir, err);
    if (code == BERTH_OK)
        code = set_environment(options, &config, err);
    options->max_running = config.max_running;
    options->max_verifiers = config.max_verifiers;
    options->timeout_ms = (uint64_t)config.per_verifier_timeout / 1000000;
    bindir_config_finish(&config);
    return code;
}

/* Puts options in place that are complete, or leaves those before. */
static enum berth_code configure(struct bindir *bindir, struct berth_error *err)
{
    struct options *options = calloc(1, sizeof(*options));
    enum berth_code code;

    if (options == NULL)
        return say_no_memory(err);
    options->holders = 1;
    code = fill(options, bindir->host, err);
    if (code == BERTH_OK)
        code = berth_add_export(bindir->host, "bin_dir", options->bin_dir);
    if (code != BERTH_OK) {
        release(options);
        return code;
    }
    release(bindir->options);
    bindir->options = options;
    return BERTH_OK;
}

enum berth_code bindir_reconfigure(const struct berth_host *host, void *instance,
                                   const struct berth_settings *before, struct berth_error *err)
{
    return configure(instance, err);
}

enum berth_code bindir_init(const struct berth_host *host, void *prepared, void **ret_instance,
                            struct berth_error *err)
{
    struct bindir *bindir = calloc(1, sizeof(*bindir));
    enum berth_code code;

    if (bindir == NULL)
        return say_no_memory(err);
    bindir->host = host;
    code = configure(bindir, err);
    if (code == BERTH_OK)
        *ret_instance = bindir;
    else
        destroy(bindir);
    return code;
}

enum berth_code bindir_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct bindir *bindir = instance;
    struct berth_verification *verification;

    bindir->is_closing = true;
    LIST_FOREACH(verification, &bindir->running, link)
    cancel(bindir, verification);
    if (!LIST_EMPTY(&bindir->running))
        return BERTH_PENDING;
    destroy(bindir);
    return BERTH_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Has the programs of a folder verify images: its settings, and the verifications that run. */
#include "image-verifier-plugin.h"

#include <stdlib.h>

#include <berth/types/image_verifier.h>

#include "verification.h"

#define USUAL_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* One that runs, in the instance's list. */
struct running {
    struct bindir *bindir;
    struct running *previous;
    struct running *next;
    struct berth_verification *verification;
};

struct bindir {
    const struct berth_host *host;
    struct verification_rules rules;
    char *bin_dir;
    char **environment;
    int64_t max_running;
    int64_t running_count;
    struct running *running;
    bool is_closing;
};

static void destroy(struct bindir *bindir)
{
    for (size_t i = 0; bindir->environment != NULL && bindir->environment[i] != NULL; i++)
        free(bindir->environment[i]);
    free(bindir->environment);
    free(bindir->bin_dir);
    free(bindir);
}

static enum berth_code say_no_memory(struct berth_error *err)
{
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the image verifier's settings");
}

static enum berth_code check_variable(const char *name, struct berth_error *err)
{
    if (*name != '\0' && strchr(name, '=') == NULL)
        return BERTH_OK;
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "environment: \"%.200s\" cannot be the name of a variable: it must not be empty, "
                           "nor have a = in it",
                           name);
}

static enum berth_code set_environment(struct bindir *bindir, const struct bindir_config *config,
                                       struct berth_error *err)
{
    enum berth_code code = BERTH_OK;
    size_t count = config->environment.count;
    bool has_path = false;

    bindir->environment = calloc(count + 2, sizeof(bindir->environment[0]));
    if (bindir->environment == NULL)
        return say_no_memory(err);
    for (size_t i = 0; i < count && code == BERTH_OK; i++) {
        const char *name = config->environment.items[i].key;

        has_path = has_path || strcmp(name, "PATH") == 0;
        code = check_variable(name, err);
        if (code == BERTH_OK &&
            asprintf(&bindir->environment[i], "%s=%s", name, config->environment.items[i].value) < 0) {
            bindir->environment[i] = NULL;
            code = say_no_memory(err);
        }
    }
    if (code != BERTH_OK || has_path)
        return code;
    bindir->environment[count] = strdup(USUAL_PATH);
    return bindir->environment[count] != NULL ? BERTH_OK : say_no_memory(err);
}

static enum berth_code set_folder(struct bindir *bindir, const char *path, struct berth_error *err)
{
    const char *root;
    enum berth_code code = BERTH_OK;

    if (path != NULL) {
        bindir->bin_dir = strdup(path);
    } else {
        code = berth_root_dir(bindir->host, &root, err);
        if (code != BERTH_OK)
            return code;
        if (asprintf(&bindir->bin_dir, "%s/bin", root) < 0)
            bindir->bin_dir = NULL;
    }
    return bindir->bin_dir != NULL ? BERTH_OK : say_no_memory(err);
}

static enum berth_code configure(struct bindir *bindir, struct berth_error *err)
{
    struct bindir_config config;
    enum berth_code code = bindir_config_init(&config, bindir->host->settings, err);

    if (code != BERTH_OK)
        return code;
    code = set_folder(bindir, config.bin_dir, err);
    if (code == BERTH_OK)
        code = set_environment(bindir, &config, err);
    bindir->max_running = config.max_running;
    bindir->rules = (struct verification_rules){
        .host = bindir->host,
        .bin_dir = bindir->bin_dir,
        .max_verifiers = config.max_verifiers,
        .timeout_ms = (uint64_t)config.per_verifier_timeout / 1000000,
        .environment = bindir->environment,
    };
    bindir_config_finish(&config);
    return code;
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
        code = berth_add_export(host, "bin_dir", bindir->bin_dir);
    if (code == BERTH_OK)
        *ret_instance = bindir;
    else
        destroy(bindir);
    return code;
}

enum berth_code bindir_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct bindir *bindir = instance;

    bindir->is_closing = true;
    for (struct running *running = bindir->running; running != NULL; running = running->next)
        verification_cancel(running->verification);
    if (bindir->running != NULL)
        return BERTH_PENDING;
    destroy(bindir);
    return BERTH_OK;
}

static void add(struct bindir *bindir, struct running *running)
{
    *running = (struct running){.bindir = bindir, .next = bindir->running};
    if (bindir->running != NULL)
        bindir->running->previous = running;
    bindir->running = running;
    bindir->running_count++;
}

static void take_out(struct running *running)
{
    struct bindir *bindir = running->bindir;

    if (running->previous != NULL)
        running->previous->next = running->next;
    else
        bindir->running = running->next;
    if (running->next != NULL)
        running->next->previous = running->previous;
    bindir->running_count--;
    free(running);
}

static void on_over(void *owner)
{
    struct running *running = owner;
    struct bindir *bindir = running->bindir;

    take_out(running);
    if (!bindir->is_closing || bindir->running != NULL)
        return;
    berth_complete(bindir->host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
    destroy(bindir);
}

static enum berth_code check_room(const struct bindir *bindir, struct berth_error *err)
{
    if (bindir->is_closing)
        return berth_error_set(err, BERTH_UNAVAILABLE, "the image verifier closes");
    if (bindir->running_count < bindir->max_running)
        return BERTH_OK;
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                           "%lld images are being verified, max_running allows no more",
                           (long long)bindir->running_count);
}

static enum berth_code verify(void *instance, const struct berth_image *image, berth_image_verified *done,
                              void *context, struct berth_verification **ret_verification,
                              struct berth_error *err)
{
    struct bindir *bindir = instance;
    enum berth_code code = check_room(bindir, err);
    struct running *running;

    if (code != BERTH_OK)
        return code;
    running = malloc(sizeof(*running));
    if (running == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory to verify an image");
    add(bindir, running);
    code = verification_start(&bindir->rules, image, done, context, on_over, running, &running->verification,
                              err);
    if (code != BERTH_OK)
        take_out(running);
    else if (ret_verification != NULL)
        *ret_verification = running->verification;
    return code;
}

static void cancel(void *instance, struct berth_verification *verification)
{
    verification_cancel(verification);
}

const struct berth_image_verifier bindir_interface = {
    .size = sizeof(bindir_interface),
    .verify = verify,
    .cancel = cancel,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* Provides a directory for programs and libraries that are installed beside the daemon. */
#include "opt-plugin.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <berth/trust.h>
#include <berth/types/opt.h>

#include "environment.h"

/* Everybody may run programs by name; listing the directory is up to the operator. */
#define FOLDER_MODE 0711

struct opt {
    char *path;
    char *bin;
    char *lib;
    char **environment;
};

static void destroy(struct opt *opt)
{
    free(opt->path);
    free(opt->bin);
    free(opt->lib);
    environment_destroy(opt->environment);
    free(opt);
}

static enum berth_code say_no_memory(struct berth_error *err)
{
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the paths of the opt folder");
}

static enum berth_code name_folders(struct opt *opt, const char *path, struct berth_error *err)
{
    if (strchr(path, ':') != NULL)
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "path: %.1500s: a directory with a colon in its name cannot be in PATH; choose "
            "another",
            path);
    opt->path = strdup(path);
    if (asprintf(&opt->bin, "%s/bin", path) < 0)
        opt->bin = NULL;
    if (asprintf(&opt->lib, "%s/lib", path) < 0)
        opt->lib = NULL;
    return opt->path != NULL && opt->bin != NULL && opt->lib != NULL ? BERTH_OK : say_no_memory(err);
}

static enum berth_code make_folder(const char *path, struct berth_error *err)
{
    if (mkdir(path, FOLDER_MODE) == 0 || errno == EEXIST)
        return BERTH_OK;
    return berth_error_set(
        err, errno == ENOSPC || errno == EDQUOT ? BERTH_RESOURCE_EXHAUSTED : BERTH_PERMISSION_DENIED,
        "path: cannot create the directory %.1500s: %s; set path to one that this user can "
        "write to",
        path, strerror(errno));
}

/* Like mkdir -p. */
static enum berth_code make_folders(char *path, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;
    struct stat status;

    for (char *slash = strchr(path + 1, '/'); slash != NULL && code == BERTH_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (stat(path, &status) != 0)
            code = make_folder(path, err);
        *slash = '/';
    }
    return code == BERTH_OK ? make_folder(path, err) : code;
}

/* The directories above are the responsibility of the operator who chose the path. */
static enum berth_code prepare_folders(struct opt *opt, struct berth_error *err)
{
    enum berth_code code = make_folders(opt->bin, err);

    if (code == BERTH_OK)
        code = make_folders(opt->lib, err);
    if (code == BERTH_OK)
        code = berth_trust_one_folder(opt->path, err);
    if (code == BERTH_OK)
        code = berth_trust_one_folder(opt->bin, err);
    if (code == BERTH_OK)
        code = berth_trust_one_folder(opt->lib, err);
    return code;
}

static enum berth_code find_path(const struct berth_prepare *prepare, struct opt *opt,
                                 struct berth_error *err)
{
    struct opt_config config;
    const char *path;
    enum berth_code code = opt_config_init(&config, prepare->settings, err);

    if (code != BERTH_OK)
        return code;
    path = config.path;
    if (path == NULL)
        code = prepare->root_dir(prepare, &path, err);
    if (code == BERTH_OK)
        code = name_folders(opt, path, err);
    opt_config_finish(&config);
    return code;
}

enum berth_code opt_prepare(const struct berth_prepare *prepare, void **ret_prepared, struct berth_error *err)
{
    struct opt *opt = calloc(1, sizeof(*opt));
    enum berth_code code;

    if (opt == NULL)
        return say_no_memory(err);
    code = find_path(prepare, opt, err);
    if (code == BERTH_OK)
        code = prepare_folders(opt, err);
    if (code == BERTH_OK)
        *ret_prepared = opt;
    else
        destroy(opt);
    return code;
}

void opt_discard(void *prepared)
{
    destroy(prepared);
}

enum berth_code opt_init(const struct berth_host *host, void *prepared, void **ret_instance,
                         struct berth_error *err)
{
    struct opt *opt = prepared;
    enum berth_code code;

    opt->environment = environment_create(environ, opt->bin, opt->lib);
    code = opt->environment != NULL ? berth_add_export(host, "path", opt->path) : say_no_memory(err);
    if (code == BERTH_OK)
        *ret_instance = opt;
    else
        destroy(opt);
    return code;
}

enum berth_code opt_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    destroy(instance);
    return BERTH_OK;
}

static const char *get_bin(void *instance)
{
    const struct opt *opt = instance;

    return opt->bin;
}

static const char *get_lib(void *instance)
{
    const struct opt *opt = instance;

    return opt->lib;
}

static const char *const *get_environment(void *instance)
{
    const struct opt *opt = instance;

    return (const char *const *)opt->environment;
}

const struct berth_opt opt_interface = {
    .size = sizeof(opt_interface),
    .bin = get_bin,
    .lib = get_lib,
    .environment = get_environment,
};

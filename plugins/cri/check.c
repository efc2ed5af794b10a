/* SPDX-License-Identifier: Apache-2.0 */
/* Checks what the schemas cannot express, by containerd's rules. */
#include "cri-plugin.h"

#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include <linux/magic.h>

static bool is_default(const struct berth_settings *settings, const char *object, const char *name)
{
    const struct berth_value *value = settings->find(settings->find(settings->root, object), name);

    return strcmp(settings->where(value), "default") == 0;
}

static bool is_blank(const char *text)
{
    return text == NULL || text[0] == '\0';
}

/* Has the endpoint a scheme and a host, as https://mirror.example.com? */
static bool is_url(const char *text)
{
    const char *host = strstr(text, "://");

    return host != NULL && host != text && host[3] != '\0' && host[3] != '/';
}

static void check_mirrors(const struct berth_check *check, const struct images_config *config)
{
    char path[512];

    if (config->registry.mirrors.count > 0 && !is_blank(config->registry.config_path))
        berth_check_problem(check, BERTH_LOG_ERROR, "registry.config_path",
                            "cannot be combined with mirrors; describe the mirrors in its hosts.toml files "
                            "instead, and remove mirrors");
    for (size_t i = 0; i < config->registry.mirrors.count; i++) {
        const char *name = config->registry.mirrors.items[i].key;

        for (size_t j = 0; j < config->registry.mirrors.items[i].value.endpoint.count; j++) {
            const char *endpoint = config->registry.mirrors.items[i].value.endpoint.items[j];

            if (is_url(endpoint))
                continue;
            snprintf(path, sizeof(path), "registry.mirrors.%.255s.endpoint.%zu", name, j);
            berth_check_problem(check, BERTH_LOG_ERROR, path,
                                "\"%.200s\" is not a URL (such as https://mirror.example.com)", endpoint);
        }
    }
}

void images_check(const struct berth_check *check)
{
    struct images_config config;
    struct berth_error err;

    if (images_config_init(&config, check->settings, &err) != BERTH_OK) {
        berth_check_problem(check, BERTH_LOG_ERROR, NULL, "%s", err.message);
        return;
    }
    check_mirrors(check, &config);
    images_config_finish(&config);
}

static bool has_cgroup_v2(void)
{
    struct statfs status;

    return statfs("/sys/fs/cgroup", &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC;
}

static void check_runtime(const struct berth_check *check, const char *name,
                          const struct runtime_config_containerd_runtimes_value *runtime)
{
    char path[512];

    if (is_blank(runtime->runtime_type) && runtime->runtime_path == NULL) {
        snprintf(path, sizeof(path), "containerd.runtimes.%.255s", name);
        berth_check_problem(check, BERTH_LOG_WARN, path,
                            "cannot run pods without runtime_type; set it (such as io.containerd.runc.v2)");
    }
    if (runtime->cgroup_writable && !has_cgroup_v2()) {
        snprintf(path, sizeof(path), "containerd.runtimes.%.255s.cgroup_writable", name);
        berth_check_problem(check, BERTH_LOG_ERROR, path,
                            "requires cgroup v2, which is not mounted at /sys/fs/cgroup");
    }
    if (runtime->privileged_without_host_devices_all_devices_allowed &&
        !runtime->privileged_without_host_devices) {
        snprintf(path, sizeof(path),
                 "containerd.runtimes.%.255s.privileged_without_host_devices_all_devices_allowed", name);
        berth_check_problem(check, BERTH_LOG_ERROR, path, "requires privileged_without_host_devices: true");
    }
}

static void check_runtimes(const struct berth_check *check,
                           const struct runtime_config_containerd *containerd)
{
    bool is_known = false;

    for (size_t i = 0; i < containerd->runtimes.count; i++) {
        const struct runtime_config_containerd_runtimes_entry *entry = &containerd->runtimes.items[i];

        is_known = is_known || strcmp(entry->key, containerd->default_runtime_name) == 0;
        check_runtime(check, entry->key, &entry->value);
    }
    if (!is_known)
        berth_check_problem(check, BERTH_LOG_ERROR, "containerd.default_runtime_name",
                            "\"%.100s\" is not listed under containerd.runtimes; add it there, or "
                            "name one that is",
                            containerd->default_runtime_name);
}

void runtime_check(const struct berth_check *check)
{
    struct runtime_config config;
    struct berth_error err;

    if (runtime_config_init(&config, check->settings, &err) != BERTH_OK) {
        berth_check_problem(check, BERTH_LOG_ERROR, NULL, "%s", err.message);
        return;
    }
    check_runtimes(check, &config.containerd);
    if (config.cni.bin_dir != NULL && !is_default(check->settings, "cni", "bin_dirs"))
        berth_check_problem(check, BERTH_LOG_ERROR, "cni.bin_dir",
                            "cannot be combined with bin_dirs; add the directory there and remove bin_dir");
    if (config.cni.conf_template != NULL)
        berth_check_problem(check, BERTH_LOG_WARN, "cni.conf_template",
                            "not supported yet; write a network configuration to cni.conf_dir instead");
    runtime_config_finish(&config);
}

static void check_key_pair(const struct berth_check *check, const struct cri_config *config)
{
    const char *certificate = config->x509_key_pair_streaming.tls_cert_file;
    const char *key = config->x509_key_pair_streaming.tls_key_file;

    if (certificate == NULL && key == NULL)
        return;
    if (!config->enable_tls_streaming)
        berth_check_problem(check, BERTH_LOG_ERROR, "x509_key_pair_streaming",
                            "has no effect without enable_tls_streaming: true");
    else if (key == NULL)
        berth_check_problem(check, BERTH_LOG_ERROR, "x509_key_pair_streaming.tls_cert_file",
                            "has no key; set tls_key_file too");
    else if (certificate == NULL)
        berth_check_problem(check, BERTH_LOG_ERROR, "x509_key_pair_streaming.tls_key_file",
                            "has no certificate; set tls_cert_file too");
}

void cri_check(const struct berth_check *check)
{
    struct cri_config config;
    struct berth_error err;

    if (cri_config_init(&config, check->settings, &err) != BERTH_OK) {
        berth_check_problem(check, BERTH_LOG_ERROR, NULL, "%s", err.message);
        return;
    }
    if (strtoul(config.stream_server_port, NULL, 10) > 65535)
        berth_check_problem(check, BERTH_LOG_ERROR, "stream_server_port", "\"%s\" is not a port (0 to 65535)",
                            config.stream_server_port);
    if (!config.disable_tcp_service)
        berth_check_problem(check, BERTH_LOG_WARN, "disable_tcp_service",
                            "false has no effect here; to offer CRI over TCP, list runtime.v1.RuntimeService "
                            "and runtime.v1.ImageService under transports: in berthd.yaml");
    check_key_pair(check, &config);
    cri_config_finish(&config);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The images and runtime plugins: they hold their settings for the plugin that serves CRI. */
#include "cri-plugin.h"

#include <berth/types/cri.h>
#include <berth/types/deprecations.h>

/* The instance is the host's table. */
static const struct berth_settings *settings(void *instance)
{
    const struct berth_host *host = instance;

    return host->settings;
}

static void hold(const struct berth_host *host, void **ret_instance)
{
    *ret_instance = (void *)(uintptr_t)host;
}

enum berth_code images_init(const struct berth_host *host, void *prepared, void **ret_instance,
                            struct berth_error *err)
{
    hold(host, ret_instance);
    return BERTH_OK;
}

/* Architectures and systems under Go's names, as clients expect. */
#if defined(__x86_64__)
#define ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define ARCHITECTURE "arm64"
#elif defined(__arm__)
#define ARCHITECTURE "arm"
#elif defined(__i386__)
#define ARCHITECTURE "386"
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCHITECTURE "ppc64le"
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE "riscv64"
#elif defined(__s390x__)
#define ARCHITECTURE "s390x"
#elif defined(__loongarch64)
#define ARCHITECTURE "loong64"
#else
#define ARCHITECTURE "unknown"
#endif

/* Reported only if set. The id is containerd's, so that existing lists of ignored deprecations apply. */
static void report_deprecations(const struct berth_host *host)
{
    const struct berth_settings *table = host->settings;
    const struct berth_deprecations *deprecations;
    struct berth_ref ref;
    struct berth_error err;

    if (table->boolean(table->find(table->root, "enable_cdi")))
        return;
    if (berth_get_single(host, BERTH_DEPRECATIONS_TYPE, &ref, &err) != BERTH_OK)
        return;
    deprecations = ref.interface;
    if (deprecations->emit(ref.instance, "io.containerd.deprecation/enable-cdi",
                           BERTH_CRI_RUNTIME_URI ": enable_cdi: false is deprecated; remove it",
                           &err) != BERTH_OK)
        berth_log(host, BERTH_LOG_WARN, "a deprecation was not recorded: %s", err.message);
}

enum berth_code runtime_init(const struct berth_host *host, void *prepared, void **ret_instance,
                             struct berth_error *err)
{
    enum berth_code code = berth_add_platform(host, "linux", ARCHITECTURE, NULL);

    if (code == BERTH_OK)
        code = berth_add_export(host, "CRIVersion", "v1");
    if (code != BERTH_OK)
        return berth_error_set(err, code, "no memory for the runtime of CRI");
    report_deprecations(host);
    hold(host, ret_instance);
    return BERTH_OK;
}

const struct berth_cri_part images_interface = {.size = sizeof(images_interface), .settings = settings};
const struct berth_cri_part runtime_interface = {.size = sizeof(runtime_interface), .settings = settings};

/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the plugin that serves CRI. */
#include "cri.h"

#include <stdlib.h>

#include <berth/types/cri.h>

static enum berth_code find_settings(const struct berth_host *host, const char *uri,
                                     const struct berth_settings **ret_settings, struct berth_error *err)
{
    struct berth_ref ref;
    enum berth_code code = berth_get(host, uri, &ref, err);

    if (code == BERTH_OK)
        *ret_settings = ((const struct berth_cri_part *)ref.interface)->settings(ref.instance);
    return code;
}

static void find_deprecations(struct cri *cri)
{
    struct berth_ref ref;
    struct berth_error ignored;

    if (berth_get_single(cri->host, BERTH_DEPRECATIONS_TYPE, &ref, &ignored) != BERTH_OK)
        return;
    cri->deprecations = ref.interface;
    cri->deprecations_instance = ref.instance;
}

/* The caller destroys it on failure, too. */
static enum berth_code set_up(struct cri *cri, struct berth_error *err)
{
    const struct berth_settings *images;
    enum berth_code code = find_settings(cri->host, BERTH_CRI_IMAGES_URI, &images, err);

    if (code == BERTH_OK)
        code = images_config_init(&cri->images, images, err);
    if (code == BERTH_OK)
        code = find_settings(cri->host, BERTH_CRI_RUNTIME_URI, &cri->runtime_settings, err);
    if (code == BERTH_OK)
        code = runtime_config_init(&cri->runtime, cri->runtime_settings, err);
    if (code == BERTH_OK)
        code = network_init(&cri->network, cri->host, err);
    events_init(&cri->streams);
    find_deprecations(cri);
    return code;
}

static void destroy(struct cri *cri)
{
    images_config_finish(&cri->images);
    runtime_config_finish(&cri->runtime);
    free(cri);
}

enum berth_code cri_init(const struct berth_host *host, void *prepared, void **ret_instance,
                         struct berth_error *err)
{
    struct cri *cri = calloc(1, sizeof(*cri));
    enum berth_code code;

    if (cri == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the CRI service");
    cri->host = host;
    code = set_up(cri, err);
    if (code == BERTH_OK)
        *ret_instance = cri;
    else
        destroy(cri);
    return code;
}

enum berth_code cri_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct cri *cri = instance;

    events_drain(&cri->streams, host);
    return BERTH_OK;
}

static void on_idle(struct network *network)
{
    struct cri *cri = (struct cri *)network;
    const struct berth_host *host = cri->host;

    destroy(cri);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

enum berth_code cri_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct cri *cri = instance;

    if (!network_close(&cri->network, on_idle))
        return BERTH_PENDING;
    destroy(cri);
    return BERTH_OK;
}

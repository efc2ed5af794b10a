/* SPDX-License-Identifier: Apache-2.0 */
/* The plugin that serves CRI: its life. */
#include "cri-plugin.h"

#include <stdlib.h>

#include <berth/types/cri.h>

struct cri {
    const struct berth_host *host;
    const struct berth_settings *images;
    const struct berth_settings *runtime;
};

static enum berth_code find_part(const struct berth_host *host, const char *uri,
                                 const struct berth_settings **ret_settings, struct berth_error *err)
{
    struct berth_ref ref;
    enum berth_code code = berth_get(host, uri, &ref, err);

    if (code == BERTH_OK)
        *ret_settings = ((const struct berth_cri_part *)ref.interface)->settings(ref.instance);
    return code;
}

enum berth_code cri_init(const struct berth_host *host, void *prepared, void **ret_instance,
                         struct berth_error *err)
{
    struct cri *cri = calloc(1, sizeof(*cri));
    enum berth_code code;

    if (cri == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the CRI service");
    cri->host = host;
    code = find_part(host, BERTH_CRI_IMAGES_URI, &cri->images, err);
    if (code == BERTH_OK)
        code = find_part(host, BERTH_CRI_RUNTIME_URI, &cri->runtime, err);
    if (code == BERTH_OK)
        *ret_instance = cri;
    else
        free(cri);
    return code;
}

enum berth_code cri_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    free(instance);
    return BERTH_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Services that the test itself answers, for plugins that carry or intercept other people's calls. */
#include <stdlib.h>

#include "fake.h"

static const struct berth_method *method_at(const struct berth_service *service, size_t i)
{
    return (const struct berth_method *)((const char *)service->methods + i * service->method_size);
}

static enum berth_code declare(struct berth_testing *testing, const struct berth_service *service,
                               struct manifest_method *methods, struct berth_error *err)
{
    struct manifest_service declared = {
        .name = service->name,
        .methods = methods,
        .method_count = service->method_count,
    };

    for (size_t i = 0; i < service->method_count; i++)
        methods[i] = (struct manifest_method){
            .name = method_at(service, i)->name,
            .kind = method_at(service, i)->kind,
        };
    testing->stranger.uri = "io.berth.testing.v1.stranger";
    return router_declare(testing->router, &testing->stranger, &declared, err);
}

enum berth_code berth_testing_provide_service(struct berth_testing *testing,
                                              const struct berth_service *service, void *instance,
                                              struct berth_error *err)
{
    struct manifest_method *methods = calloc(service->method_count + 1, sizeof(*methods));
    enum berth_code code;

    if (methods == NULL)
        abort();
    code = declare(testing, service, methods, err);
    free(methods);
    if (code != BERTH_OK)
        return code;
    return router_set_live(testing->router, service->name, service, instance, 1, err);
}

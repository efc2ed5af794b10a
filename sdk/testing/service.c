/* SPDX-License-Identifier: Apache-2.0 */
/* Services that the test itself answers, for plugins that carry or intercept other people's calls. */
#include "fake.h"

enum berth_code berth_testing_provide_service(struct berth_testing *testing,
                                              const struct berth_service *service, void *instance,
                                              struct berth_error *err)
{
    return router_provide(testing->router, "io.berth.testing.v1.stranger", service, instance, err);
}

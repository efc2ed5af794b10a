/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the descriptors of a service to standard output, for a test that reads them as a client would. */
#include <stdio.h>

#include "kinds.berth.h"

int main(void)
{
    static const struct berth_tests_kinds_kinds_handlers kinds;
    static const struct berth_service service = BERTH_TESTS_KINDS_KINDS_SERVICE(&kinds);

    return fwrite(service.descriptors, 1, service.descriptors_length, stdout) != service.descriptors_length;
}

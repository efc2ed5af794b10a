/* SPDX-License-Identifier: Apache-2.0 */
/* One unary call without a loop: echo_client PATH TEXT prints the reply of example.Echo/Echo to TEXT. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/rpc/client.h>

int main(int argc, char **argv)
{
    struct berth_error err;
    enum berth_code code;
    void *response;
    size_t length;

    if (argc != 3) {
        fprintf(stderr, "usage: echo_client PATH TEXT\n");
        return 2;
    }
    code = berth_rpc_unary_blocking(
        &(struct berth_rpc_unary_options){
            .size = sizeof(struct berth_rpc_unary_options),
            .address = argv[1],
            .path = "/example.Echo/Echo",
            .timeout_ms = 5000,
            .request = argv[2],
            .request_length = strlen(argv[2]),
        },
        &response, &length, &err);
    if (code != BERTH_OK) {
        fprintf(stderr, "echo_client: %s: %s\n", berth_code_name(code), err.message);
        return 1;
    }
    printf("%s\n", (const char *)response);
    free(response);
    return 0;
}

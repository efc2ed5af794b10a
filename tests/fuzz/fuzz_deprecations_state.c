/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the state of the deprecations. What is taken is saved again, and that is taken as it is. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <berth/testing.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct berth_testing *start(void)
{
    struct berth_error err;
    struct berth_testing *testing = berth_testing_create(&berth_module, NULL, NULL, &err);

    assert(testing != NULL && berth_testing_start(testing, &err) == BERTH_OK);
    return testing;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct berth_testing *testing = start(), *next;
    struct berth_error err = {.message = ""};
    enum berth_code code = berth_testing_load_state(testing, 1, data, size, &err);
    const void *saved, *again;
    size_t saved_length, again_length;

    if (code == BERTH_OK) {
        next = start();
        assert(berth_testing_save_state(testing, &saved, &saved_length, &err) == BERTH_OK);
        assert(berth_testing_load_state(next, 1, saved, saved_length, &err) == BERTH_OK);
        assert(berth_testing_save_state(next, &again, &again_length, &err) == BERTH_OK);
        assert(again_length == saved_length);
        assert(saved_length == 0 || memcmp(saved, again, saved_length) == 0);
        assert(berth_testing_destroy(next, &err) == BERTH_OK);
    } else {
        assert(code == BERTH_DATA_LOSS && err.message[0] != '\0');
    }
    assert(berth_testing_destroy(testing, &err) == BERTH_OK);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The note's reader against any bytes that call themselves a file. */
#include <core/elf/elf.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct berth_error err = {{0}};
    char *text = NULL;
    size_t length = 0;
    enum berth_code code = note_find(data, size, "/fuzz.so", &text, &length, &err);

    if (code == BERTH_OK && (text == NULL || strlen(text) != length))
        abort();
    if (code != BERTH_OK && (text != NULL || err.message[0] == '\0'))
        abort();
    free(text);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Takes out of a text what is not for reading: C0, DEL, and C1 as UTF-8 has it (U+0080 to U+009F). */
#include "printable.h"

void printable_clean(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f)
            *at = ' ';
        else if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            at[0] = at[1] = ' ';
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka, behind the headers that it needs and does not include. */
#ifndef TESTS_CMOCKA_H
#define TESTS_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif

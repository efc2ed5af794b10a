/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a handle on the loop is: libuv does not say, its callbacks do. */
#ifndef CORE_HANDLES_H
#define CORE_HANDLES_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#define HANDLE_ADDRESSES_MAX 8

/**
 * The addresses that may reveal a handle's owner, best first: its callbacks, which libuv keeps in a member
 * that depends on the type; then the handle itself, which may be a variable of a module, and its data.
 *
 * @return how many were written.
 */
size_t handles_list_addresses(const uv_handle_t *handle, uintptr_t ret_addresses[HANDLE_ADDRESSES_MAX]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses this library: the code that created each server and channel, until all its handles are closed.
 * Several modules share the library, so that a handle whose callback is in here may be of any of them.
 */
#ifndef RPC_BASE_USERS_H
#define RPC_BASE_USERS_H

#include <stdbool.h>

#include <berth/rpc/export.h>

/** @param creator  the return address of the function that creates the object. From any thread. */
void users_add(const void *object, const void *creator);
/** Nothing of the object is left on a loop. Accepts one that was not added. */
void users_remove(const void *object);

/**
 * For a host that is about to unload a module: a library that exports this says by it that each of its
 * handles, and each callback that it was given, belongs to one of these users.
 *
 * @param on_user  returns whether to go on.
 * @return have all been visited? False too if some are not known.
 */
BERTH_RPC_API bool berth_library_each_user(bool (*on_user)(void *context, const void *creator),
                                           void *context);

#endif

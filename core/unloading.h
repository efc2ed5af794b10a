/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides whether a module's code can still be reached, and only then gives its memory back. Whoever calls
 * this has closed its plugins and dropped all that the host keeps of them.
 */
#ifndef CORE_UNLOADING_H
#define CORE_UNLOADING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <core/elf/elf.h>
#include <core/module/module.h>

/** Why a module is still in memory. */
struct unloading_result {
    enum residence_cause cause;
    /** One line: "a thread runs its code: greeter.so+0x12a0 (tick)". */
    char reason[256];
    /** What is in the way may be owned by others: it is not proven to be this module's. */
    bool is_owner_unknown;
    /** Its pages, as they are mapped. */
    uint64_t bytes;
};

/**
 * Unloads a module if that is safe, and proves that it is gone. In doubt it stays. May be called again later:
 * threads end, and requests complete.
 *
 * @param loop  whose handles and requests are looked at; NULL if the caller knows that it has none.
 * @return is it gone? Then `module` is freed. On the loop's thread.
 */
bool unloading_run(struct module *module, uv_loop_t *loop, struct unloading_result *ret_result);

#endif

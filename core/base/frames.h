/* SPDX-License-Identifier: Apache-2.0 */
/* Where a thread is: the frames of its stack, and their names. Async-signal-safe. */
#ifndef CORE_BASE_FRAMES_H
#define CORE_BASE_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The calling thread's frames, innermost first. Each is an address inside the instruction that calls the
 * next, not the return address, which may belong to another function.
 */
size_t frames_take(void **frames, size_t count);
/** The same in a signal handler: from the instruction that was interrupted. @param context  its third
 * argument. */
size_t frames_take_interrupted(const void *context, void **frames, size_t count);

/**
 * As frames_take_interrupted, on a stack that is broken, too: a fault on the way ends it, and the instruction
 * that was interrupted is there anyway. In a handler that leaves the signals of faults unblocked, and
 * not in one that interrupts another such handler.
 */
size_t frames_take_guarded(const void *context, void **frames, size_t count);
/** In a handler of faults: does not return if frames_take_guarded on this thread has caused it. */
void frames_recover(void);

/**
 * The path of the loaded file that has an address, as it was loaded ("" for the program itself), and the
 * offset in it. Borrowed for as long as the file is loaded: whoever unloads files has to keep other threads,
 * such as the watchdog's, from asking meanwhile. @return false if unknown.
 */
bool frames_find_file(const void *address, const char **ret_path, uintptr_t *ret_offset);
/** The last part of such a path; the program's name for "". */
const char *frames_file_name(const char *path);
/**
 * Writes "hello.so+0x1234 (do_work)"; without a symbol "hello.so+0x1234"; where no file has the address
 * "0x7f0012345678".
 */
void frames_describe(const void *address, char *text, size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Watches the files of a TLS configuration, whether they are written, renamed into place, or behind a symlink
 * that is switched. */
#ifndef RPC_SERVER_TLS_FILES_H
#define RPC_SERVER_TLS_FILES_H

#include <uv.h>

#include <berth/error.h>
#include <berth/rpc/transport.h>

struct tls_files;

/**
 * @param options    Copied.
 * @param on_change  From the loop, when a file has changed and then nothing has for a second. The files may
 * be incomplete even so: it is called again when they change again.
 * @return to be closed before the loop; NULL, with the reason in `err`, without memory or inotify.
 */
struct tls_files *tls_files_watch(uv_loop_t *loop, const struct berth_rpc_tls_options *options,
                                  void (*on_change)(void *context,
                                                    const struct berth_rpc_tls_options *options),
                                  void *context, struct berth_error *err);

/** No call of on_change follows; the memory goes when the loop has closed the handles. */
void tls_files_close(struct tls_files *files);

#endif

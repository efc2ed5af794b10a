/* SPDX-License-Identifier: Apache-2.0 */
/* Marks what libberth-rpc exports. */
#ifndef BERTH_RPC_EXPORT_H
#define BERTH_RPC_EXPORT_H

#if defined(__GNUC__)
#define BERTH_RPC_API __attribute__((visibility("default")))
#else
#define BERTH_RPC_API
#endif

#endif

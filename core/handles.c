/* SPDX-License-Identifier: Apache-2.0 */
/* Finds out which plugin owns a handle on the loop, as far as its callbacks show. */
#include "handles.h"

size_t handles_list_addresses(const uv_handle_t *handle, uintptr_t addresses[HANDLE_ADDRESSES_MAX])
{
    size_t count = 0;

    switch (handle->type) {
    case UV_ASYNC:
        addresses[count++] = (uintptr_t)((const uv_async_t *)handle)->async_cb;
        break;
    case UV_CHECK:
        addresses[count++] = (uintptr_t)((const uv_check_t *)handle)->check_cb;
        break;
    case UV_FS_EVENT:
        addresses[count++] = (uintptr_t)((const uv_fs_event_t *)handle)->cb;
        break;
    case UV_IDLE:
        addresses[count++] = (uintptr_t)((const uv_idle_t *)handle)->idle_cb;
        break;
    case UV_NAMED_PIPE:
    case UV_TCP:
    case UV_TTY:
        addresses[count++] = (uintptr_t)((const uv_stream_t *)handle)->connection_cb;
        addresses[count++] = (uintptr_t)((const uv_stream_t *)handle)->read_cb;
        addresses[count++] = (uintptr_t)((const uv_stream_t *)handle)->alloc_cb;
        break;
    case UV_POLL:
        addresses[count++] = (uintptr_t)((const uv_poll_t *)handle)->poll_cb;
        break;
    case UV_PREPARE:
        addresses[count++] = (uintptr_t)((const uv_prepare_t *)handle)->prepare_cb;
        break;
    case UV_PROCESS:
        addresses[count++] = (uintptr_t)((const uv_process_t *)handle)->exit_cb;
        break;
    case UV_SIGNAL:
        addresses[count++] = (uintptr_t)((const uv_signal_t *)handle)->signal_cb;
        break;
    case UV_TIMER:
        addresses[count++] = (uintptr_t)((const uv_timer_t *)handle)->timer_cb;
        break;
    case UV_UDP:
        addresses[count++] = (uintptr_t)((const uv_udp_t *)handle)->recv_cb;
        break;
    default:
        break;
    }
    if (uv_is_closing(handle))
        addresses[count++] = (uintptr_t)handle->close_cb;
    addresses[count++] = (uintptr_t)handle;
    addresses[count++] = (uintptr_t)handle->data;
    return count;
}

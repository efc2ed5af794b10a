/* SPDX-License-Identifier: Apache-2.0 */
/* The methods of the image service: there are no images, and pulls are refused. */
#include <stdio.h>
#include <time.h>

#include "cri.h"

static void list_images(struct berth_call *call, const Runtime__V1__ListImagesRequest *request)
{
    berth_call_reply(call, "", 0);
}

static void stream_images(struct berth_call *call, const Runtime__V1__StreamImagesRequest *request)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

/* A missing image is not an error: the reply contains none. */
static void image_status(struct berth_call *call, const Runtime__V1__ImageStatusRequest *request)
{
    berth_call_reply(call, "", 0);
}

static int64_t read_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Where the snapshotter keeps its files, nothing is used. */
static void image_fs_info(struct berth_call *call, const Runtime__V1__ImageFsInfoRequest *request)
{
    const struct cri *cri = call->instance;
    Runtime__V1__ImageFsInfoResponse reply = RUNTIME__V1__IMAGE_FS_INFO_RESPONSE__INIT;
    Runtime__V1__FilesystemUsage usage = RUNTIME__V1__FILESYSTEM_USAGE__INIT;
    Runtime__V1__FilesystemIdentifier place = RUNTIME__V1__FILESYSTEM_IDENTIFIER__INIT;
    Runtime__V1__UInt64Value bytes = RUNTIME__V1__UINT64_VALUE__INIT;
    Runtime__V1__UInt64Value inodes = RUNTIME__V1__UINT64_VALUE__INIT;
    Runtime__V1__FilesystemUsage *usages[] = {&usage};
    char path[4096];

    snprintf(path, sizeof(path), "%s/io.containerd.snapshotter.v1.%s", cri->host->inspect->daemon->root,
             cri->images.snapshotter);
    place.mountpoint = path;
    usage.timestamp = read_clock();
    usage.fs_id = &place;
    usage.used_bytes = &bytes;
    usage.inodes_used = &inodes;
    reply.image_filesystems = usages;
    reply.n_image_filesystems = 1;
    runtime_v1_image_service_image_fs_info_reply(call, &reply);
}

static void refuse_images(struct berth_call *call, const void *request, size_t length)
{
    berth_call_finish(call, BERTH_UNIMPLEMENTED,
                      "this daemon has no images yet: it has no content store and no transfer service");
}

const struct runtime_v1_image_service_handlers cri_image_service_handlers = {
    .list_images = {.on_message = list_images},
    .stream_images = {.on_message = stream_images},
    .image_status = {.on_message = image_status},
    .pull_image = {.on_bytes = refuse_images},
    .remove_image = {.on_bytes = refuse_images},
    .image_fs_info = {.on_message = image_fs_info},
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The methods of the runtime service: there are no pods or containers; calls that would create one fail. */
#include <berth/answer.h>

#include "status.h"

/* A reply without fields: a list without items. */
static void answer_empty(struct berth_call *call)
{
    berth_call_reply(call, "", 0);
}

static void end_stream(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

#define ANSWER_EMPTY(name, Name)                                                                             \
    static void name(struct berth_call *call, const Runtime__V1__##Name##Request *request)                   \
    {                                                                                                        \
        answer_empty(call);                                                                                  \
    }

#define END_STREAM(name, Name)                                                                               \
    static void name(struct berth_call *call, const Runtime__V1__##Name##Request *request)                   \
    {                                                                                                        \
        end_stream(call);                                                                                    \
    }

ANSWER_EMPTY(list_pod_sandbox, ListPodSandbox)
ANSWER_EMPTY(list_containers, ListContainers)
ANSWER_EMPTY(list_container_stats, ListContainerStats)
ANSWER_EMPTY(list_pod_sandbox_stats, ListPodSandboxStats)
/* Descriptors of the metrics that the next method lists: none. */
ANSWER_EMPTY(list_metric_descriptors, ListMetricDescriptors)
ANSWER_EMPTY(list_pod_sandbox_metrics, ListPodSandboxMetrics)
END_STREAM(stream_pod_sandboxes, StreamPodSandboxes)
END_STREAM(stream_containers, StreamContainers)
END_STREAM(stream_container_stats, StreamContainerStats)
END_STREAM(stream_pod_sandbox_stats, StreamPodSandboxStats)
END_STREAM(stream_pod_sandbox_metrics, StreamPodSandboxMetrics)

static void get_container_events(struct berth_call *call, const Runtime__V1__GetEventsRequest *request)
{
    struct cri *cri = call->instance;

    events_add(&cri->streams, call);
}

static void end_container_events(struct berth_call *call, enum berth_code code)
{
    events_remove(call);
}

static void update_runtime_config(struct berth_call *call,
                                  const Runtime__V1__UpdateRuntimeConfigRequest *request)
{
    struct cri *cri = call->instance;
    const Runtime__V1__NetworkConfig *network =
        request->runtime_config == NULL ? NULL : request->runtime_config->network_config;

    if (network == NULL || network->pod_cidr[0] == '\0')
        answer_empty(call);
    else
        network_set(&cri->network, call, network->pod_cidr);
}

/* The answer does not depend on the request, so it is not decoded. */
static void refuse_pods(struct berth_call *call, const void *request, size_t length)
{
    berth_call_finish(call, BERTH_UNIMPLEMENTED,
                      "this daemon does not run pods yet: it has no sandbox controller and no pod network");
}

static void refuse_containers(struct berth_call *call, const void *request, size_t length)
{
    berth_call_finish(call, BERTH_UNIMPLEMENTED,
                      "this daemon does not run containers yet: it has no snapshotter and no shims");
}

static void refuse_streaming(struct berth_call *call, const void *request, size_t length)
{
    berth_call_finish(call, BERTH_UNIMPLEMENTED,
                      "this daemon does not run containers yet, and has no streaming server");
}

static void refuse_checkpoints(struct berth_call *call, const void *request, size_t length)
{
    berth_call_finish(call, BERTH_UNIMPLEMENTED,
                      "this daemon does not run containers yet, and does not call CRIU");
}

const struct runtime_v1_runtime_service_handlers cri_runtime_service_handlers = {
    .version = {.on_message = status_version},
    .run_pod_sandbox = {.on_bytes = refuse_pods},
    .stop_pod_sandbox = {.on_bytes = refuse_pods},
    .remove_pod_sandbox = {.on_bytes = refuse_pods},
    .pod_sandbox_status = {.on_bytes = refuse_pods},
    .list_pod_sandbox = {.on_message = list_pod_sandbox},
    .stream_pod_sandboxes = {.on_message = stream_pod_sandboxes},
    .create_container = {.on_bytes = refuse_containers},
    .start_container = {.on_bytes = refuse_containers},
    .stop_container = {.on_bytes = refuse_containers},
    .remove_container = {.on_bytes = refuse_containers},
    .list_containers = {.on_message = list_containers},
    .stream_containers = {.on_message = stream_containers},
    .container_status = {.on_bytes = refuse_containers},
    .update_container_resources = {.on_bytes = refuse_containers},
    .reopen_container_log = {.on_bytes = refuse_containers},
    .exec_sync = {.on_bytes = refuse_containers},
    .exec = {.on_bytes = refuse_streaming},
    .attach = {.on_bytes = refuse_streaming},
    .port_forward = {.on_bytes = refuse_streaming},
    .container_stats = {.on_bytes = refuse_containers},
    .list_container_stats = {.on_message = list_container_stats},
    .stream_container_stats = {.on_message = stream_container_stats},
    .pod_sandbox_stats = {.on_bytes = refuse_pods},
    .list_pod_sandbox_stats = {.on_message = list_pod_sandbox_stats},
    .stream_pod_sandbox_stats = {.on_message = stream_pod_sandbox_stats},
    .update_runtime_config = {.on_message = update_runtime_config, .on_end = berth_answer_on_end},
    .status = {.on_message = status_get},
    .checkpoint_container = {.on_bytes = refuse_checkpoints},
    .checkpoint_pod = {.on_bytes = refuse_checkpoints},
    .restore_pod = {.on_bytes = refuse_checkpoints},
    .get_container_events = {.on_message = get_container_events, .on_end = end_container_events},
    .list_metric_descriptors = {.on_message = list_metric_descriptors},
    .list_pod_sandbox_metrics = {.on_message = list_pod_sandbox_metrics},
    .stream_pod_sandbox_metrics = {.on_message = stream_pod_sandbox_metrics},
    .runtime_config = {.on_message = status_runtime_config},
    .update_pod_sandbox_resources = {.on_bytes = refuse_pods},
};

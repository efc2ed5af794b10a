/* SPDX-License-Identifier: Apache-2.0 */
/* The status of the node. */
#ifndef CRI_STATUS_H
#define CRI_STATUS_H

#include "cri.h"

void status_version(struct berth_call *call, const Runtime__V1__VersionRequest *request);
void status_get(struct berth_call *call, const Runtime__V1__StatusRequest *request);
void status_runtime_config(struct berth_call *call, const Runtime__V1__RuntimeConfigRequest *request);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/health.h"

#include <stdarg.h>

#include "base/clock.h"
#include "model/vm.h"
#include "wire/request.h"

/* An answer that takes longer is worth telling. */
#define SLOW_US (1u * G_USEC_PER_SEC)

typedef struct {
    VrdHealth worst;
    VrdHealth level; /* that is being looked for in this pass */
    GPtrArray *reasons;
} Findings;

static void G_GNUC_PRINTF(3, 4)
    found(Findings *findings, VrdHealth level, const char *format, ...)
{
    va_list args;

    if (level != findings->level) {
        return;
    }
    findings->worst = MAX(findings->worst, level);
    if (findings->reasons != NULL) {
        va_start(args, format);
        g_ptr_array_add(findings->reasons, g_strdup_vprintf(format, args));
        va_end(args);
    }
}

static void
look_at_backend(const VrdDevice *device, Findings *findings)
{
    const char *state = vrd_device_backend_state_name(device->backend_state);
    const char *why = device->backend_reason != NULL ? device->backend_reason : "";
    const char *colon = *why != '\0' ? ": " : "";
    VrdHealth level = VRD_HEALTH_WAITING;

    switch (device->backend_state) {
    case VRD_BACKEND_LIVE:
    case VRD_BACKEND_DRAINING:
        return;
    case VRD_BACKEND_HELD:
    case VRD_BACKEND_QUARANTINED:
        level = VRD_HEALTH_FAILED;
        break;
    case VRD_BACKEND_NEGOTIATING:
    case VRD_BACKEND_REPLAYING:
    case VRD_BACKEND_DOWN:
    case VRD_BACKEND_CONNECTING:
        level = device->vmm_state == VRD_VMM_RUNNING ? VRD_HEALTH_DEGRADED
                                                     : VRD_HEALTH_WAITING;
        break;
    }
    found(findings, level, "the backend link is %s%s%s", state, colon, why);
}

static void
look_at_rings(const VrdDevice *device, Findings *findings)
{
    for (unsigned i = 0; i < device->n_rings; i++) {
        if (device->rings[i].started && !device->rings[i].mapped) {
            found(findings, VRD_HEALTH_DEGRADED,
                  "ring %u is started but lies outside the memory table", i);
        }
    }
}

static void
look_at_vmm(const VrdDevice *device, Findings *findings)
{
    if (device->vmm_state == VRD_VMM_IDLE) {
        found(findings, VRD_HEALTH_WAITING, "no VMM is connected%s%s",
              device->vmm_reason != NULL ? ", the last one left: " : "",
              device->vmm_reason != NULL ? device->vmm_reason : "");
    }
    if (device->memory != NULL && !vrd_vm_memory_is_consistent(device->vm)) {
        found(findings, VRD_HEALTH_DEGRADED,
              "devices of VM %s have differing memory tables", device->vm->name);
    }
}

static void
look_at_waiting(const VrdDevice *device, Findings *findings)
{
    uint64_t now = vrd_clock_now_us();

    if (device->backend_waiting != 0 &&
        now > device->backend_waiting_since_us + SLOW_US) {
        found(findings, VRD_HEALTH_DEGRADED, "the backend has not answered %s for %u s",
              vrd_request_name(device->backend_waiting),
              (unsigned) ((now - device->backend_waiting_since_us) / G_USEC_PER_SEC));
    }
}

VrdHealth
vrd_health_ask(const VrdDevice *device, GPtrArray *reasons)
{
    Findings findings = {.worst = VRD_HEALTH_OK, .reasons = reasons};

    for (int level = VRD_HEALTH_FAILED; level > VRD_HEALTH_OK; level--) {
        findings.level = (VrdHealth) level;
        look_at_backend(device, &findings);
        look_at_rings(device, &findings);
        look_at_waiting(device, &findings);
        look_at_vmm(device, &findings);
    }
    return findings.worst;
}

const char *
vrd_health_name(VrdHealth health)
{
    switch (health) {
    case VRD_HEALTH_OK:
        return "ok";
    case VRD_HEALTH_WAITING:
        return "waiting";
    case VRD_HEALTH_DEGRADED:
        return "degraded";
    case VRD_HEALTH_FAILED:
        return "failed";
    }
    return "unknown"; /* a number from elsewhere, cast to the enum */
}

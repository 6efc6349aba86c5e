/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/health.h"

#include <string.h>

#include "base/clock.h"
#include "model/vm.h"
#include "wire/request.h"

typedef struct {
    VrdVm *vm;
    VrdDevice *device;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    f->vm = vrd_vm_new("web1", NULL);
    f->device = vrd_device_new(f->vm, "net0", "web1-net0", VRD_KIND_NET);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    vrd_device_free(f->device);
    vrd_vm_unref(f->vm);
}

static void
test_links_decide(Fixture *f, gconstpointer data)
{
    static const struct {
        VrdVmmState vmm;
        VrdBackendState backend;
        VrdHealth health;
    } rows[] = {
        {VRD_VMM_RUNNING, VRD_BACKEND_LIVE, VRD_HEALTH_OK},
        {VRD_VMM_RUNNING, VRD_BACKEND_DRAINING, VRD_HEALTH_OK},
        {VRD_VMM_STOPPED, VRD_BACKEND_LIVE, VRD_HEALTH_OK},
        {VRD_VMM_IDLE, VRD_BACKEND_LIVE, VRD_HEALTH_WAITING},
        {VRD_VMM_IDLE, VRD_BACKEND_DOWN, VRD_HEALTH_WAITING},
        {VRD_VMM_HANDSHAKE, VRD_BACKEND_CONNECTING, VRD_HEALTH_WAITING},
        {VRD_VMM_RUNNING, VRD_BACKEND_DOWN, VRD_HEALTH_DEGRADED},
        {VRD_VMM_RUNNING, VRD_BACKEND_REPLAYING, VRD_HEALTH_DEGRADED},
        {VRD_VMM_RUNNING, VRD_BACKEND_HELD, VRD_HEALTH_FAILED},
        {VRD_VMM_IDLE, VRD_BACKEND_QUARANTINED, VRD_HEALTH_FAILED},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);

        f->device->vmm_state = rows[i].vmm;
        f->device->backend_state = rows[i].backend;
        g_test_message("row %u", i);
        g_assert_cmpint(vrd_health_ask(f->device, reasons), ==, rows[i].health);
        g_assert_true((rows[i].health == VRD_HEALTH_OK) == (reasons->len == 0));
        g_assert_cmpint(vrd_health_ask(f->device, NULL), ==, rows[i].health);
    }
}

static void
test_the_worst_reason_comes_first(Fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);

    f->device->backend_state = VRD_BACKEND_QUARANTINED;
    f->device->backend_reason = g_strdup("answered twice");
    g_assert_cmpint(vrd_health_ask(f->device, reasons), ==, VRD_HEALTH_FAILED);
    g_assert_cmpuint(reasons->len, ==, 2);
    g_assert_nonnull(
        strstr(g_ptr_array_index(reasons, 0), "quarantined: answered twice"));
    g_assert_nonnull(strstr(g_ptr_array_index(reasons, 1), "no VMM is connected"));
}

static void
test_an_answer_that_is_late_is_told_by_name(Fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);

    f->device->vmm_state = VRD_VMM_RUNNING;
    f->device->backend_state = VRD_BACKEND_LIVE;
    f->device->backend_waiting = VRD_REQUEST_GET_VRING_BASE;
    f->device->backend_waiting_since_us = vrd_clock_now_us();
    g_assert_cmpint(vrd_health_ask(f->device, NULL), ==, VRD_HEALTH_OK);
    f->device->backend_waiting_since_us -= 10 * G_USEC_PER_SEC;
    g_assert_cmpint(vrd_health_ask(f->device, reasons), ==, VRD_HEALTH_DEGRADED);
    g_assert_nonnull(strstr(g_ptr_array_index(reasons, 0), "GET_VRING_BASE"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/health/links-decide", Fixture, NULL, set_up, test_links_decide,
               tear_down);
    g_test_add("/health/the-worst-reason-comes-first", Fixture, NULL, set_up,
               test_the_worst_reason_comes_first, tear_down);
    g_test_add("/health/an-answer-that-is-late-is-told-by-name", Fixture, NULL, set_up,
               test_an_answer_that_is_late_is_told_by_name, tear_down);
    return g_test_run();
}

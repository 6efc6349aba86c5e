/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where rings of a lost backend stand, and whether another one can go on there. */
#include "flow/resume.h"

#include "../fake.h"
#include "model/vm.h"

#define PACKED VRD_FEATURE_BIT(VRD_VIRTIO_F_RING_PACKED)

typedef struct {
    sd_event *event;
    VrdVm *vm;
    VrdDevice *device;
    int guest;
    int kick;
    int call;
    unsigned base_fds;
} Rig;

static void
start_ring(Rig *rig, uint32_t index, gboolean packed)
{
    VrdRing *ring = vrd_device_ring(rig->device, index, NULL);
    VrdPayloadAddr addr = fake_ring_addr(index, 0);

    g_assert_true(vrd_ring_set_size(ring, RING_SIZE, packed, NULL));
    g_assert_true(vrd_ring_set_addr(ring, &addr, packed, rig->device->memory, NULL));
    g_assert_true(
        vrd_ring_set_file(ring, VRD_RING_KICK, vrd_fd_dup(rig->kick, NULL), NULL));
    g_assert_true(
        vrd_ring_set_file(ring, VRD_RING_CALL, vrd_fd_dup(rig->call, NULL), NULL));
    g_assert_true(vrd_ring_start(ring, packed, rig->device->memory, NULL));
    ring->served = TRUE;
}

static void
rig_start(Rig *rig, VrdKind kind, gboolean packed)
{
    g_autoptr(VrdMemfile) file = NULL;
    VrdMemtable *table = vrd_memtable_new();
    VrdMemregion region = {0, GUEST_BYTES, GUEST_USER, 0, NULL};

    memset(rig, 0, sizeof *rig);
    rig->base_fds = rig_count_fds();
    rig->event = rig_event_new();
    rig->vm = vrd_vm_new("web1", NULL);
    rig->device = vrd_device_new(rig->vm, "d", "web1-d", kind);
    rig->device->features = packed ? PACKED : 0;
    rig->guest = fake_memfd(GUEST_BYTES);
    rig->kick = fake_eventfd();
    rig->call = fake_eventfd();
    file = vrd_vm_memfile(rig->vm, vrd_fd_dup(rig->guest, NULL), NULL);
    region.file = file;
    g_assert_true(vrd_memtable_add(table, &region, NULL));
    vrd_device_set_memory(rig->device, table);
    start_ring(rig, 0, packed);
    start_ring(rig, 1, packed);
}

static void
rig_end(Rig *rig)
{
    vrd_device_free(rig->device);
    vrd_vm_unref(rig->vm);
    vrd_fd_close(&rig->guest);
    vrd_fd_close(&rig->kick);
    vrd_fd_close(&rig->call);
    sd_event_unref(rig->event);
    g_assert_cmpuint(rig_count_fds(), ==, rig->base_fds);
}

static void
set_inflight(Rig *rig)
{
    VrdPayloadInflight geometry = {
        .mmap_size = 4096, .n_queues = 2, .queue_size = RING_SIZE};

    vrd_inflight_set(&rig->device->inflight, fake_memfd(4096), &geometry);
}

static void
test_net_goes_on_at_the_used_index(void)
{
    Rig rig;

    rig_start(&rig, VRD_KIND_NET, FALSE);
    fake_set_indices(rig.guest, 0, 300, 310);
    fake_set_indices(rig.guest, 1, 65535, 3);
    g_assert_true(vrd_resume_prepare(rig.device, NULL));
    g_assert_cmpuint(rig.device->rings[0].base, ==, 300);
    g_assert_cmpuint(rig.device->rings[1].base, ==, 65535);
    rig_end(&rig);
}

static void
test_requests_out_of_order_hold_all_rings_back(void)
{
    g_autoptr(GError) error = NULL;
    Rig rig;

    rig_start(&rig, VRD_KIND_BLK, FALSE);
    fake_set_indices(rig.guest, 0, 6, 6);
    fake_set_indices(rig.guest, 1, 3, 5);
    g_assert_false(vrd_resume_prepare(rig.device, &error));
    g_assert_error(error, VRD_ERROR, VRD_ERROR_STATE);
    g_assert_nonnull(strstr(error->message, "ring 1"));
    g_assert_nonnull(strstr(error->message, "used index 3, available index 5"));
    /* nothing was changed, in the other ring neither */
    g_assert_cmpuint(rig.device->rings[0].base, ==, 0);
    g_clear_error(&error);
    fake_set_indices(rig.guest, 1, 5, 5);
    g_assert_true(vrd_resume_prepare(rig.device, &error));
    g_assert_cmpuint(rig.device->rings[0].base, ==, 6);
    g_assert_cmpuint(rig.device->rings[1].base, ==, 5);
    rig_end(&rig);
}

static void
test_ring_that_completed_nothing_can_begin_again(void)
{
    Rig rig;

    rig_start(&rig, VRD_KIND_BLK, FALSE);
    rig.device->rings[0].base = 7;
    fake_set_indices(rig.guest, 0, 7, 9);
    g_assert_true(vrd_resume_prepare(rig.device, NULL));
    g_assert_cmpuint(rig.device->rings[0].base, ==, 7);
    rig_end(&rig);
}

static void
test_inflight_region_tells_the_rest(void)
{
    Rig rig;

    rig_start(&rig, VRD_KIND_BLK, FALSE);
    set_inflight(&rig);
    fake_set_indices(rig.guest, 0, 3, 5);
    g_assert_true(vrd_resume_prepare(rig.device, NULL));
    g_assert_cmpuint(rig.device->rings[0].base, ==, 3);
    rig_end(&rig);
}

static void
test_packed_rings_need_an_inflight_region(void)
{
    g_autoptr(GError) error = NULL;
    Rig rig;

    rig_start(&rig, VRD_KIND_NET, TRUE);
    rig.device->rings[0].base = 0x80008000;
    g_assert_false(vrd_resume_prepare(rig.device, &error));
    g_assert_error(error, VRD_ERROR, VRD_ERROR_STATE);
    set_inflight(&rig);
    g_assert_true(vrd_resume_prepare(rig.device, NULL));
    g_assert_cmphex(rig.device->rings[0].base, ==, 0x80008000);
    rig_end(&rig);
}

static void
test_ring_that_no_backend_had_stands_where_the_vmm_said(void)
{
    Rig rig;

    rig_start(&rig, VRD_KIND_BLK, FALSE);
    rig.device->rings[0].served = FALSE;
    rig.device->rings[0].base = 42;
    fake_set_indices(rig.guest, 0, 3, 5);
    g_assert_true(vrd_resume_prepare(rig.device, NULL));
    g_assert_cmpuint(rig.device->rings[0].base, ==, 42);
    g_assert_cmpuint(vrd_resume_base(rig.device, 0), ==, 42);
    g_assert_cmpuint(vrd_resume_base(rig.device, 200), ==, 0);
    rig_end(&rig);
}

static void
test_memory_that_is_gone_is_an_error_and_no_crash(void)
{
    g_autoptr(GError) error = NULL;
    Rig rig;

    rig_start(&rig, VRD_KIND_NET, FALSE);
    rig.device->rings[0].base = 11;
    g_assert_cmpint(ftruncate(rig.guest, 0), ==, 0);
    g_assert_false(vrd_resume_prepare(rig.device, &error));
    g_assert_nonnull(error);
    g_assert_cmpuint(vrd_resume_base(rig.device, 0), ==, 11);
    rig_end(&rig);
}

static void
await_write(Rig *rig, int fd)
{
    uint64_t value;

    rig_run_until(rig->event, read(fd, &value, sizeof value) == sizeof value);
}

static void
test_wake_writes_to_kick_and_call_of_started_rings(void)
{
    Rig rig;

    rig_start(&rig, VRD_KIND_NET, FALSE);
    vrd_resume_wake(rig.event, rig.device);
    await_write(&rig, rig.kick);
    await_write(&rig, rig.call);
    vrd_ring_stop(&rig.device->rings[0], 0);
    vrd_ring_stop(&rig.device->rings[1], 0);
    vrd_resume_wake(rig.event, rig.device);
    rig_settle(rig.event);
    rig_end(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/resume/" #name_, test_##name_)
    ADD(net_goes_on_at_the_used_index);
    ADD(requests_out_of_order_hold_all_rings_back);
    ADD(ring_that_completed_nothing_can_begin_again);
    ADD(inflight_region_tells_the_rest);
    ADD(packed_rings_need_an_inflight_region);
    ADD(ring_that_no_backend_had_stands_where_the_vmm_said);
    ADD(memory_that_is_gone_is_an_error_and_no_crash);
    ADD(wake_writes_to_kick_and_call_of_started_rings);
    return g_test_run();
}

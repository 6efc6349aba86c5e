/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory tables and the dirty log, as a VMM sets them. */
#include "vmm-rig.h"

static unsigned
n_regions(const Rig *rig)
{
    return rig->device->memory != NULL ? vrd_memtable_n_regions(rig->device->memory) : 0;
}

static void
test_table_replaces_the_former_one(void)
{
    Rig rig;
    unsigned n;

    rig_start(&rig);
    greet(&rig, OFFERED);
    n = rig_count_fds();
    assert_acked(&rig, fake_table(NEED_REPLY, rig.guest, 1));
    g_assert_cmpuint(n_regions(&rig), ==, 1);
    assert_acked(&rig, fake_table(NEED_REPLY, rig.guest, 3));
    g_assert_cmpuint(n_regions(&rig), ==, 3);
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_SYNC);
    /* one descriptor a file, whatever the number of regions */
    g_assert_cmpuint(rig_count_fds(), ==, n + 1);
    rig_end(&rig);
}

static void
test_wrong_table_leaves_the_old_one(void)
{
    VrdMessage overlap;
    VrdPayloadMemory memory;
    Rig rig;
    unsigned n;

    rig_start(&rig);
    greet(&rig, OFFERED);
    set_memory(&rig);
    n = rig_count_fds();
    assert_refused(&rig, fake_table(NEED_REPLY, rig.bell, 1));  /* an eventfd */
    assert_refused(&rig, fake_table(NEED_REPLY, rig.guest, 8)); /* past its end */
    overlap = fake_table(NEED_REPLY, rig.guest, 2);
    vrd_payload_get_memory(&overlap, &memory);
    memory.regions[1].guest_addr = memory.regions[0].guest_addr + 4096;
    vrd_payload_put_memory(&overlap, &memory);
    assert_refused(&rig, overlap);
    g_assert_cmpuint(n_regions(&rig), ==, 1);
    g_assert_cmpuint(rig_count_fds(), ==, n);
    rig_end(&rig);
}

static void
test_slots_come_and_go(void)
{
    Rig rig;
    unsigned n;

    rig_start(&rig);
    greet(&rig, OFFERED);
    n = rig_count_fds();
    assert_acked(&rig, fake_slot(VRD_REQUEST_ADD_MEM_REG, NEED_REPLY, 0, rig.guest));
    assert_acked(&rig, fake_slot(VRD_REQUEST_ADD_MEM_REG, NEED_REPLY, 1, rig.guest));
    g_assert_cmpuint(n_regions(&rig), ==, 2);
    assert_acked(&rig, fake_slot(VRD_REQUEST_REM_MEM_REG, NEED_REPLY, 0, -1));
    /* with a descriptor, as older front-ends do */
    assert_acked(&rig, fake_slot(VRD_REQUEST_REM_MEM_REG, NEED_REPLY, 1, rig.guest));
    g_assert_cmpuint(n_regions(&rig), ==, 0);
    g_assert_cmpuint(rig_count_fds(), ==, n);
    assert_refused(&rig, fake_slot(VRD_REQUEST_REM_MEM_REG, NEED_REPLY, 1, -1));
    rig_end(&rig);
}

static void
test_repeated_slot_is_counted(void)
{
    Rig rig;
    unsigned n;

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_acked(&rig, fake_slot(VRD_REQUEST_ADD_MEM_REG, NEED_REPLY, 0, rig.guest));
    g_assert_cmpuint(rig.n_effects, ==, 1);
    n = rig_count_fds();
    assert_acked(&rig, fake_slot(VRD_REQUEST_ADD_MEM_REG, NEED_REPLY, 0, rig.guest));
    g_assert_cmpuint(rig_count_fds(), ==, n);
    assert_acked(&rig, fake_slot(VRD_REQUEST_REM_MEM_REG, NEED_REPLY, 0, -1));
    g_assert_cmpuint(n_regions(&rig), ==, 1);
    g_assert_cmpuint(rig.n_effects, ==, 1);
    assert_acked(&rig, fake_slot(VRD_REQUEST_REM_MEM_REG, NEED_REPLY, 0, -1));
    g_assert_cmpuint(n_regions(&rig), ==, 0);
    g_assert_cmpuint(rig.n_effects, ==, 2);
    rig_end(&rig);
}

static void
test_slot_over_the_answered_number_is_refused(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    rig.device->offer.n_mem_slots = 1;
    assert_acked(&rig, fake_slot(VRD_REQUEST_ADD_MEM_REG, NEED_REPLY, 0, rig.guest));
    assert_refused(&rig, fake_slot(VRD_REQUEST_ADD_MEM_REG, NEED_REPLY, 1, rig.guest));
    g_assert_cmpuint(n_regions(&rig), ==, 1);
    rig_end(&rig);
}

static void
test_log_is_answered_by_16_bytes(void)
{
    VrdMessage reply;
    VrdPayloadLog log;
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    set_memory(&rig);
    reply = ask(&rig, fake_log(0, rig.guest));
    g_assert_cmpuint(reply.size, ==, 16);
    g_assert_cmpuint(reply.n_fds, ==, 0);
    vrd_payload_get_log(&reply, &log);
    g_assert_cmpuint(log.mmap_size, ==, LOG_BYTES);
    g_assert_cmpuint(log.mmap_offset, ==, 0);
    g_assert_nonnull(rig.device->log);
    g_assert_true(rig.effect_waits);
    rig_end(&rig);
}

/* The front-end that everybody has aborts at a failure in answer to a log message. */
static void
test_log_that_the_backend_fails_is_answered_all_the_same(void)
{
    g_autoptr(GError) error = g_error_new(VRD_ERROR, VRD_ERROR_REFUSED, "no");
    VrdMessage reply;
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    set_memory(&rig);
    rig.waits = TRUE;
    tell(&rig, fake_log(0, rig.guest));
    vrd_vmm_link_finish(rig.link, error);
    fake_expect(rig.event, rig.socket, VRD_REQUEST_SET_LOG_BASE, &reply);
    g_assert_cmpuint(reply.size, ==, 16);
    rig_end(&rig);
}

static void
test_log_that_cannot_hold_the_guest_closes(void)
{
    VrdMessage message;
    VrdPayloadLog log = {.mmap_size = 8};
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    tell(&rig, fake_table(0, rig.guest, 3));
    message = fake_log(0, rig.guest);
    vrd_payload_put_log(&message, &log);
    assert_closes(&rig, message, "SET_LOG_BASE");
    g_assert_null(rig.device->log);
    rig_end(&rig);

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_closes(&rig, fake_log(0, rig.bell), "SET_LOG_BASE");
    rig_end(&rig);

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_closes(&rig, fake_log(0, -1), "SET_LOG_BASE");
    rig_end(&rig);
}

static void
test_log_event_descriptor_is_accepted_and_dropped(void)
{
    VrdMessage message = fake_empty(VRD_REQUEST_SET_LOG_FD, NEED_REPLY);
    Rig rig;
    unsigned n;

    rig_start(&rig);
    greet(&rig, OFFERED);
    n = rig_count_fds();
    vrd_message_add_fd(&message, rig.bell);
    assert_acked(&rig, message);
    g_assert_cmpuint(rig.n_effects, ==, 0);
    g_assert_cmpuint(rig_count_fds(), ==, n);
    rig_end(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/handle-memory/" #name_, test_##name_)
    ADD(table_replaces_the_former_one);
    ADD(wrong_table_leaves_the_old_one);
    ADD(slots_come_and_go);
    ADD(repeated_slot_is_counted);
    ADD(slot_over_the_answered_number_is_refused);
    ADD(log_is_answered_by_16_bytes);
    ADD(log_that_the_backend_fails_is_answered_all_the_same);
    ADD(log_that_cannot_hold_the_guest_closes);
    ADD(log_event_descriptor_is_accepted_and_dropped);
    return g_test_run();
}

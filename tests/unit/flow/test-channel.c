/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two halves of a backend channel, the test at the other end of both. */
#include "flow/channel.h"

#include "../fake.h"
#include "model/vm.h"

typedef struct {
    sd_event *event;
    VrdVm *vm;
    VrdDevice *device;
    VrdChannel *channel;
    int vmm;     /* the VMM's end */
    int backend; /* the backend's end */
    unsigned base_fds;
    unsigned n_changed;
} Rig;

static void
on_changed(gpointer user_data)
{
    Rig *rig = user_data;

    rig->n_changed++;
}

static const VrdChannelOwner owner = {on_changed};

static void
set_vmm(Rig *rig)
{
    int ends[2];

    rig_pair(ends);
    vrd_fd_close(&rig->vmm);
    rig->vmm = ends[1];
    g_assert_true(vrd_channel_set_vmm(rig->channel, ends[0], NULL));
}

static void
rig_start(Rig *rig)
{
    memset(rig, 0, sizeof *rig);
    rig->vmm = -1;
    rig->base_fds = rig_count_fds();
    rig->event = rig_event_new();
    rig->vm = vrd_vm_new("web1", NULL);
    rig->device = vrd_device_new(rig->vm, "disk0", "web1-disk0", VRD_KIND_BLK);
    rig->device->backend_protocol_features = P(BACKEND_REQ) | P(CONFIG);
    rig->channel = vrd_channel_new(rig->event, rig->device, &owner, rig);
    g_assert_false(vrd_channel_has_vmm(rig->channel));
    set_vmm(rig);
    rig->backend = vrd_channel_open_backend(rig->channel, NULL);
    g_assert_cmpint(rig->backend, >=, 0);
}

static void
rig_end(Rig *rig)
{
    vrd_channel_free(rig->channel);
    vrd_fd_close(&rig->vmm);
    vrd_fd_close(&rig->backend);
    vrd_device_free(rig->device);
    vrd_vm_unref(rig->vm);
    sd_event_unref(rig->event);
    g_assert_cmpuint(rig_count_fds(), ==, rig->base_fds);
}

static VrdMessage
change(uint32_t flags)
{
    return fake_empty(VRD_BACKEND_REQUEST_CONFIG_CHANGE_MSG, flags);
}

static void
test_change_is_acked_at_once(void)
{
    VrdMessage message = change(NEED_REPLY);
    VrdMessage reply;
    Rig rig;

    rig_start(&rig);
    fake_send(rig.backend, &message);
    g_assert_cmpint(fake_await(rig.event, rig.backend, &reply), ==, FAKE_MESSAGE);
    g_assert_cmphex(reply.flags, ==, VRD_MESSAGE_VERSION | VRD_MESSAGE_REPLY);
    g_assert_cmpuint(vrd_payload_get_u64(&reply), ==, 0);
    g_assert_cmpuint(rig.n_changed, ==, 1);
    /* the VMM hears of it when the owner says so */
    fake_expect_nothing(rig.event, rig.vmm);
    vrd_channel_tell_config(rig.channel);
    g_assert_cmpint(fake_await(rig.event, rig.vmm, &reply), ==, FAKE_MESSAGE);
    g_assert_cmpuint(reply.request, ==, VRD_BACKEND_REQUEST_CONFIG_CHANGE_MSG);
    g_assert_cmphex(reply.flags, ==, VRD_MESSAGE_VERSION);

    message = change(0);
    fake_send(rig.backend, &message);
    fake_expect_nothing(rig.event, rig.backend);
    g_assert_cmpuint(rig.n_changed, ==, 2);
    rig_end(&rig);
}

static void
test_what_is_not_offered_costs_the_backend_its_end_alone(void)
{
    static const uint32_t requests[] = {VRD_BACKEND_REQUEST_IOTLB_MSG,
                                        VRD_BACKEND_REQUEST_VRING_HOST_NOTIFIER_MSG,
                                        VRD_BACKEND_REQUEST_SHARED_OBJECT_ADD,
                                        VRD_BACKEND_REQUEST_SHMEM_MAP,
                                        0,
                                        99};

    for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
        VrdMessage message = fake_empty(requests[i], NEED_REPLY);
        const VrdRequest *row = vrd_request_find_backend(requests[i]);
        Rig rig;

        rig_start(&rig);
        message.size = row != NULL ? row->payload_min : 0;
        if (row != NULL && row->fds_min > 0) {
            vrd_message_add_fd(&message, rig.vmm);
        }
        fake_send(rig.backend, &message);
        fake_expect_end(rig.event, rig.backend);
        fake_expect_nothing(rig.event, rig.vmm);
        g_assert_true(vrd_channel_has_vmm(rig.channel));
        rig_end(&rig);
    }
}

static void
test_change_needs_its_feature(void)
{
    VrdMessage message = change(0);
    Rig rig;

    rig_start(&rig);
    rig.device->backend_protocol_features = P(BACKEND_REQ);
    fake_send(rig.backend, &message);
    fake_expect_end(rig.event, rig.backend);
    g_assert_cmpuint(rig.n_changed, ==, 0);
    rig_end(&rig);
}

static void
test_next_backend_takes_the_place_of_the_last(void)
{
    VrdMessage message = change(0);
    int next;
    Rig rig;

    rig_start(&rig);
    next = vrd_channel_open_backend(rig.channel, NULL);
    fake_expect_end(rig.event, rig.backend);
    fake_send(next, &message);
    rig_run_until(rig.event, rig.n_changed == 1);
    vrd_channel_close_backend(rig.channel);
    fake_expect_end(rig.event, next);
    close(next);
    rig_end(&rig);
}

static void
test_vmm_may_give_another_end_or_go(void)
{
    VrdMessage reply;
    Rig rig;

    rig_start(&rig);
    set_vmm(&rig);
    vrd_channel_tell_config(rig.channel);
    g_assert_cmpint(fake_await(rig.event, rig.vmm, &reply), ==, FAKE_MESSAGE);
    vrd_fd_close(&rig.vmm);
    rig_run_until(rig.event, !vrd_channel_has_vmm(rig.channel));
    vrd_channel_tell_config(rig.channel);
    /* the backend's end is as good as before */
    fake_expect_nothing(rig.event, rig.backend);
    rig_end(&rig);
}

static void
test_vmm_that_says_something_loses_its_end(void)
{
    VrdMessage message = fake_u64(VRD_BACKEND_REQUEST_CONFIG_CHANGE_MSG,
                                  VRD_MESSAGE_REPLY, 0);
    Rig rig;

    rig_start(&rig);
    fake_send(rig.vmm, &message); /* an ack that was not asked for */
    rig_run_until(rig.event, !vrd_channel_has_vmm(rig.channel));
    rig_end(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/channel/" #name_, test_##name_)
    ADD(change_is_acked_at_once);
    ADD(what_is_not_offered_costs_the_backend_its_end_alone);
    ADD(change_needs_its_feature);
    ADD(next_backend_takes_the_place_of_the_last);
    ADD(vmm_may_give_another_end_or_go);
    ADD(vmm_that_says_something_loses_its_end);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/vm.h"

#include <sys/eventfd.h>

#include "give.h"

#define MIB UINT64_C(0x100000)

/* A VM with three devices. */
typedef struct {
    VrdVm *vm;
    VrdDevice *devices[3];
    unsigned n_fds;
} Fixture;

static void
set_up(Fixture *f)
{
    static const char *const names[] = {"net0", "net1", "disk"};

    f->n_fds = count_fds();
    f->vm = vrd_vm_new("guest", "ABCDEF00-1111-2222-3333-444444444444");
    for (unsigned i = 0; i < 3; i++) {
        f->devices[i] = vrd_device_new(f->vm, names[i], names[i], VRD_KIND_GENERIC);
    }
}

static void
tear_down(Fixture *f)
{
    for (unsigned i = 0; i < 3; i++) {
        vrd_device_free(f->devices[i]);
    }
    vrd_vm_unref(f->vm);
    g_assert_cmpuint(count_fds(), ==, f->n_fds);
}

static void
test_devices_are_found_while_they_live(void)
{
    Fixture f;

    set_up(&f);
    g_assert_cmpstr(f.vm->uuid, ==, "abcdef00-1111-2222-3333-444444444444");
    g_assert_true(vrd_vm_find_device(f.vm, "net1") == f.devices[1]);
    g_assert_null(vrd_vm_find_device(f.vm, "net"));
    g_clear_pointer(&f.devices[1], vrd_device_free);
    g_assert_null(vrd_vm_find_device(f.vm, "net1"));
    g_assert_cmpuint(f.vm->devices->len, ==, 2);
    tear_down(&f);
}

static void
test_a_device_keeps_its_vm(void)
{
    VrdVm *vm = vrd_vm_new("guest", NULL);
    VrdDevice *device = vrd_device_new(vm, "net0", "net0", VRD_KIND_NET);

    g_assert_null(vm->uuid);
    vrd_vm_unref(vm);
    g_assert_cmpstr(device->vm->name, ==, "guest");
    vrd_device_free(device);
}

static void
test_a_file_is_held_once_for_all_devices(void)
{
    GError *error = NULL;
    VrdMemfile *again;
    VrdMemfile *other;
    VrdMemfile *file;
    Fixture f;

    set_up(&f);
    vrd_device_set_memory(f.devices[0], give_table(0, MIB, 0));
    file = vrd_memtable_region(f.devices[0]->memory, 0)->file;
    again = vrd_vm_memfile(f.vm, give_dup(vrd_memfile_fd(file)), &error);
    g_assert_no_error(error);
    g_assert_true(again == file);
    g_assert_cmpuint(count_fds(), ==, f.n_fds + 1);
    other = vrd_vm_memfile(f.vm, give_memfd(4096), &error);
    g_assert_no_error(error);
    g_assert_true(other != file);
    g_assert_cmpuint(count_fds(), ==, f.n_fds + 2);
    vrd_memfile_unref(again);
    vrd_memfile_unref(other);
    tear_down(&f);
}

static void
test_a_file_that_is_no_memory_is_refused_and_closed(void)
{
    GError *error = NULL;
    VrdMemfile *file;
    Fixture f;

    set_up(&f);
    file = vrd_vm_memfile(f.vm, eventfd(0, EFD_CLOEXEC), &error);
    assert_refused(file != NULL, &error, VRD_ERROR_PROTOCOL,
                   "memory descriptor is an eventfd, allowed is a memfd, tmpfs or "
                   "hugetlbfs file");
    tear_down(&f);
}

static void
test_equal_tables_become_one(void)
{
    VrdMemtable *table = give_table(0, MIB, 0);
    VrdMemtable *equal = vrd_memtable_copy(table);
    VrdMemtable *other = give_table(0, MIB, 0);
    Fixture f;

    set_up(&f);
    f.n_fds -= 2; /* of the tables, which go with the devices */
    vrd_device_set_memory(f.devices[0], vrd_vm_share_table(f.vm, table));
    g_assert_true(f.devices[0]->memory == table);
    vrd_device_set_memory(f.devices[1], vrd_vm_share_table(f.vm, equal));
    g_assert_true(f.devices[1]->memory == table);
    vrd_device_set_memory(f.devices[2], vrd_vm_share_table(f.vm, other));
    g_assert_true(f.devices[2]->memory == other);
    tear_down(&f);
}

static void
test_differing_tables_are_seen(void)
{
    VrdMemtable *table;
    Fixture f;

    set_up(&f);
    g_assert_null(vrd_vm_memory(f.vm));
    g_assert_true(vrd_vm_memory_is_consistent(f.vm));
    vrd_device_set_memory(f.devices[0], give_table(0, 2 * MIB, 0));
    g_assert_true(vrd_vm_memory(f.vm) == f.devices[0]->memory);
    vrd_device_set_memory(f.devices[1], vrd_memtable_new());
    g_assert_true(vrd_vm_memory_is_consistent(f.vm));
    table = give_table(0, MIB, 0);
    vrd_device_set_memory(f.devices[1], vrd_memtable_ref(table));
    g_assert_false(vrd_vm_memory_is_consistent(f.vm));
    vrd_device_set_memory(f.devices[2], table);
    g_assert_true(vrd_vm_memory(f.vm) == table);
    vrd_device_set_memory(f.devices[0], vrd_memtable_ref(table));
    g_assert_true(vrd_vm_memory_is_consistent(f.vm));
    tear_down(&f);
}

static VrdDirtylog *
give_log(void)
{
    return vrd_dirtylog_new(give_memfd(4096), 4096, 0, 0, NULL);
}

static void
test_the_active_log_is_the_newest_of_those_that_log(void)
{
    const uint64_t log_all = UINT64_C(1) << 26;
    VrdDirtylog *newest = NULL;
    Fixture f;

    set_up(&f);
    for (unsigned i = 0; i < 3; i++) {
        f.devices[i]->offer.features = log_all;
    }
    g_assert_null(vrd_vm_log(f.vm));
    vrd_device_set_log(f.devices[1], give_log());
    vrd_device_set_log(f.devices[0], give_log());
    newest = f.devices[0]->log;
    g_assert_null(vrd_vm_log(f.vm));
    g_assert_true(vrd_device_set_features(f.devices[1], log_all, NULL));
    g_assert_true(vrd_vm_log(f.vm) == f.devices[1]->log);
    g_assert_true(vrd_device_set_features(f.devices[0], log_all, NULL));
    g_assert_true(vrd_vm_log(f.vm) == newest);
    g_assert_true(vrd_device_set_features(f.devices[0], 0, NULL));
    g_assert_true(vrd_vm_log(f.vm) == f.devices[1]->log);
    tear_down(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/devices-are-found-while-they-live",
                    test_devices_are_found_while_they_live);
    g_test_add_func("/vm/a-device-keeps-its-vm", test_a_device_keeps_its_vm);
    g_test_add_func("/vm/a-file-is-held-once-for-all-devices",
                    test_a_file_is_held_once_for_all_devices);
    g_test_add_func("/vm/a-file-that-is-no-memory-is-refused-and-closed",
                    test_a_file_that_is_no_memory_is_refused_and_closed);
    g_test_add_func("/vm/equal-tables-become-one", test_equal_tables_become_one);
    g_test_add_func("/vm/differing-tables-are-seen", test_differing_tables_are_seen);
    g_test_add_func("/vm/the-active-log-is-the-newest-of-those-that-log",
                    test_the_active_log_is_the_newest_of_those_that_log);
    return g_test_run();
}

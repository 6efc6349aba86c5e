/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "bus-rig.h"

#define VM_PATH "/org/vringd1/vm/web1"
#define VM      "org.vringd1.VM"
#define NOBODY  65534

static Rig *
new_rig(VrdDevice **device)
{
    Rig *rig = rig_new();

    rig_start(rig);
    *device = rig_add_device(rig, rig_add_vm(rig, "web1", NULL), "net0", VRD_KIND_NET);
    return rig;
}

static void
start_log(VrdDevice *device)
{
    vrd_device_set_log(device, rig_new_log());
    device->features |= VRD_FEATURE_BIT(VRD_VIRTIO_F_LOG_ALL);
}

static void
test_open_log_without_a_log_is_not_logging(void)
{
    VrdDevice *device;
    g_autoptr(Rig) rig = new_rig(&device);
    sd_bus_message *answer = rig_call(rig, VM_PATH, VM, "OpenLog", NULL);

    g_assert_true(sd_bus_message_is_method_error(answer, "org.vringd1.Error.NotLogging"));
    sd_bus_message_unref(answer);
    g_assert_false(rig_get_bool(rig, VM_PATH, VM, "LogActive"));
    g_assert_cmpuint(rig_get_u64(rig, VM_PATH, VM, "LogGeneration"), ==, 0);
}

/* (owned) a duplicate of the snapshot */
static int
open_log(Rig *rig, uint64_t *size, uint64_t *page_size, uint64_t *generation)
{
    sd_bus_message *answer = rig_call(rig, VM_PATH, VM, "OpenLog", NULL);
    int fd = -1;

    if (sd_bus_message_get_error(answer) != NULL) {
        g_error("%s", sd_bus_message_get_error(answer)->message);
    }
    g_assert_cmpint(sd_bus_message_read(answer, "httt", &fd, size, page_size, generation),
                    >, 0);
    fd = vrd_fd_dup(fd, NULL);
    g_assert_cmpint(fd, >=, 0);
    sd_bus_message_unref(answer);
    return fd;
}

static void
test_open_log_gives_a_sealed_copy(void)
{
    VrdDevice *device;
    g_autoptr(Rig) rig = new_rig(&device);
    uint64_t size = 0;
    uint64_t page_size = 0;
    uint64_t generation = 0;
    uint8_t bytes[9] = {0};
    vrd_autofd fd = -1;

    start_log(device);
    fd = open_log(rig, &size, &page_size, &generation);
    g_assert_cmpuint(size, ==, 4096);
    g_assert_cmpuint(page_size, ==, 4096);
    g_assert_cmpuint(generation, ==, rig_get_u64(rig, VM_PATH, VM, "LogGeneration"));
    g_assert_cmpint(pread(fd, bytes, sizeof(bytes), 0), ==, sizeof(bytes));
    g_assert_cmpuint(bytes[7], ==, 5);
    g_assert_cmpuint(bytes[8], ==, 0);
    g_assert_cmpint(fcntl(fd, F_GET_SEALS), ==,
                    F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    g_assert_cmpint(pwrite(fd, "x", 1, 0), <, 0);
    g_assert_cmpint(ftruncate(fd, 0), <, 0);
    g_assert_cmpint(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), <,
                    0);
    g_assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
                  MAP_FAILED);
}

static void
test_a_snapshot_cannot_be_opened_for_writing_by_another_user(void)
{
    VrdDevice *device;
    g_autoptr(Rig) rig = new_rig(&device);
    uint64_t ignored;
    vrd_autofd fd = -1;
    int status = -1;
    pid_t pid;

    if (geteuid() != 0) {
        g_test_skip("needs root to become another user");
        return;
    }
    start_log(device);
    fd = open_log(rig, &ignored, &ignored, &ignored);
    pid = fork();
    if (pid == 0) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

        if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0) {
            _exit(2);
        }
        _exit(open(path, O_RDWR | O_CLOEXEC) < 0 && (errno == EACCES || errno == EPERM)
                  ? 0
                  : 3);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
}

static void
test_open_log_leaves_the_log_as_it_was(void)
{
    VrdDevice *device;
    g_autoptr(Rig) rig = new_rig(&device);
    uint64_t ignored;
    uint8_t byte = 0;
    vrd_autofd fd = -1;

    start_log(device);
    fd = open_log(rig, &ignored, &ignored, &ignored);
    g_assert_cmpint(pread(vrd_dirtylog_fd(device->log), &byte, 1, 7), ==, 1);
    g_assert_cmpuint(byte, ==, 5);
}

static void
test_a_new_log_has_a_new_generation(void)
{
    VrdDevice *device;
    g_autoptr(Rig) rig = new_rig(&device);
    uint64_t first;

    start_log(device);
    first = rig_get_u64(rig, VM_PATH, VM, "LogGeneration");
    start_log(device);
    g_assert_cmpuint(rig_get_u64(rig, VM_PATH, VM, "LogGeneration"), >, first);
}

static void
test_memory_is_shown_with_its_files(void)
{
    VrdDevice *device;
    g_autoptr(Rig) rig = new_rig(&device);
    uint64_t v[6];
    struct stat st;
    sd_bus_message *answer;

    vrd_device_set_memory(device, rig_new_memory());
    g_assert_cmpint(
        fstat(vrd_memfile_fd(vrd_memtable_region(device->memory, 0)->file), &st), ==, 0);
    answer = rig_get(rig, VM_PATH, VM, "Memory", "a(tttttt)");
    g_assert_cmpint(sd_bus_message_enter_container(answer, 'a', "(tttttt)"), >, 0);
    g_assert_cmpint(
        sd_bus_message_read(answer, "(tttttt)", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]),
        >, 0);
    g_assert_cmpuint(v[0], ==, 0);
    g_assert_cmpuint(v[1], ==, 0x100000);
    g_assert_cmpuint(v[2], ==, 0x7f0000000000);
    g_assert_cmpuint(v[3], ==, 0);
    g_assert_cmpuint(v[4], ==, st.st_dev);
    g_assert_cmpuint(v[5], ==, st.st_ino);
    sd_bus_message_unref(answer);
    g_assert_cmpuint(rig_get_u64(rig, VM_PATH, VM, "MemoryBytes"), ==, 0x300000);
    g_assert_true(rig_get_bool(rig, VM_PATH, VM, "MemoryConsistent"));
}

static void
test_differing_tables_are_shown(void)
{
    VrdDevice *device;
    g_autoptr(Rig) rig = new_rig(&device);
    VrdDevice *other = rig_add_device(rig, device->vm, "net1", VRD_KIND_NET);

    vrd_device_set_memory(device, rig_new_memory());
    vrd_device_set_memory(other, rig_new_memory());
    g_assert_false(rig_get_bool(rig, VM_PATH, VM, "MemoryConsistent"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm-object/open-log-without-a-log-is-not-logging",
                    test_open_log_without_a_log_is_not_logging);
    g_test_add_func("/vm-object/open-log-gives-a-sealed-copy",
                    test_open_log_gives_a_sealed_copy);
    g_test_add_func("/vm-object/a-snapshot-cannot-be-opened-for-writing-by-another-user",
                    test_a_snapshot_cannot_be_opened_for_writing_by_another_user);
    g_test_add_func("/vm-object/open-log-leaves-the-log-as-it-was",
                    test_open_log_leaves_the_log_as_it_was);
    g_test_add_func("/vm-object/a-new-log-has-a-new-generation",
                    test_a_new_log_has_a_new_generation);
    g_test_add_func("/vm-object/memory-is-shown-with-its-files",
                    test_memory_is_shown_with_its_files);
    g_test_add_func("/vm-object/differing-tables-are-shown",
                    test_differing_tables_are_shown);
    return g_test_run();
}

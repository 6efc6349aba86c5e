/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The smallest VMM and the smallest backend that a measurement needs. The backend reads
 * as backends do (header, then payload) and answers correctly; the VMM measures in turn,
 * so that both figures of a ratio come from the same moment of a noisy machine.
 *
 *   bench-peer backend PATH                        serves any number of connections
 *   bench-peer rtt DIRECT VIA ROUNDS OPS           "ns ns" a round: one SET_STATUS, acked
 *   bench-peer wake A PID_A B PID_B ROUNDS OPS     "ns ns": CPU of each for GET_FEATURES
 *   bench-peer hold RINGS PATH...                  a VMM with started rings on each path
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD_MAX 4096
#define FDS_MAX     8
#define VERSION     0x1u
#define REPLY       0x4u
#define NEED_REPLY  0x8u

/* Numbers of the specification's messages that are used here. */
enum {
    GET_FEATURES = 1,
    SET_FEATURES = 2,
    SET_OWNER = 3,
    SET_MEM_TABLE = 5,
    SET_VRING_NUM = 8,
    SET_VRING_ADDR = 9,
    GET_VRING_BASE = 11,
    SET_VRING_KICK = 12,
    SET_VRING_CALL = 13,
    GET_PROTOCOL_FEATURES = 15,
    SET_PROTOCOL_FEATURES = 16,
    GET_QUEUE_NUM = 17,
    SET_VRING_ENABLE = 18,
    GET_MAX_MEM_SLOTS = 36,
    SET_STATUS = 39,
    GET_STATUS = 40,
};

#define FEATURES (UINT64_C(1) << 32 | UINT64_C(1) << 30)
/* MQ, REPLY_ACK, CONFIGURE_MEM_SLOTS, STATUS */
#define PROTOCOL                                                                         \
    (UINT64_C(1) << 0 | UINT64_C(1) << 3 | UINT64_C(1) << 15 | UINT64_C(1) << 16)
#define GUEST_BYTES (1u << 20)
#define USER_ADDR   UINT64_C(0x7f0000000000)

typedef struct {
    uint32_t request;
    uint32_t flags;
    uint32_t size;
} Header;

typedef struct {
    Header header;
    uint8_t payload[PAYLOAD_MAX];
    int n_fds;
    int fds[FDS_MAX];
} Message;

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

static int
unix_socket(const char *path, struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        fail("socket");
    }
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address->sun_path)) {
        errno = ENAMETOOLONG;
        fail(path);
    }
    strcpy(address->sun_path, path);
    return fd;
}

static int
dial(const char *path)
{
    struct sockaddr_un address;
    int fd = unix_socket(path, &address);

    if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
        fail(path);
    }
    return fd;
}

static void
send_message(int fd, const Header *header, const void *payload, const int *fds, int n_fds)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov[2] = {{(void *) header, sizeof(*header)},
                           {(void *) payload, header->size}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = header->size > 0 ? 2 : 1};

    if (n_fds > 0) {
        struct cmsghdr *part;

        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t) n_fds);
        part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int) * (size_t) n_fds);
        memcpy(CMSG_DATA(part), fds, sizeof(int) * (size_t) n_fds);
    }
    if (sendmsg(fd, &message, MSG_NOSIGNAL) !=
        (ssize_t) (sizeof(*header) + header->size)) {
        fail("sendmsg");
    }
}

/* 0 at the end of the connection */
static int
read_message(int fd, Message *message)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
        struct cmsghdr align;
    } control;
    struct iovec iov = {&message->header, sizeof(message->header)};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes)};
    ssize_t got = recvmsg(fd, &header, MSG_WAITALL | MSG_CMSG_CLOEXEC);

    message->n_fds = 0;
    if (got != sizeof(message->header) || message->header.size > PAYLOAD_MAX) {
        return 0;
    }
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part != NULL;
         part = CMSG_NXTHDR(&header, part)) {
        message->n_fds = (int) ((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(message->fds, CMSG_DATA(part), sizeof(int) * (size_t) message->n_fds);
    }
    return message->header.size == 0 ||
           recv(fd, message->payload, message->header.size, MSG_WAITALL) ==
               (ssize_t) message->header.size;
}

/* --- backend ------------------------------------------------------------------------ */

static void
answer(int fd, const Message *message)
{
    Header reply = {message->header.request, VERSION | REPLY, sizeof(uint64_t)};
    uint64_t value = 0;

    switch (message->header.request) {
    case GET_FEATURES:
        value = FEATURES;
        break;
    case GET_PROTOCOL_FEATURES:
        value = PROTOCOL;
        break;
    case GET_QUEUE_NUM:
        value = 8;
        break;
    case GET_MAX_MEM_SLOTS:
        value = 32;
        break;
    case GET_STATUS:
        break;
    case GET_VRING_BASE:
        memcpy(&value, message->payload, sizeof(uint32_t));
        break;
    default:
        if (!(message->header.flags & NEED_REPLY)) {
            return;
        }
    }
    send_message(fd, &reply, &value, NULL, 0);
}

static int
serve(const char *path)
{
    struct sockaddr_un address;
    int listener = unix_socket(path, &address);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    static Message message;

    unlink(path);
    if (bind(listener, (struct sockaddr *) &address, sizeof(address)) < 0 ||
        listen(listener, 1024) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) {
        fail(path);
    }
    while (epoll_wait(epoll, &event, 1, -1) > 0 || errno == EINTR) {
        int fd = event.data.fd;

        if (fd == listener) {
            event = (struct epoll_event){
                .events = EPOLLIN,
                .data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC),
            };
            if (event.data.fd < 0 ||
                epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) < 0) {
                fail("accept");
            }
        } else if (read_message(fd, &message)) {
            answer(fd, &message);
            for (int i = 0; i < message.n_fds; i++) {
                close(message.fds[i]);
            }
        } else {
            close(fd);
        }
    }
    return 1;
}

/* --- VMM ---------------------------------------------------------------------------- */

static uint64_t
ask(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size)
{
    Header header = {request, VERSION | flags, size};
    static Message reply;
    uint64_t value;

    send_message(fd, &header, payload, NULL, 0);
    if (!read_message(fd, &reply) || reply.header.request != request ||
        reply.header.size != sizeof(value)) {
        fprintf(stderr, "request %" PRIu32 " was not answered as it should\n", request);
        exit(1);
    }
    memcpy(&value, reply.payload, sizeof(value));
    return value;
}

static void
must(int fd, uint32_t request, const void *payload, uint32_t size, const int *fds,
     int n_fds)
{
    Header header = {request, VERSION | NEED_REPLY, size};
    static Message reply;
    uint64_t value = 1;

    send_message(fd, &header, payload, fds, n_fds);
    if (read_message(fd, &reply) && reply.header.size == sizeof(value)) {
        memcpy(&value, reply.payload, sizeof(value));
    }
    if (value != 0) {
        fprintf(stderr, "request %" PRIu32 " was refused\n", request);
        exit(1);
    }
}

static void
handshake(int fd)
{
    uint64_t features = FEATURES;
    uint64_t protocol;

    ask(fd, GET_FEATURES, 0, NULL, 0);
    protocol = ask(fd, GET_PROTOCOL_FEATURES, 0, NULL, 0) & PROTOCOL;
    send_message(fd, &(Header){SET_PROTOCOL_FEATURES, VERSION, sizeof(protocol)},
                 &protocol, NULL, 0);
    must(fd, SET_OWNER, NULL, 0, NULL, 0);
    must(fd, SET_FEATURES, &features, sizeof(features), NULL, 0);
}

/* One acknowledged change that a backend has to hear of. */
static void
change(int fd, uint64_t turn)
{
    uint64_t status = turn % 2 == 0 ? 1 : 3;

    if (ask(fd, SET_STATUS, NEED_REPLY, &status, sizeof(status)) != 0) {
        fprintf(stderr, "SET_STATUS was refused\n");
        exit(1);
    }
}

static int
measure_rtt(const char *direct, const char *via, int rounds, int ops)
{
    int fds[2] = {dial(direct), dial(via)};

    handshake(fds[0]);
    handshake(fds[1]);
    for (int round = 0; round < rounds; round++) {
        uint64_t ns[2];

        for (int side = 0; side < 2; side++) {
            uint64_t begin = now_ns();

            for (int i = 0; i < ops; i++) {
                change(fds[side], (uint64_t) i);
            }
            ns[side] = (now_ns() - begin) / (uint64_t) ops;
        }
        printf("%" PRIu64 " %" PRIu64 "\n", ns[0], ns[1]);
    }
    return 0;
}

/* CPU time of a process in ns (proc(5), schedstat) */
static uint64_t
cpu_ns(const char *pid)
{
    char path[64];
    uint64_t ns = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%s/schedstat", pid);
    file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%" SCNu64, &ns) != 1) {
        fail(path);
    }
    fclose(file);
    return ns;
}

static int
measure_wake(char **arguments, int rounds, int ops)
{
    int fds[2] = {dial(arguments[0]), dial(arguments[2])};
    const char *pids[2] = {arguments[1], arguments[3]};

    handshake(fds[0]);
    handshake(fds[1]);
    for (int round = 0; round < rounds; round++) {
        uint64_t ns[2];

        for (int side = 0; side < 2; side++) {
            uint64_t begin = cpu_ns(pids[side]);

            for (int i = 0; i < ops; i++) {
                ask(fds[side], GET_FEATURES, 0, NULL, 0);
            }
            ns[side] = (cpu_ns(pids[side]) - begin) / (uint64_t) ops;
        }
        printf("%" PRIu64 " %" PRIu64 "\n", ns[0], ns[1]);
    }
    return 0;
}

static void
start_ring(int fd, uint32_t index)
{
    uint64_t base = USER_ADDR + index * UINT64_C(0x4000);
    struct {
        uint32_t index;
        uint32_t flags;
        uint64_t desc, used, avail, log;
    } addr = {index, 0, base, base + 0x2000, base + 0x1000, 0};
    uint32_t size[2] = {index, 256};
    uint32_t enable[2] = {index, 1};
    uint64_t file = index;
    int event = eventfd(0, EFD_CLOEXEC);

    must(fd, SET_VRING_NUM, size, sizeof(size), NULL, 0);
    must(fd, SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
    must(fd, SET_VRING_CALL, &file, sizeof(file), &event, 1);
    must(fd, SET_VRING_KICK, &file, sizeof(file), &event, 1);
    must(fd, SET_VRING_ENABLE, enable, sizeof(enable), NULL, 0);
    close(event);
}

static int
hold(int rings, char **paths, int n_paths)
{
    struct {
        uint32_t n_regions, padding;
        uint64_t guest, size, user, offset;
    } table = {1, 0, 0, GUEST_BYTES, USER_ADDR, 0};

    for (int i = 0; i < n_paths; i++) {
        int fd = dial(paths[i]);
        int memory = memfd_create("bench", MFD_CLOEXEC);

        if (memory < 0 || ftruncate(memory, GUEST_BYTES) < 0) {
            fail("memfd");
        }
        handshake(fd);
        must(fd, SET_MEM_TABLE, &table, sizeof(table), &memory, 1);
        for (int ring = 0; ring < rings; ring++) {
            start_ring(fd, (uint32_t) ring);
        }
        close(memory);
    }
    printf("ready\n");
    fflush(stdout);
    pause();
    return 0;
}

int
main(int argc, char **argv)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (argc == 3 && strcmp(argv[1], "backend") == 0) {
        return serve(argv[2]);
    }
    if (argc == 6 && strcmp(argv[1], "rtt") == 0) {
        return measure_rtt(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
    }
    if (argc == 8 && strcmp(argv[1], "wake") == 0) {
        return measure_wake(argv + 2, atoi(argv[6]), atoi(argv[7]));
    }
    if (argc >= 4 && strcmp(argv[1], "hold") == 0) {
        return hold(atoi(argv[2]), argv + 3, argc - 3);
    }
    fprintf(stderr, "usage: see the head of bench-peer.c\n");
    return 2;
}

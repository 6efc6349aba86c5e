/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A whole device between a VMM and a backend that both do as the input says: messages of
 * any kind and any bytes, with real descriptors of any kind, in pieces, with ends of
 * connections between them. Whatever they do, no descriptor is left over, and a VMM that
 * waits for an answer gets one, or loses its socket, as soon as the backend has gone.
 *
 * Input: steps. One byte says what; a message takes a byte of what descriptors come with
 * it, then number, flags and size (1 byte each), then its payload.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "flow/bridge.h"
#include "model/vm.h"
#include "target.h"
#include "wire/payload.h"
#include "wire/request.h"

#define GUEST_BYTES (1u << 20)
#define STEPS_MAX   200u
#define ASKED_MAX   16u

typedef enum {
    STEP_VMM_MESSAGE,
    STEP_BACKEND_MESSAGE,
    STEP_BACKEND_ANSWER, /* as the last request asks for */
    STEP_VMM_CLOSE,
    STEP_BACKEND_CLOSE,
    STEP_VMM_PIECE,     /* bytes without a frame */
    STEP_BACKEND_PIECE, /* the same */
    STEP_CHANNEL,       /* a message on the backend channel */
    STEP_SETTLE,
    N_STEPS,
} Step;

typedef enum { FD_NONE, FD_MEMORY, FD_EVENT, FD_SOCKET, FD_NULL, N_FD_KINDS } FdKind;

typedef struct {
    const uint8_t *data;
    size_t size;
} Input;

typedef struct {
    sd_event *event;
    char *directory;
    VrdActivation *activation;
    VrdVm *vm;
    VrdBridge *bridge;
    int vmm;     /* the VMM's socket, -1: none */
    int backend; /* the backend's, -1: none */
    int channel; /* what the backend got as its end of the channel */
    int files[N_FD_KINDS];
    int other;             /* the other end of FD_SOCKET */
    gboolean vmm_waits;    /* the last whole message of the VMM asked for an answer */
    gboolean vmm_torn;     /* nobody knows where its messages begin */
    unsigned n_negotiated; /* SET_PROTOCOL_FEATURES of this VMM */
    VrdMessage asked[ASKED_MAX]; /* what the backend heard and owes an answer to */
    unsigned n_asked;
} Proxy;

static uint8_t
take(Input *input)
{
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->data++;
}

/* The lowest free descriptor: it moves up when one below it is left over. */
static int
lowest_free(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    g_assert(fd >= 0);
    close(fd);
    return fd;
}

static void
settle(sd_event *event)
{
    while (sd_event_run(event, 0) > 0) {
    }
}

static gboolean
send_bytes(int socket, const void *bytes, size_t size, const int *fds, unsigned n_fds)
{
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(VRD_MESSAGE_FDS_MAX * sizeof(int))];
    } control = {0};
    struct iovec part = {(void *) bytes, size};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};

    if (n_fds > 0) {
        packet.msg_control = &control;
        packet.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
    }
    return sendmsg(socket, &packet, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t) size;
}

static gboolean
send_message(int socket, const VrdMessage *message)
{
    static uint8_t bytes[VRD_MESSAGE_HEADER_BYTES + VRD_MESSAGE_PAYLOAD_MAX];

    memcpy(bytes, message, VRD_MESSAGE_HEADER_BYTES);
    memcpy(bytes + VRD_MESSAGE_HEADER_BYTES, message->payload, message->size);
    return send_bytes(socket, bytes, VRD_MESSAGE_HEADER_BYTES + message->size,
                      message->fds, message->n_fds);
}

/* (TRUE) a whole message; what is torn or gone counts as none */
static gboolean
receive(int socket, VrdMessage *message)
{
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(VRD_MESSAGE_FDS_MAX * sizeof(int))];
    } control;
    struct iovec part = {message, VRD_MESSAGE_HEADER_BYTES};
    struct msghdr packet = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control};
    struct cmsghdr *record;

    vrd_message_init(message, 0);
    if (recvmsg(socket, &packet, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) !=
        VRD_MESSAGE_HEADER_BYTES) {
        return FALSE;
    }
    record = CMSG_FIRSTHDR(&packet);
    if (record != NULL) {
        message->n_fds = (unsigned) ((record->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(message->fds, CMSG_DATA(record), message->n_fds * sizeof(int));
    }
    g_assert(message->size <= VRD_MESSAGE_PAYLOAD_MAX);
    return message->size == 0 || recv(socket, message->payload, message->size,
                                      MSG_DONTWAIT) == (ssize_t) message->size;
}

static void
hear_vmm(Proxy *proxy)
{
    VrdMessage message;

    while (proxy->vmm >= 0 && receive(proxy->vmm, &message)) {
        /* Nothing that vringd says to a VMM may be out of its form. */
        g_assert(message.flags == (VRD_MESSAGE_VERSION | VRD_MESSAGE_REPLY));
        proxy->vmm_waits = FALSE;
        vrd_message_drop_fds(&message);
    }
}

static void
hear_backend(Proxy *proxy)
{
    VrdMessage message;

    while (proxy->backend >= 0 && receive(proxy->backend, &message)) {
        const VrdRequest *row = vrd_request_find(message.request);

        g_assert(row != NULL);
        g_assert((message.flags & ~VRD_MESSAGE_NEED_REPLY) == VRD_MESSAGE_VERSION);
        if (message.request == VRD_REQUEST_SET_BACKEND_REQ_FD) {
            vrd_fd_close(&proxy->channel);
            proxy->channel = vrd_message_take_fd(&message, 0);
        }
        vrd_message_drop_fds(&message);
        if ((row->answer != VRD_ANSWER_NONE || vrd_message_needs_reply(&message)) &&
            proxy->n_asked < ASKED_MAX) {
            proxy->asked[proxy->n_asked++] = message;
        }
    }
}

static void
close_vmm(Proxy *proxy)
{
    vrd_fd_close(&proxy->vmm);
    proxy->vmm_waits = FALSE;
    proxy->vmm_torn = FALSE;
    proxy->n_negotiated = 0;
}

static void
close_backend(Proxy *proxy)
{
    vrd_fd_close(&proxy->backend);
    proxy->n_asked = 0;
}

static gboolean
has_ended(int socket)
{
    uint8_t byte;
    ssize_t n = socket >= 0 ? recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 1;

    return n == 0 || (n < 0 && errno != EAGAIN);
}

/* Who lost its socket may connect anew at its next step. */
static void
turn(Proxy *proxy)
{
    settle(proxy->event);
    hear_backend(proxy);
    hear_vmm(proxy);
    if (has_ended(proxy->vmm)) {
        close_vmm(proxy);
    }
    if (has_ended(proxy->backend)) {
        close_backend(proxy);
    }
}

static void
connect_to(Proxy *proxy, int *socket_fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (*socket_fd >= 0) {
        return;
    }
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    *socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(*socket_fd, (const struct sockaddr *) &address, sizeof address) < 0) {
        vrd_fd_close(socket_fd);
    }
    settle(proxy->event);
}

static void
take_message(Proxy *proxy, Input *input, VrdMessage *message)
{
    unsigned what = take(input);
    unsigned size;

    vrd_message_init(message, take(input));
    message->flags = take(input);
    size = take(input);
    if (size == 0xff) { /* the longest that are legal */
        size = 264 + (unsigned) take(input) * 4;
    }
    message->size = (uint32_t) MIN(size, input->size);
    memcpy(message->payload, input->data, message->size);
    input->data += message->size;
    input->size -= message->size;
    for (unsigned i = 0; i < what >> 4 && i < VRD_MESSAGE_FDS_MAX; i++) {
        unsigned kind = (what & 0xf) % N_FD_KINDS;

        if (kind != FD_NONE) {
            vrd_message_add_fd(message, proxy->files[kind]);
        }
    }
}

/* Said once and in force, REPLY_ACK cannot have been taken back by what still waits. */
static gboolean
is_owed_an_answer(const Proxy *proxy, const VrdMessage *message)
{
    const VrdRequest *row = vrd_request_find(message->request);
    gboolean can_ack = proxy->n_negotiated == 1 &&
                       vrd_device_has(vrd_bridge_device(proxy->bridge),
                                      VRD_PROTOCOL_F_REPLY_ACK);

    return row != NULL && (row->answer == VRD_ANSWER_VALUE ||
                           (can_ack && vrd_message_needs_reply(message)));
}

static void
step_vmm_message(Proxy *proxy, Input *input)
{
    VrdMessage message;

    take_message(proxy, input, &message);
    connect_to(proxy, &proxy->vmm, vrd_bridge_vmm_path(proxy->bridge));
    if (proxy->vmm < 0) {
        return;
    }
    if (!send_message(proxy->vmm, &message)) {
        proxy->vmm_torn = TRUE;
        return;
    }
    proxy->n_negotiated += message.request == VRD_REQUEST_SET_PROTOCOL_FEATURES ? 1 : 0;
    proxy->vmm_waits = is_owed_an_answer(proxy, &message);
}

static void
step_backend_message(Proxy *proxy, Input *input)
{
    VrdMessage message;

    take_message(proxy, input, &message);
    connect_to(proxy, &proxy->backend, vrd_bridge_backend_path(proxy->bridge));
    if (proxy->backend >= 0) {
        send_message(proxy->backend, &message);
    }
}

/* To the oldest request, of the right number and form; its byte says what value. */
static void
step_backend_answer(Proxy *proxy, Input *input)
{
    uint8_t value = take(input);
    VrdMessage reply;

    connect_to(proxy, &proxy->backend, vrd_bridge_backend_path(proxy->bridge));
    turn(proxy);
    if (proxy->backend < 0 || proxy->n_asked == 0) {
        return;
    }
    reply = proxy->asked[0];
    memmove(proxy->asked, proxy->asked + 1, --proxy->n_asked * sizeof proxy->asked[0]);
    reply.flags = VRD_MESSAGE_VERSION | VRD_MESSAGE_REPLY;
    reply.n_fds = 0;
    switch (reply.request) {
    case VRD_REQUEST_GET_FEATURES:
    case VRD_REQUEST_GET_PROTOCOL_FEATURES:
        vrd_payload_put_u64(&reply, UINT64_MAX >> (value & 0x3f));
        break;
    case VRD_REQUEST_GET_CONFIG:
    case VRD_REQUEST_SET_LOG_BASE:
    case VRD_REQUEST_GET_VRING_BASE:
        break; /* an echo */
    case VRD_REQUEST_GET_INFLIGHT_FD:
        reply.payload[1] = 0x10; /* a size of 4096 bytes and more */
        vrd_message_add_fd(&reply, proxy->files[FD_MEMORY]);
        break;
    case VRD_REQUEST_SET_DEVICE_STATE_FD:
        vrd_payload_put_u64(&reply, VRD_PAYLOAD_NOFD | value);
        break;
    default:
        vrd_payload_put_u64(&reply, value);
    }
    send_message(proxy->backend, &reply);
}

static void
step_piece(Proxy *proxy, Input *input, int socket)
{
    size_t size = take(input);

    size = MIN(size, input->size);
    if (socket >= 0 && size > 0) {
        send_bytes(socket, input->data, size, NULL, 0);
        proxy->vmm_torn = proxy->vmm_torn || socket == proxy->vmm;
    }
    input->data += size;
    input->size -= size;
}

static void
step_channel(Proxy *proxy, Input *input)
{
    VrdMessage message;

    take_message(proxy, input, &message);
    if (proxy->channel >= 0) {
        send_message(proxy->channel, &message);
    }
}

static void
play_step(Proxy *proxy, Input *input)
{
    switch ((Step) (take(input) % N_STEPS)) {
    case STEP_VMM_MESSAGE:
        step_vmm_message(proxy, input);
        break;
    case STEP_BACKEND_MESSAGE:
        step_backend_message(proxy, input);
        break;
    case STEP_BACKEND_ANSWER:
        step_backend_answer(proxy, input);
        break;
    case STEP_VMM_CLOSE:
        close_vmm(proxy);
        break;
    case STEP_BACKEND_CLOSE:
        close_backend(proxy);
        break;
    case STEP_VMM_PIECE:
        step_piece(proxy, input, proxy->vmm);
        break;
    case STEP_BACKEND_PIECE:
        step_piece(proxy, input, proxy->backend);
        break;
    case STEP_CHANNEL:
        step_channel(proxy, input);
        break;
    case STEP_SETTLE:
        turn(proxy);
        break;
    case N_STEPS:
        break;
    }
}

static VrdBridge *
new_bridge(Proxy *proxy)
{
    VrdSettingsSide side = {.role = VRD_ROLE_LISTEN,
                            .access = {(uid_t) -1, (gid_t) -1, 0600},
                            .peer_uid = (uid_t) -1};
    uint64_t all = UINT64_MAX;
    VrdSettingsDevice settings = {
        .name = (char *) "net0",
        .file = (char *) "net0.conf",
        .vm_name = (char *) "vm",
        .device = (char *) "net0",
        .kind = VRD_KIND_NET,
        .n_queues_max = 4,
        .vmm = side,
        .backend = side,
        .profile = {.is_set = TRUE,
                    .features = all,
                    .protocol_features = all,
                    .n_queues = 2,
                    .n_mem_slots = 8},
    };

    return vrd_bridge_new(proxy->event, proxy->vm, &settings, proxy->activation,
                          proxy->directory, NULL);
}

static void
start(Proxy *proxy)
{
    static char directory[64];
    int ends[2];

    if (directory[0] == '\0') {
        g_snprintf(directory, sizeof directory, "%s/vringd-fuzz-%d", g_get_tmp_dir(),
                   (int) getpid());
        g_mkdir(directory, 0700);
    }
    vrd_log_set_level(LOG_ERR);
    proxy->directory = directory;
    g_assert(sd_event_new(&proxy->event) >= 0);
    proxy->activation = vrd_activation_new(NULL);
    proxy->vm = vrd_vm_new("vm", NULL);
    proxy->bridge = new_bridge(proxy);
    g_assert(proxy->bridge != NULL);
    proxy->vmm = proxy->backend = proxy->channel = -1;
    g_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    proxy->other = ends[1];
    proxy->files[FD_SOCKET] = ends[0];
    proxy->files[FD_MEMORY] = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    g_assert(ftruncate(proxy->files[FD_MEMORY], GUEST_BYTES) == 0);
    proxy->files[FD_EVENT] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    proxy->files[FD_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* With no backend left, and a loop that has nothing to do, nobody waits. */
static void
check_nobody_waits(Proxy *proxy)
{
    close_backend(proxy);
    turn(proxy);
    g_assert(!proxy->vmm_waits || proxy->vmm_torn);
}

static void
end(Proxy *proxy)
{
    vrd_fd_close(&proxy->vmm);
    vrd_fd_close(&proxy->backend);
    settle(proxy->event);
    vrd_bridge_free(proxy->bridge);
    vrd_vm_unref(proxy->vm);
    vrd_activation_free(proxy->activation);
    vrd_fd_close(&proxy->channel);
    vrd_fd_close(&proxy->other);
    for (unsigned i = FD_MEMORY; i < N_FD_KINDS; i++) {
        vrd_fd_close(&proxy->files[i]);
    }
    /* Children that wake rings up are still to be heard of. */
    while (sd_event_run(proxy->event, 1000) > 0) {
    }
    sd_event_unref(proxy->event);
    while (waitpid(-1, NULL, WNOHANG | __WALL) > 0) {
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = {data, size};
    int before = lowest_free();
    Proxy proxy = {0};

    start(&proxy);
    for (unsigned i = 0; i < STEPS_MAX && input.size > 0; i++) {
        play_step(&proxy, &input);
    }
    turn(&proxy);
    check_nobody_waits(&proxy);
    end(&proxy);
    g_assert(lowest_free() == before);
    return 0;
}

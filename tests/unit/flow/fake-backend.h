/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A backend in the loop of the test: it listens on a path, or dials it, answers as a
 * whole backend would, keeps what it was told, and misbehaves at one request as asked.
 */
#include <glib/gstdio.h>
#include <sys/un.h>

#include "../fake.h"

#define BACKEND_BASE 77u /* its answer to GET_VRING_BASE */

typedef struct {
    sd_event *event;
    char *path;
    sd_event_source *listening; /* owns its descriptor */
    sd_event_source *serving;   /* the same, for the connection */
    int socket;                 /* (borrowed) of the connection, -1: none */
    uint64_t features;
    uint64_t protocol_features;
    uint64_t n_queues;
    uint64_t ack;         /* what NEED_REPLY is answered with */
    uint8_t config_first; /* the first byte of its config space */
    uint32_t lose_on;     /* the connection ends at this request, before it is answered */
    uint32_t silent_on;   /* this request and all that follow are not answered */
    uint32_t wrong_on;    /* this request is answered by a wrong message */
    uint32_t config_fails;
    gboolean is_silent;
    gboolean has_inflight; /* it has a region to give */
    unsigned n_connections;
    int channel;    /* (owned) its end of the backend channel */
    int state_fd;   /* (owned) */
    GString *heard; /* since the last fake_backend_forget() */
} FakeBackend;

static inline void
fake_backend_hang_up(FakeBackend *backend)
{
    backend->serving = sd_event_source_disable_unref(backend->serving);
    backend->socket = -1;
    backend->is_silent = FALSE;
    vrd_fd_close(&backend->channel);
    vrd_fd_close(&backend->state_fd);
}

static inline void
fake_backend_write_down(FakeBackend *backend, const VrdMessage *message)
{
    const char *name = vrd_request_name(message->request);
    uint64_t value = vrd_payload_get_u64(message);

    g_string_append_printf(backend->heard, " %s",
                           g_str_has_prefix(name, "SET_VRING_") ? name + 10 : name);
    if (g_str_has_prefix(name, "SET_VRING_") || g_str_has_prefix(name, "GET_VRING_")) {
        g_string_append_printf(backend->heard, ":%u", (unsigned) (value & 0xff));
    }
    if (message->request == VRD_REQUEST_SET_VRING_ENABLE ||
        message->request == VRD_REQUEST_SET_VRING_BASE) {
        g_string_append_printf(backend->heard, "=%u", (unsigned) (value >> 32));
    }
}

static inline void
fake_backend_answer_inflight(FakeBackend *backend, const VrdMessage *message)
{
    vrd_autofd fd = backend->has_inflight ? fake_memfd(4096) : -1;
    VrdMessage reply = fake_inflight(message->request, 0,
                                     backend->has_inflight ? 4096 : 0, 2, fd);

    fake_answer(backend->socket, message, &reply);
}

static inline void
fake_backend_answer_config(FakeBackend *backend, const VrdMessage *message)
{
    VrdPayloadConfig config;
    VrdMessage reply;

    vrd_payload_get_config(message, &config);
    reply = fake_config(message->request, 0, config.offset, config.size,
                        backend->config_first);
    if (backend->config_fails) {
        reply.size = 0;
    }
    fake_answer(backend->socket, message, &reply);
}

static inline void
fake_backend_answer(FakeBackend *backend, const VrdMessage *message)
{
    VrdMessage reply = *message;

    switch (message->request) {
    case VRD_REQUEST_GET_FEATURES:
        fake_answer_u64(backend->socket, message, backend->features);
        return;
    case VRD_REQUEST_GET_PROTOCOL_FEATURES:
        fake_answer_u64(backend->socket, message, backend->protocol_features);
        return;
    case VRD_REQUEST_GET_QUEUE_NUM:
        fake_answer_u64(backend->socket, message, backend->n_queues);
        return;
    case VRD_REQUEST_GET_MAX_MEM_SLOTS:
        fake_answer_u64(backend->socket, message, 32);
        return;
    case VRD_REQUEST_SET_LOG_BASE:
        reply.n_fds = 0;
        fake_answer(backend->socket, message, &reply);
        return;
    case VRD_REQUEST_GET_VRING_BASE:
        fake_answer_u64(backend->socket, message,
                        vrd_payload_get_u64(message) | (uint64_t) BACKEND_BASE << 32);
        return;
    case VRD_REQUEST_GET_CONFIG:
        fake_backend_answer_config(backend, message);
        return;
    case VRD_REQUEST_GET_INFLIGHT_FD:
        fake_backend_answer_inflight(backend, message);
        return;
    case VRD_REQUEST_SET_DEVICE_STATE_FD:
        fake_answer_u64(backend->socket, message, VRD_PAYLOAD_NOFD);
        return;
    case VRD_REQUEST_CHECK_DEVICE_STATE:
        fake_answer_u64(backend->socket, message, 0);
        return;
    default:
        if (vrd_message_needs_reply(message)) {
            fake_answer_u64(backend->socket, message, backend->ack);
        }
    }
}

static inline void
fake_backend_keep_fd(int *kept, VrdMessage *message)
{
    vrd_fd_close(kept);
    *kept = vrd_fd_steal(&message->fds[0]);
}

static inline void
fake_backend_handle(FakeBackend *backend, VrdMessage *message)
{
    fake_backend_write_down(backend, message);
    if (message->request == VRD_REQUEST_SET_BACKEND_REQ_FD) {
        fake_backend_keep_fd(&backend->channel, message);
    } else if (message->request == VRD_REQUEST_SET_DEVICE_STATE_FD) {
        fake_backend_keep_fd(&backend->state_fd, message);
    }
    fake_drop(message);
    if (message->request == backend->lose_on) {
        fake_backend_hang_up(backend);
        return;
    }
    backend->is_silent = backend->is_silent || message->request == backend->silent_on;
    if (backend->is_silent) {
        return;
    }
    if (message->request == backend->wrong_on) {
        VrdMessage wrong = fake_u64(VRD_REQUEST_GET_STATUS, 0, 0);

        fake_answer(backend->socket, &wrong, &wrong);
        return;
    }
    fake_backend_answer(backend, message);
}

static inline int
fake_backend_on_message(sd_event_source *source, int fd, uint32_t events, void *data)
{
    FakeBackend *backend = data;
    VrdMessage message;

    while (backend->socket >= 0) {
        FakeResult result = fake_receive(backend->socket, &message);

        if (result == FAKE_NOTHING) {
            return 0;
        }
        if (result == FAKE_END) {
            fake_backend_hang_up(backend);
            return 0;
        }
        fake_backend_handle(backend, &message);
    }
    return 0;
}

/* @fd: (owned) */
static inline void
fake_backend_serve(FakeBackend *backend, int fd)
{
    fake_backend_hang_up(backend);
    backend->n_connections++;
    backend->socket = fd;
    g_assert_cmpint(sd_event_add_io(backend->event, &backend->serving, fd, EPOLLIN,
                                    fake_backend_on_message, backend),
                    >=, 0);
    sd_event_source_set_io_fd_own(backend->serving, TRUE);
}

static inline int
fake_backend_on_connection(sd_event_source *source, int fd, uint32_t events, void *data)
{
    int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (connection >= 0) {
        fake_backend_serve(data, connection);
    }
    return 0;
}

static inline void
fake_path(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    g_strlcpy(address->sun_path, path, sizeof address->sun_path);
}

static inline void
fake_backend_init(FakeBackend *backend, sd_event *event, const char *path,
                  uint64_t features, uint64_t protocol_features)
{
    *backend = (FakeBackend){.event = event,
                             .path = g_strdup(path),
                             .socket = -1,
                             .features = features,
                             .protocol_features = protocol_features,
                             .n_queues = 2,
                             .channel = -1,
                             .state_fd = -1,
                             .heard = g_string_new(NULL)};
}

/* Be there from now on: a node appears at the path. */
static inline void
fake_backend_listen(FakeBackend *backend)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    fake_path(&address, backend->path);
    g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof address), ==, 0);
    g_assert_cmpint(listen(fd, 4), ==, 0);
    g_assert_cmpint(sd_event_add_io(backend->event, &backend->listening, fd, EPOLLIN,
                                    fake_backend_on_connection, backend),
                    >=, 0);
    sd_event_source_set_io_fd_own(backend->listening, TRUE);
}

/* (owned) */
static inline int
fake_connect(const char *path)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    fake_path(&address, path);
    g_assert_cmpint(connect(fd, (struct sockaddr *) &address, sizeof address), ==, 0);
    return fd;
}

/* Die: the connection, the listening socket and its node go. */
static inline void
fake_backend_die(FakeBackend *backend)
{
    fake_backend_hang_up(backend);
    if (backend->listening != NULL) {
        backend->listening = sd_event_source_disable_unref(backend->listening);
        g_unlink(backend->path);
    }
}

static inline void
fake_backend_forget(FakeBackend *backend)
{
    g_string_truncate(backend->heard, 0);
}

static inline gboolean
fake_backend_heard(const FakeBackend *backend, const char *words)
{
    return strstr(backend->heard->str, words) != NULL;
}

static inline void
fake_backend_clear(FakeBackend *backend)
{
    if (backend->heard == NULL) {
        return;
    }
    fake_backend_die(backend);
    g_free(backend->path);
    g_string_free(backend->heard, TRUE);
    backend->heard = NULL;
}

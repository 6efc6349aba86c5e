/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/offer.h"

#include "give.h"

/* Bit numbers from the specification, not from the tables under test. */
#define BIT(n_)      (UINT64_C(1) << (n_))
#define MQ           BIT(0)
#define LOG_SHMFD    BIT(1)
#define RARP         BIT(2)
#define REPLY_ACK    BIT(3)
#define BACKEND_REQ  BIT(5)
#define CONFIG       BIT(9)
#define SEND_FD      BIT(10)
#define INFLIGHT     BIT(12)
#define RESET_DEVICE BIT(13)
#define INBAND       BIT(14)
#define MEM_SLOTS    BIT(15)
#define STATUS       BIT(16)
#define XEN_MMAP     BIT(17)
#define ALWAYS       (REPLY_ACK | RESET_DEVICE | MEM_SLOTS)
#define LOG_ALL      BIT(26)
#define BIT_30       BIT(30)
#define VERSION_1    BIT(32)
#define IOMMU        BIT(33)
#define MRG_RXBUF    BIT(15) /* a network card's */

static const struct {
    const char *name;
    uint64_t backend; /* virtio features */
    uint64_t backend_protocol;
    uint64_t hidden;
    uint64_t hidden_protocol;
    uint64_t features; /* what is offered */
    uint64_t protocol;
} rows[] = {
    {"nothing: ours only", 0, 0, 0, 0, BIT_30, ALWAYS},
    {"passes what is listed", VERSION_1 | MRG_RXBUF | BIT_30, RARP | CONFIG, 0, 0,
     VERSION_1 | MRG_RXBUF | BIT_30, RARP | CONFIG | ALWAYS},
    {"masks what is not", VERSION_1 | IOMMU | BIT(49) | BIT_30,
     INBAND | XEN_MMAP | BIT(40), 0, 0, VERSION_1 | BIT_30, ALWAYS},
    {"no bit 30: no protocol features of its own", VERSION_1 | LOG_ALL,
     MQ | LOG_SHMFD | CONFIG, 0, 0, VERSION_1 | BIT_30, ALWAYS},
    {"log", LOG_ALL | BIT_30, LOG_SHMFD, 0, 0, LOG_ALL | BIT_30, LOG_SHMFD | ALWAYS},
    {"log without its descriptor", LOG_ALL | BIT_30, 0, 0, 0, BIT_30, ALWAYS},
    {"log descriptor alone", BIT_30, LOG_SHMFD, 0, 0, BIT_30, ALWAYS},
    {"log hidden", LOG_ALL | BIT_30, LOG_SHMFD, LOG_ALL, 0, BIT_30, ALWAYS},
    {"log descriptor hidden", LOG_ALL | BIT_30, LOG_SHMFD, 0, LOG_SHMFD, BIT_30, ALWAYS},
    {"bit 30 and acks are not to be hidden", BIT_30, REPLY_ACK, BIT_30, REPLY_ACK, BIT_30,
     ALWAYS},
    {"hidden", VERSION_1 | MRG_RXBUF | BIT_30, CONFIG | RARP, MRG_RXBUF,
     CONFIG | RESET_DEVICE | MEM_SLOTS, VERSION_1 | BIT_30, RARP | REPLY_ACK},
    {"status is the backend's", BIT_30, STATUS, 0, 0, BIT_30, STATUS | ALWAYS},
    {"descriptors need the channel", BIT_30, SEND_FD, 0, 0, BIT_30, ALWAYS},
    {"channel with descriptors", BIT_30, SEND_FD | BACKEND_REQ, 0, 0, BIT_30,
     SEND_FD | BACKEND_REQ | ALWAYS},
    {"channel hidden", BIT_30, SEND_FD | BACKEND_REQ, 0, BACKEND_REQ, BIT_30, ALWAYS},
    {"inflight", BIT_30, INFLIGHT, 0, 0, BIT_30, INFLIGHT | ALWAYS},
};

static void
test_the_vmm_is_offered_what_can_be_kept(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        VrdOffer backend = {rows[i].backend, rows[i].backend_protocol, 0, 0};
        VrdOffer offer = vrd_offer_to_vmm(&backend, VRD_KIND_NET, rows[i].hidden,
                                          rows[i].hidden_protocol, 256, 0);

        g_test_message("%s", rows[i].name);
        g_assert_cmphex(offer.features, ==, rows[i].features);
        g_assert_cmphex(offer.protocol_features, ==, rows[i].protocol);
    }
}

static const struct {
    const char *name;
    VrdKind kind;
    uint64_t backend_protocol;
    uint64_t backend_queues;
    uint32_t n_queues_max;
    uint64_t n_queues; /* what is offered */
    unsigned n_rings;
} queue_rows[] = {
    {"pairs", VRD_KIND_NET, MQ, 2, 256, 2, 4},
    {"pairs, limited by us", VRD_KIND_NET, MQ, 128, 4, 2, 4},
    {"pairs, odd limit", VRD_KIND_NET, MQ, 128, 5, 2, 4},
    {"at least one pair", VRD_KIND_NET, MQ, 128, 1, 1, 2},
    {"absurd number of pairs", VRD_KIND_NET, MQ, UINT64_MAX, 1000, 128, 256},
    {"pairs, not known", VRD_KIND_NET, MQ, 0, 8, 4, 8},
    {"net without MQ", VRD_KIND_NET, 0, 7, 2, 0, 2},
    {"disk", VRD_KIND_BLK, MQ, 4, 256, 4, 4},
    {"disk, limited by us", VRD_KIND_BLK, MQ, 1024, 16, 16, 16},
    {"disk, absurd number", VRD_KIND_BLK, MQ, UINT64_MAX, 256, 256, 256},
    {"disk without MQ", VRD_KIND_BLK, 0, 4, 8, 0, 8},
    {"file system", VRD_KIND_FS, MQ, 2, 256, 2, 2},
    {"scsi counts in its own way", VRD_KIND_SCSI, MQ, 1, 8, 1, 8},
    {"generic", VRD_KIND_GENERIC, MQ, 1, 8, 1, 8},
    {"limit not set", VRD_KIND_BLK, 0, 0, 0, 0, 256},
};

static void
test_queues_are_those_of_the_backend_up_to_a_limit(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(queue_rows); i++) {
        VrdOffer backend = {BIT_30, queue_rows[i].backend_protocol,
                            queue_rows[i].backend_queues, 0};
        VrdOffer offer = vrd_offer_to_vmm(&backend, queue_rows[i].kind, 0, 0,
                                          queue_rows[i].n_queues_max, 0);

        g_test_message("%s", queue_rows[i].name);
        g_assert_cmpuint(offer.n_queues, ==, queue_rows[i].n_queues);
        g_assert_cmpuint(
            vrd_offer_n_rings(&offer, queue_rows[i].kind, queue_rows[i].n_queues_max), ==,
            queue_rows[i].n_rings);
    }
}

static const struct {
    const char *name;
    uint64_t backend_protocol;
    uint64_t backend_slots;
    uint64_t n_slots_min;
    uint64_t n_slots; /* what is offered */
} slot_rows[] = {
    {"the backend's", MEM_SLOTS, 32, 0, 32},
    {"limited by us", MEM_SLOTS, 4096, 0, 509},
    {"never less than before", MEM_SLOTS, 32, 509, 509},
    {"classic", 0, 0, 0, 8},
    {"classic, number without meaning", 0, 100, 0, 8},
    {"classic after one with slots", 0, 0, 509, 509},
    {"not known", MEM_SLOTS, 0, 0, 8},
};

static void
test_memory_slots_never_become_less(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(slot_rows); i++) {
        VrdOffer backend = {BIT_30, slot_rows[i].backend_protocol, 0,
                            slot_rows[i].backend_slots};
        VrdOffer offer = vrd_offer_to_vmm(&backend, VRD_KIND_BLK, 0, 0, 256,
                                          slot_rows[i].n_slots_min);

        g_test_message("%s", slot_rows[i].name);
        g_assert_cmpuint(offer.n_mem_slots, ==, slot_rows[i].n_slots);
    }
}

static const struct {
    const char *name;
    VrdKind kind;
    VrdOffer backend;
    uint64_t features; /* acked by the VMM */
    uint64_t protocol;
    unsigned n_rings;
    const char *text; /* NULL: it covers them */
} cover_rows[] = {
    {"equal",
     VRD_KIND_NET,
     {VERSION_1 | LOG_ALL | BIT_30, MQ | LOG_SHMFD, 2, 0},
     VERSION_1 | LOG_ALL | BIT_30,
     MQ | LOG_SHMFD,
     4,
     NULL},
    {"what is done by us",
     VRD_KIND_NET,
     {VERSION_1, 0, 0, 0},
     VERSION_1 | BIT_30,
     ALWAYS,
     2,
     NULL},
    {"missing features",
     VRD_KIND_NET,
     {BIT_30, 0, 0, 0},
     VERSION_1 | MRG_RXBUF | BIT_30,
     0,
     2,
     "the backend lacks features 0x100008000 that the VMM uses: MRG_RXBUF VERSION_1"},
    {"missing log",
     VRD_KIND_NET,
     {BIT_30, LOG_SHMFD, 0, 0},
     LOG_ALL | BIT_30,
     LOG_SHMFD,
     2,
     "the backend lacks features 0x4000000 that the VMM uses: LOG_ALL"},
    {"missing protocol features",
     VRD_KIND_BLK,
     {BIT_30, MQ, 4, 0},
     BIT_30,
     MQ | CONFIG,
     2,
     "the backend lacks protocol features 0x200 that the VMM uses: CONFIG"},
    {"protocol features without bit 30",
     VRD_KIND_BLK,
     {0, CONFIG, 0, 0},
     BIT_30,
     CONFIG,
     1,
     "the backend lacks protocol features 0x200 that the VMM uses: CONFIG"},
    {"less pairs",
     VRD_KIND_NET,
     {BIT_30, MQ, 1, 0},
     BIT_30,
     MQ,
     4,
     "the backend has 2 rings, the VMM uses 4"},
    {"less queues",
     VRD_KIND_BLK,
     {BIT_30, MQ, 1, 0},
     BIT_30,
     MQ,
     2,
     "the backend has 1 rings, the VMM uses 2"},
    {"scsi counts in its own way",
     VRD_KIND_SCSI,
     {BIT_30, MQ, 1, 0},
     BIT_30,
     MQ,
     3,
     NULL},
};

static void
test_a_backend_covers_what_was_promised_or_is_refused(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(cover_rows); i++) {
        GError *error = NULL;
        gboolean ok = vrd_offer_covers(&cover_rows[i].backend, cover_rows[i].kind,
                                       cover_rows[i].features, cover_rows[i].protocol,
                                       cover_rows[i].n_rings, &error);

        g_test_message("%s", cover_rows[i].name);
        if (cover_rows[i].text != NULL) {
            assert_refused(ok, &error, VRD_ERROR_UNSUPPORTED, cover_rows[i].text);
        } else {
            g_assert_no_error(error);
            g_assert_true(ok);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/offer/the-vmm-is-offered-what-can-be-kept",
                    test_the_vmm_is_offered_what_can_be_kept);
    g_test_add_func("/offer/queues-are-those-of-the-backend-up-to-a-limit",
                    test_queues_are_those_of_the_backend_up_to_a_limit);
    g_test_add_func("/offer/memory-slots-never-become-less",
                    test_memory_slots_never_become_less);
    g_test_add_func("/offer/a-backend-covers-what-was-promised-or-is-refused",
                    test_a_backend_covers_what_was_promised_or_is_refused);
    return g_test_run();
}

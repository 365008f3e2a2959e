/* Channels of SimBricks, version 1 of the protocol, for simulators in C and C++.
 *
 * Two things are here: the layouts of the protocol, for those who speak it themselves, and the functions of the
 * library hallux_channel_c, which does. All integers are little-endian, all times are picoseconds of simulated time.
 *
 * The shape of a component with one channel:
 *
 *     hallux_end *end;
 *     if (hallux_establish(1, &address, &role, NULL, NULL, &end)) ...hallux_error()...
 *     for (;;) {
 *         hallux_promise(end, now);                       now was reached, but is not handled yet
 *         while (hallux_poll(end, &at, &message) == 1)    may lie ahead: keep it until its time
 *             ...
 *         if (hallux_bound(end) <= now) { hallux_idle(end); continue; }
 *         hallux_progress(end);
 *         ...handle what is due now, send with hallux_send(end, now, ...), choose the next now...
 *     }
 *
 * `now` may grow up to the bound of the end, up to hallux_promise_due, and up to the next event.
 */
#ifndef HALLUX_CHANNEL_H
#define HALLUX_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Handshake ---------------------------------------------------------------------------------------------- */

#define HALLUX_VERSION 1
#define HALLUX_FLAG_SYNC 1
#define HALLUX_FLAG_FORCE 2
#define HALLUX_PROTOCOL_ETHERNET 1
#define HALLUX_PROTOCOL_PCIE 2
#define HALLUX_PROTOCOL_MEMORY 3

struct hallux_ring_place {
    uint64_t offset;    /* bytes from the start of the shared object */
    uint64_t slot_size; /* bytes */
    uint64_t slots;
};

struct hallux_listener_intro {
    uint64_t version;
    uint64_t flags;
    struct hallux_ring_place to_connecter;
    struct hallux_ring_place to_listener;
    uint64_t upper_protocol;
    uint64_t upper_offset; /* bytes from the start of the message */
};

struct hallux_connecter_intro {
    uint64_t version;
    uint64_t flags;
    uint64_t upper_protocol;
    uint64_t upper_offset;
};

#define HALLUX_BAR_IO 1
#define HALLUX_BAR_WIDE 2
#define HALLUX_BAR_PREFETCHABLE 4
#define HALLUX_BAR_DUMMY 8

#pragma pack(push, 1)
struct hallux_bar {
    uint64_t len; /* bytes; 0: there is no such region */
    uint64_t flags;
};

struct hallux_device_intro {
    struct hallux_bar bars[6];
    uint16_t vendor;
    uint16_t device;
    uint8_t class_code; /* `class` is a word of C++ */
    uint8_t subclass;
    uint8_t revision;
    uint8_t interface;
    uint8_t msi_vectors;
    uint16_t msix_vectors;
    uint8_t msix_table_bar;
    uint8_t msix_pba_bar;
    uint32_t msix_table_offset;
    uint32_t msix_pba_offset;
    uint16_t msix_capability;
};
#pragma pack(pop)

/* ---- Slots -------------------------------------------------------------------------------------------------- */

#define HALLUX_HEADER_BYTES 64
#define HALLUX_OWNER 0x80 /* of own_type: the consumer owns the slot */
#define HALLUX_TYPE 0x7f  /* of own_type: the type of the message */

#define HALLUX_SYNC 0x00
#define HALLUX_TERMINATE 0x01
#define HALLUX_PACKET 0x40
#define HALLUX_DMA_READ 0x40
#define HALLUX_DMA_WRITE 0x41
#define HALLUX_INTERRUPT 0x42
#define HALLUX_MMIO_READ_COMPLETION 0x43
#define HALLUX_MMIO_WRITE_COMPLETION 0x44
#define HALLUX_MMIO_READ 0x60
#define HALLUX_MMIO_WRITE 0x61
#define HALLUX_DMA_READ_COMPLETION 0x62
#define HALLUX_DMA_WRITE_COMPLETION 0x63
#define HALLUX_DEVICE_CONTROL 0x64
#define HALLUX_MMIO_WRITE_POSTED 0x65
#define HALLUX_MEMORY_READ_COMPLETION 0x40
#define HALLUX_MEMORY_WRITE_COMPLETION 0x41
#define HALLUX_MEMORY_READ 0x60
#define HALLUX_MEMORY_WRITE 0x61
#define HALLUX_MEMORY_WRITE_POSTED 0x62

struct hallux_tail {
    uint64_t timestamp; /* when the receiver must handle the message */
    uint8_t pad[7];
    uint8_t own_type;
};

struct hallux_slot {
    uint8_t own[48];
    uint64_t timestamp;
    uint8_t pad[7];
    uint8_t own_type;
};

struct hallux_packet {
    uint16_t len;
    uint8_t port;
    uint8_t pad[45];
    struct hallux_tail tail;
};

struct hallux_dma {
    uint64_t req_id;
    uint64_t addr;
    uint16_t len;
    uint8_t pad[30];
    struct hallux_tail tail;
};

struct hallux_mmio {
    uint64_t req_id;
    uint64_t offset;
    uint16_t len;
    uint8_t bar;
    uint8_t pad[29];
    struct hallux_tail tail;
};

struct hallux_completion {
    uint64_t req_id;
    uint8_t pad[40];
    struct hallux_tail tail;
};

struct hallux_interrupt {
    uint16_t vector;
    uint8_t kind; /* 0 INTx up, 1 INTx down, 2 MSI, 3 MSI-X */
    uint8_t pad[45];
    struct hallux_tail tail;
};

struct hallux_device_control {
    uint64_t flags; /* bit 0 INTx, bit 1 MSI, bit 2 MSI-X */
    uint8_t pad[40];
    struct hallux_tail tail;
};

struct hallux_memory {
    uint64_t req_id;
    uint64_t space;
    uint64_t addr;
    uint16_t len;
    uint8_t pad[22];
    struct hallux_tail tail;
};

/* ---- The library -------------------------------------------------------------------------------------------- */

/* One end of an established channel. To be used by one thread at a time. */
typedef struct hallux_end hallux_end;

#define HALLUX_NEVER UINT64_MAX

enum hallux_role {
    HALLUX_ETHERNET = 0,
    HALLUX_PCIE_DEVICE = 1,
    HALLUX_PCIE_HOST = 2,
    HALLUX_MEMORY_SERVER = 3,
    HALLUX_MEMORY_CLIENT = 4
};

/* Zero in a field stands for its default. */
struct hallux_options {
    uint64_t slot_size;   /* bytes; 1600, 9088 or 8256 by protocol */
    uint64_t slots;       /* of a ring; 1024 */
    uint64_t deadline_ms; /* to wait for the peers; 60 000 */
};

/* A message. Which fields have a meaning depends on its type. */
struct hallux_message {
    uint8_t type;       /* one of those above; its meaning depends on who sends it */
    uint8_t bar;        /* MMIO */
    uint8_t kind;       /* interrupts */
    uint8_t pad;
    uint16_t vector;    /* interrupts */
    uint16_t len;       /* bytes of data, or asked for */
    uint64_t req_id;
    uint64_t addr;      /* DMA, memory; MMIO: the offset; device control: the flags */
    uint64_t space;     /* memory */
    const uint8_t *data; /* received: belongs to the end, until the next hallux_poll on it */
};

/* Functions that return an int return a negative number after an error; hallux_error says which. */

/* The last error of this thread, until the next one. */
const char *hallux_error(void);

/* Establishes `count` channels and stores their ends. `device` is what the PCIe devices among them are, and may be
 * null without one; `options` may be null. 0, or negative with no channel established. */
int hallux_establish(size_t count, const char *const *addresses, const int *roles,
                     const struct hallux_device_intro *device, const struct hallux_options *options,
                     hallux_end **ends);
/* Closes the channel. The peer takes this for a crash unless hallux_terminate came first. */
void hallux_close(hallux_end *end);

/* 1 if times are held together, 0 if not. */
int hallux_synchronised(const hallux_end *end);
/* At the host's end of PCIe: copies what the device said. 1, or 0 at other ends. */
int hallux_device(const hallux_end *end, struct hallux_device_intro *device);

#define HALLUX_FULL 0      /* not sent: try again later */
#define HALLUX_SENT 1
#define HALLUX_REFUSED 2   /* a frame longer than a slot: dropped */
#define HALLUX_DISCARDED 3 /* the channel was terminated */
/* Sends a message at `at`, never before an earlier one. */
int hallux_send(hallux_end *end, uint64_t at, const struct hallux_message *message);
/* Promises to send nothing before `upto` any more. 1, or 0 if it must be repeated because the ring is full. */
int hallux_promise(hallux_end *end, uint64_t upto);
/* When the next promise is due. */
uint64_t hallux_promise_due(const hallux_end *end);

/* Takes the next message and the time of its arrival. 1, or 0 if there is none now. */
int hallux_poll(hallux_end *end, uint64_t *at, struct hallux_message *message);
/* Nothing that is still to come arrives before this time. */
uint64_t hallux_bound(const hallux_end *end);

/* Says that nothing more will be sent. 1, or 0 if it must be repeated because the ring is full. */
int hallux_terminate(hallux_end *end);
/* 1 once the peer has said so and everything was taken. */
int hallux_terminated(const hallux_end *end);
/* 1 if the peer still has its end of the socket open. */
int hallux_peer_alive(hallux_end *end);

/* Waits a little, longer each time: spins, yields, sleeps. */
void hallux_idle(hallux_end *end);
/* Ends that wait. */
void hallux_progress(hallux_end *end);

#ifdef __cplusplus
}
#endif
#endif

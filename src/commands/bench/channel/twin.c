/* The twin of the Rust endpoint for `hallux bench channel`: the same rings, rules and checks, written in C from the
 * description of the protocol. It waits by spinning and nothing else, as the endpoints of the field do. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 64, STAMP = 48, OWN_TYPE = 63 };
enum { OWNER = 0x80, SYNC = 0x00, TERMINATE = 0x01, PACKET = 0x40 };
enum protocol { ETHERNET, PCIE, MEMORY };
enum test { STREAM, PING_PONG, SYNC_STEPS };

struct ring {
    uint8_t *slots;
    uint64_t slot_size, count, next;
};

struct end {
    struct ring out, in;
    uint64_t latency, interval; /* picoseconds */
    uint64_t last_sent, bound;
    uint64_t full, syncs, messages, bytes;
    enum protocol protocol;
    int has_sent, synchronised, terminated; /* terminated: the peer has sent its last message */
    uint8_t *frame;
};

static inline uint8_t *slot_of(const struct ring *ring) {
    return ring->slots + ring->next * ring->slot_size;
}

static inline void step(struct ring *ring) {
    ring->next = ring->next + 1 == ring->count ? 0 : ring->next + 1;
}

/* 1: sent, 0: the ring is full, -1: against the rules. */
static inline int put(struct end *end, uint64_t at, uint8_t type, const uint8_t *data, uint16_t len) {
    if (end->terminated || len > end->out.slot_size - HEADER || (end->has_sent && at < end->last_sent)) return -1;
    uint8_t *slot = slot_of(&end->out);
    if (__atomic_load_n(slot + OWN_TYPE, __ATOMIC_ACQUIRE) & OWNER) {
        end->full++;
        return 0;
    }
    uint64_t stamp;
    if (__builtin_add_overflow(at, end->latency, &stamp)) stamp = UINT64_MAX;
    if (type == PACKET) {
        memcpy(slot, &len, sizeof len);
        slot[2] = 0;
        memcpy(slot + HEADER, data, len);
    }
    memcpy(slot + STAMP, &stamp, sizeof stamp);
    __atomic_store_n(slot + OWN_TYPE, type | OWNER, __ATOMIC_RELEASE);
    step(&end->out);
    end->last_sent = at;
    end->has_sent = 1;
    return 1;
}

static inline int send_frame(struct end *end, uint64_t at, const uint8_t *data, uint16_t len) {
    if (end->protocol != ETHERNET) return -1;
    int sent = put(end, at, PACKET, data, len);
    if (sent > 0) end->messages++, end->bytes += len;
    return sent;
}

static inline int promise(struct end *end, uint64_t upto) {
    if (!end->synchronised || (end->has_sent && upto < end->last_sent + end->interval)) return 1;
    int sent = put(end, upto, SYNC, 0, 0);
    if (sent > 0) end->syncs++;
    return sent;
}

/* The length of the next frame, copied out; -1: there is none, -2: against the rules. */
static inline int receive(struct end *end, uint64_t *at) {
    for (uint64_t tries = 0; tries < end->in.count; tries++) {
        if (end->terminated) return -1;
        uint8_t *slot = slot_of(&end->in);
        uint8_t own_type = __atomic_load_n(slot + OWN_TYPE, __ATOMIC_ACQUIRE);
        if (!(own_type & OWNER)) return -1;
        uint8_t type = own_type & ~OWNER;
        if (type == TERMINATE) {
            __atomic_store_n(slot + OWN_TYPE, type, __ATOMIC_RELEASE);
            step(&end->in);
            end->terminated = 1;
            end->bound = UINT64_MAX;
            return -1;
        }
        uint64_t stamp;
        memcpy(&stamp, slot + STAMP, sizeof stamp);
        if (end->synchronised) {
            if (stamp < end->bound) return -2;
            end->bound = stamp;
        }
        if (type == SYNC) {
            __atomic_store_n(slot + OWN_TYPE, type, __ATOMIC_RELEASE);
            step(&end->in);
            end->syncs++;
            continue;
        }
        uint16_t len;
        memcpy(&len, slot, sizeof len);
        if (end->protocol != ETHERNET || type != PACKET || len > end->in.slot_size - HEADER) return -2;
        memcpy(end->frame, slot + HEADER, len);
        __atomic_store_n(slot + OWN_TYPE, type, __ATOMIC_RELEASE);
        step(&end->in);
        end->messages++, end->bytes += len;
        *at = stamp;
        return len;
    }
    return -1;
}

struct end *twin_new(uint8_t *out, uint8_t *in, uint64_t slot_size, uint64_t slots, uint64_t latency) {
    struct end *end = calloc(1, sizeof *end);
    if (!end || !(end->frame = calloc(1, slot_size))) abort();
    end->out = (struct ring){out, slot_size, slots, 0};
    end->in = (struct ring){in, slot_size, slots, 0};
    end->latency = end->interval = latency;
    end->protocol = ETHERNET;
    end->synchronised = 1;
    return end;
}

void twin_free(struct end *end) {
    free(end->frame);
    free(end);
}

static inline void send_spinning(struct end *end, uint64_t at, const uint8_t *data, uint16_t len) {
    int sent;
    while (!(sent = send_frame(end, at, data, len))) {
    }
    if (sent < 0) abort();
}

static inline uint64_t receive_spinning(struct end *end, uint64_t *at) {
    int len;
    while ((len = receive(end, at)) == -1) {
    }
    if (len < 0) abort();
    return end->frame[0];
}

/* Reaches `upto` and waits until it may be handled. */
static inline void sync_step(struct end *end, uint64_t upto) {
    uint64_t at;
    while (promise(end, upto) == 0) {
    }
    while (end->bound <= upto)
        if (receive(end, &at) != -1) abort();
}

/* One side of `n` operations that follow `from` earlier ones. Returns a sum over what was received. */
uint64_t twin_side(struct end *end, int test, int left, uint64_t from, uint64_t n, const uint8_t *data, uint16_t len) {
    uint64_t sum = 0, at = 0;
    for (uint64_t i = from; i < from + n; i++) {
        uint64_t now = (i + 1) * end->latency;
        switch (test) {
        case STREAM:
            if (left)
                send_spinning(end, now, data, len);
            else
                sum += receive_spinning(end, &at);
            break;
        case PING_PONG:
            if (left) {
                send_spinning(end, 2 * now, data, len);
                sum += receive_spinning(end, &at);
            } else {
                sum += receive_spinning(end, &at);
                send_spinning(end, at, end->frame, len);
            }
            break;
        default:
            sync_step(end, now);
        }
    }
    return sum;
}

enum { BATCH = 32 };

/* Both sides in turn. */
uint64_t twin_both(struct end *left, struct end *right, int test, uint64_t from, uint64_t n, const uint8_t *data,
                   uint16_t len) {
    uint64_t sum = 0, at = 0, now = from * left->latency;
    if (test == STREAM) {
        for (uint64_t batch = 0; batch < n / BATCH; batch++) {
            for (int k = 0; k < BATCH; k++) send_spinning(left, now += left->latency, data, len);
            for (int k = 0; k < BATCH; k++) sum += receive_spinning(right, &at);
        }
        return sum;
    }
    for (uint64_t i = 0; i < n; i++) {
        now += left->latency;
        switch (test) {
        case PING_PONG:
            send_spinning(left, 2 * now, data, len);
            sum += receive_spinning(right, &at);
            send_spinning(right, at, right->frame, len);
            sum += receive_spinning(left, &at);
            break;
        default:
            if (promise(left, now) != 1 || promise(right, now) != 1) abort();
            sync_step(left, now);
            sync_step(right, now);
        }
    }
    return sum;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

/* Two processes on the one core of the caller for `duration` seconds. Returns nanoseconds an operation. */
double twin_shared_core(int test, uint64_t slot_size, uint64_t slots, uint64_t latency, double duration,
                        const uint8_t *data, uint16_t len) {
    uint64_t ring = slot_size * slots;
    uint8_t *memory = mmap(0, 2 * ring, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) abort();
    pid_t child = fork();
    if (child < 0) abort();
    struct end *end = child ? twin_new(memory, memory + ring, slot_size, slots, latency)
                            : twin_new(memory + ring, memory, slot_size, slots, latency);
    if (!child)
        for (uint64_t i = 0;; i++) twin_side(end, test, test == STREAM, i, 1, data, len);
    double from = seconds(), now;
    uint64_t done = 0;
    do {
        twin_side(end, test, test != STREAM, done++, 1, data, len);
    } while ((now = seconds()) < from + duration);
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
    twin_free(end);
    munmap(memory, 2 * ring);
    return (now - from) * 1e9 / done;
}

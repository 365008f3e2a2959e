/* A wire: what comes in at one end goes out at the other, after the latencies of both channels, and is counted.
 *
 *     cc wire.c -I cosim/channel/include -L target/release -lhallux_channel_c -o wire
 *     ./wire connect:/run/a.eth:sync=true:latency=500ns connect:/run/b.eth:sync=true:latency=500ns
 */
#include <hallux_channel.h>

#include <inttypes.h>
#include <stdio.h>

static int failed(const char *what) {
    fprintf(stderr, "wire: cannot %s: %s\n", what, hallux_error());
    return -1;
}

struct direction {
    hallux_end *from, *to;
    struct hallux_message message; /* taken, but not sent yet */
    uint64_t at;
    int waiting;
    uint64_t frames, bytes;
};

/* 1 if something was carried, 0 if nothing was there, negative after an error. */
static int carry(struct direction *way) {
    if (!way->waiting) {
        int taken = hallux_poll(way->from, &way->at, &way->message);
        if (taken < 0) return failed("receive");
        way->waiting = taken;
    }
    if (way->waiting) {
        int sent = hallux_send(way->to, way->at, &way->message);
        if (sent < 0) return failed("send");
        if (sent == HALLUX_FULL) return 0;
        way->waiting = 0;
        way->frames++;
        way->bytes += way->message.len;
        return 1;
    }
    if (hallux_terminated(way->from)) return 0;
    /* Nothing leaves this wire before it has come in. */
    return hallux_promise(way->to, hallux_bound(way->from)) < 0 ? failed("promise") : 0;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: wire ADDRESS ADDRESS\n");
        return 2;
    }
    const char *addresses[] = {argv[1], argv[2]};
    int roles[] = {HALLUX_ETHERNET, HALLUX_ETHERNET};
    hallux_end *ends[2];
    if (hallux_establish(2, addresses, roles, NULL, NULL, ends)) return failed("connect"), 1;
    if (hallux_synchronised(ends[0]) != hallux_synchronised(ends[1])) {
        fprintf(stderr, "wire: one end is synchronised and the other is not; use the same sync= for both\n");
        return 1;
    }

    struct direction ways[2] = {{.from = ends[0], .to = ends[1]}, {.from = ends[1], .to = ends[0]}};
    int result = 0;
    while (!result) {
        int carried = 0, over = 0;
        for (int i = 0; i < 2 && !result; i++) {
            int done = carry(&ways[i]);
            if (done < 0)
                result = 1;
            else
                carried |= done;
            over |= hallux_terminated(ways[i].from) && !ways[i].waiting;
        }
        if (over) break;
        carried ? hallux_progress(ends[0]) : hallux_idle(ends[0]);
    }
    for (int i = 0; i < 2; i++) hallux_terminate(ends[i]);
    for (int i = 0; i < 2; i++) {
        printf("%" PRIu64 " frames, %" PRIu64 " bytes\n", ways[i].frames, ways[i].bytes);
        hallux_close(ends[i]);
    }
    return result;
}

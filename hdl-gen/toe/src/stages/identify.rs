//! Identification: which flow does a frame belong to?
//!
//! ```text
//!             ┌────────┐ bucket ┌──────────────┐   ┌─────────┐ hits ┌────────┐ ┌──────┐
//!  s ─Summary►│ hashes ├───────►│ 2 tables ×   ├──►│ compare ├─────►│ select ├►│ Fifo ├─Segment─► m
//!             └────────┘        │ 4 ways (Ram) │   └─────────┘      └────────┘ └──────┘
//!  s_write ─TableWrite─────────►│              │
//!                               └──────────────┘
//! ```
//!
//! Two hashes of the key address two tables of four-way buckets; both buckets are read
//! and all eight entries compared at each lookup, so that the driver can move entries
//! between their two places (cuckoo hashing) and never has to make the path wait. A miss
//! turns fast into slow; frames that are not fast pass unlooked.
//!
//! In order; initiation interval 1, latency 4 clocks, the last of them in the [`Fifo`]. A lookup
//! accepted after a table write sees it. After reset the tables are cleared, one bucket a
//! clock, while both inputs wait.

use crate::channels::{CLASS_FAST, CLASS_SLOW, Segment, Summary, TableEntry, TableWrite};
use crate::interface::TABLE_WAYS;
use crate::stages::octets::{network16, network32};
use hallux_hdl::prelude::*;

/// Entries read at each lookup: those of two buckets.
const ENTRIES: usize = 2 * TABLE_WAYS;
/// Segments in the pipeline and the output queue.
const QUEUE: usize = 16;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Identify {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: clears the tables.
    pub rst: Signal<In, Bit>,
    /// Summaries in ticket order.
    pub s: StreamSink<Summary>,
    /// Writes to the tables; waits only while these are cleared.
    pub s_write: StreamSink<TableWrite>,
    /// Segments in ticket order.
    pub m: StreamSource<Segment>,
    /// Nothing is held and the tables are cleared.
    pub idle: Signal<Out, Bit>,
    // Clearing after reset.
    clearing: DFF<Bit>,
    sweep: DFF<Bits<16>>,
    // Segments accepted and not yet gone.
    held: DFF<Bits<5>>,
    // A table was written: its read port may change in this clock.
    written: DFF<Bit>,
    // Hashed, read, compared: the three steps of the pipeline.
    valid: DFF<Bits<3>>,
    summaries: [DFF<Summary>; 3],
    hash: [Crc32<96>; 2],
    buckets: [DFF<Bits<16>>; 2],
    ways: Vec<Ram<TableEntry, 16>>,
    /// Which entries match, and the flows they name.
    hits: DFF<Bits<ENTRIES>>,
    flows: [DFF<Bits<16>>; ENTRIES],
    queue: Fifo<Segment>,
    _last_bucket: u64,
}

impl Identify {
    /// Tables of `buckets` buckets each: a power of two, at most 65536.
    pub fn new(buckets: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            s_write: Default::default(),
            m: Default::default(),
            idle: Default::default(),
            clearing: Default::default(),
            sweep: Default::default(),
            held: Default::default(),
            written: Default::default(),
            valid: Default::default(),
            summaries: Default::default(),
            hash: [Crc32::new(0x82f6_3b78), Crc32::new(0xedb8_8320)],
            buckets: Default::default(),
            ways: (0..ENTRIES).map(|_| Ram::new(buckets)).collect(),
            hits: Default::default(),
            flows: Default::default(),
            queue: Fifo::new(QUEUE).with_output(FifoOutput::Forward),
            _last_bucket: buckets as u64 - 1,
        }
    }
}

/// The 12 octets of the key in network order, octet 0 in bits 7..0.
#[hdl_fn]
fn flow_key(summary: Summary) -> Bits<96> {
    let addresses = cat::<32, 32, 64>(network32(summary.local_ip), network32(summary.remote_ip));
    let ports = cat::<16, 16, 32>(
        network16(summary.local_port),
        network16(summary.remote_port),
    );
    cat::<32, 64, 96>(ports, addresses)
}

/// The entry is that of the frame's connection.
#[hdl_fn]
fn matches(entry: TableEntry, summary: Summary) -> Bit {
    entry.valid
        & (entry.remote_ip == summary.remote_ip)
        & (entry.local_ip == summary.local_ip)
        & (entry.remote_port == summary.remote_port)
        & (entry.local_port == summary.local_port)
}

impl Logic for Identify {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            clearing,
            sweep,
            held,
            written,
            valid,
            summaries[0],
            summaries[1],
            summaries[2],
            buckets[0],
            buckets[1],
            hits
        );
        for way in 0..ENTRIES {
            dff_setup!(self, clk, flows[way]);
        }
        self.queue.clk.next = self.clk.val();
        self.queue.rst.next = self.rst.val();
        let last_bucket = bits::<16>(self._last_bucket);
        let clearing = self.clearing.q.val();
        if clearing {
            self.sweep.d.next = self.sweep.q.val() + bits::<16>(1);
            self.clearing.d.next = self.sweep.q.val() != last_bucket;
        }

        // Step 0: accept and hash.
        let accepts = !clearing & (self.held.q.val() < bits::<5>(QUEUE as u64));
        self.s.ready.next = accepts;
        let taken = accepts & self.s.valid.val();
        let key = flow_key(self.s.data.val());
        for table in 0..2 {
            self.hash[table].key.next = key;
            if taken {
                self.buckets[table].d.next =
                    self.hash[table].crc.val().get_bits::<16>(0) & last_bucket;
            }
        }
        if taken {
            self.summaries[0].d.next = self.s.data.val();
        }

        // Step 1: read. Writes share the clock edge of the read and are not seen by it.
        self.s_write.ready.next = !clearing;
        let write = self.s_write.data.val();
        let writes = self.s_write.valid.val() & !clearing;
        self.written.d.next = clearing | writes;
        for way in 0..ENTRIES {
            let table = way / TABLE_WAYS;
            let in_table = if table == 1 {
                write.table
            } else {
                !write.table
            };
            let chosen = in_table & (write.way == bits::<2>((way % TABLE_WAYS) as u64));
            self.ways[way].clk.next = self.clk.val();
            self.ways[way].read_address.next = self.buckets[table].q.val();
            self.ways[way].write_enable.next = clearing | (writes & chosen);
            self.ways[way].write_address.next = if clearing {
                self.sweep.q.val()
            } else {
                write.bucket & last_bucket
            };
            self.ways[way].write_data.next = if clearing {
                TableEntry {
                    valid: false,
                    flow: bits::<16>(0),
                    remote_ip: bits::<32>(0),
                    local_ip: bits::<32>(0),
                    remote_port: bits::<16>(0),
                    local_port: bits::<16>(0),
                }
            } else {
                write.entry
            };
        }
        if self.valid.q.val().get_bit(0) {
            self.summaries[1].d.next = self.summaries[0].q.val();
        }

        // Step 2: compare.
        let mut hits = bits::<ENTRIES>(0);
        for way in 0..ENTRIES {
            let entry = self.ways[way].read_data.val();
            hits.set_bits(way, bit(matches(entry, self.summaries[1].q.val())));
            if self.valid.q.val().get_bit(1) {
                self.flows[way].d.next = entry.flow;
            }
        }
        if self.valid.q.val().get_bit(1) {
            self.hits.d.next = hits;
            self.summaries[2].d.next = self.summaries[1].q.val();
        }

        // Step 3: select and queue. While an entry moves, two entries may match: with one
        // flow. `held` keeps a place for all that is in the pipeline.
        let mut summary = self.summaries[2].q.val();
        let hits = self.hits.q.val();
        let mut flow = bits::<16>(0);
        for way in 0..ENTRIES {
            if hits.get_bit(way) {
                flow = flow | self.flows[way].q.val();
            }
        }
        if (summary.class == bits::<2>(CLASS_FAST)) & !hits.any() {
            summary.class = bits::<2>(CLASS_SLOW);
        }
        self.valid.d.next = cat::<2, 1, 3>(self.valid.q.val().get_bits::<2>(0), bit(taken));
        self.queue.s.data.next = Segment { summary, flow };
        self.queue.s.valid.next = self.valid.q.val().get_bit(2);
        StreamSource::<Segment>::link(&mut self.m, &mut self.queue.m);
        let left = self.m.valid.val() & self.m.ready.val();
        if taken & !left {
            self.held.d.next = self.held.q.val() + bits::<5>(1);
        } else if left & !taken {
            self.held.d.next = self.held.q.val() - bits::<5>(1);
        }
        self.idle.next = !clearing & !self.written.q.val() & (self.held.q.val() == bits::<5>(0));

        if self.rst.val() {
            self.clearing.d.next = true;
            self.written.d.next = false;
            self.sweep.d.next = bits::<16>(0);
            self.held.d.next = bits::<5>(0);
            self.valid.d.next = bits::<3>(0);
        }
    }
}

//! What the NIC reports: records and the frames they announce.

use hallux_channel::Time;
use hallux_toe::interface::{CONTROL_CONTEXT, Opcode, Record, RecordKind, Status, notice};

use crate::application::NetError;
use crate::control::ControlPlane;
use crate::control::connection::{ConnectionId, Phase};
use crate::control::packet::{Received, Segment, parse};
use crate::sockets::Owner;

/// A record taken from a context's ring, and the frame that it announces.
///
/// The frame is copied at once: its slot is the NIC's again when the record is consumed.
#[derive(Clone, Debug)]
pub enum Work {
    /// A connection's data path, or a completed command.
    Record(Record),
    /// A frame of the slow path.
    Frame(Vec<u8>),
}

impl ControlPlane {
    /// Takes up to `limit` records of a context.
    pub fn poll(&mut self, context: u8, limit: usize) -> Vec<Work> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some(record) = self.driver.pop_record(context) else {
                break;
            };
            if record.kind != RecordKind::Frame as u8 {
                taken.push(Work::Record(record));
            } else if context == CONTROL_CONTEXT
                && let Some(frame) = self.driver.received_frame(&record)
            {
                taken.push(Work::Frame(frame));
            } else {
                self.counts.malformed_records += 1;
            }
        }
        taken
    }

    /// Does what a record or a frame asks for.
    pub fn handle(&mut self, now: Time, context: u8, work: Work) {
        match work {
            Work::Frame(frame) => self.frame_received(now, &frame),
            Work::Record(record) if record.kind == RecordKind::Update as u8 => {
                self.update(now, context, &record);
            }
            Work::Record(record)
                if record.kind == RecordKind::CommandDone as u8 && context == CONTROL_CONTEXT =>
            {
                self.command_done(now, &record);
            }
            Work::Record(_) => self.counts.malformed_records += 1,
        }
    }

    fn frame_received(&mut self, now: Time, frame: &[u8]) {
        self.counts.frames_received += 1;
        match parse(frame) {
            Received::Arp(arp) => self.learn(now, &arp),
            Received::Tcp(segment) if self.splices.holds(&segment.key) => {
                self.spliced_frame(now, &segment, frame);
            }
            Received::Tcp(segment) if segment.key.local_ip == u32::from(self.config.ip) => {
                self.segment_received(now, &segment);
            }
            Received::Tcp(_) | Received::Other => self.counts.frames_ignored += 1,
        }
    }

    fn segment_received(&mut self, now: Time, segment: &Segment) {
        let Some(&id) = self.by_key.get(&segment.key) else {
            if segment.syn && segment.ack.is_none() && !segment.rst {
                self.syn_received(segment);
            } else if let Some(refusal) = segment.refusal() {
                self.send(&refusal);
            }
            return;
        };
        let phase = self.connections.get(&id).map(|connection| connection.phase);
        match phase {
            Some(Phase::SynSent) => self.answer_to_syn(id, segment),
            Some(Phase::Opening | Phase::SynReceived | Phase::Established | Phase::TimeWait)
                if segment.rst =>
            {
                self.reset_received(id, segment)
            }
            Some(_) if segment.syn => self.repeated_syn(now, id, segment),
            // What came before its flow-table entry, or what the fast path does not take:
            // the peer sends it again.
            _ => self.counts.frames_ignored += 1,
        }
    }

    fn command_done(&mut self, now: Time, record: &Record) {
        let Some(command) = self.driver.command_done(record) else {
            self.counts.malformed_records += 1;
            return;
        };
        let Some(id) = self
            .by_flow
            .get(usize::from(command.flow))
            .copied()
            .flatten()
        else {
            self.counts.stale_records += 1;
            return;
        };
        match command.opcode {
            Opcode::Open => self.flow_opened(now, id, record.status == Status::Ok as u8),
            Opcode::Close => self.flow_closed(now, id, record),
            Opcode::Read => self.state_read(now, id, record),
            Opcode::Retransmit | Opcode::Set | Opcode::ReadLost => {}
        }
    }

    fn update(&mut self, now: Time, context: u8, record: &Record) {
        self.counts.update_records += 1;
        let Some(id) = self.flow_of(context, record) else {
            self.counts.stale_records += 1;
            return;
        };
        if record.flags & notice::ESTABLISHED != 0
            && self
                .connections
                .get(&id)
                .is_some_and(|c| c.phase == Phase::SynReceived)
        {
            self.established(now, id);
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        // Of a connection that is being joined to another, what the NIC said before it closed it
        // counts too.
        let joining = connection.phase == Phase::Closing && self.splices.is_joining(id);
        if !joining && !matches!(connection.phase, Phase::Established | Phase::TimeWait) {
            self.counts.stale_records += 1;
            return;
        }
        let socket = &mut connection.socket;
        let held_back = socket.transmit.is_held_back();
        let bumped = socket
            .transmit
            .acknowledge(record.tx_bump)
            .and_then(|()| socket.receive.announce(record.rx_bump));
        if bumped.is_err() {
            self.counts.malformed_records += 1;
            return;
        }
        let class = usize::from(record.class());
        let counts = &mut self.counts.classes[class];
        counts.records += 1;
        counts.bytes_received += u64::from(record.rx_bump);
        counts.bytes_acknowledged += u64::from(record.tx_bump);
        socket.class = record.class();
        if record.flags & notice::FAST_RETRANSMIT != 0 {
            self.counts.fast_retransmissions += 1;
            connection.congestion.lost();
        }
        if record.flags & notice::PEER_FINISHED != 0 {
            socket.peer_finished = true;
        }
        if joining {
            return self.settle_splice(now, id);
        }
        if socket.owner == Owner::Nobody {
            socket.receive.discard();
        }
        if record.rx_bump > 0 || socket.peer_finished {
            socket.wake_reader();
        }
        if record.tx_bump > 0 {
            socket.wake_writer_if_roomy();
            let position = socket.transmit.acknowledged();
            let released = position.wrapping_add(socket.transmit.outstanding());
            connection.congestion.update(
                record.tx_bump,
                record.marked(),
                position,
                released,
                held_back,
            );
            self.counts.bytes_acknowledged += u64::from(record.tx_bump);
            self.counts.bytes_marked += u64::from(record.marked().min(record.tx_bump));
            connection.round_trip.sample_ticks(record.value);
            connection.round_trip.progress();
            // The timer starts anew for what is left (RFC 6298 §5.3).
            let left = connection.socket.transmit.outstanding() > 0;
            let wait = if left {
                connection.round_trip.timeout()
            } else {
                Time::NEVER
            };
            self.set_deadline(id, now + wait);
            self.repace(now, id);
        }
        if record.read_lost {
            self.counts.reads_lost += 1;
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.read_lost = true;
            }
            return self.fail(id, NetError::MemoryUnanswered);
        }
        self.mark_unsent(id);
        self.settle(now, id);
    }

    /// The connection that an update is about, if record and connection agree.
    fn flow_of(&self, context: u8, record: &Record) -> Option<ConnectionId> {
        let id = self
            .by_flow
            .get(usize::from(record.flow))
            .copied()
            .flatten()?;
        let connection = self.connections.get(&id)?;
        let matches =
            connection.flow.generation == record.generation && connection.context == context;
        matches.then_some(id)
    }
}

//! What an application holds of a connection.

use std::task::Waker;

use crate::application::NetError;
use crate::sockets::rings::{ReceiveRing, TransmitRing};

/// Who reads what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Waits to be accepted; data is kept.
    Listener,
    /// An application's stream.
    Application,
    /// Nobody: the application closed it; data is thrown away.
    Nobody,
}

/// The rings of a connection, its end, and who waits for it.
#[derive(Debug)]
pub struct Socket {
    /// From the peer.
    pub receive: ReceiveRing,
    /// To the peer.
    pub transmit: TransmitRing,
    /// Who reads.
    pub owner: Owner,
    /// Class that the NIC gave it in its latest notification; 0 without a `classify` module.
    pub class: u8,
    /// The peer sent all it had.
    pub peer_finished: bool,
    /// Why the connection broke.
    pub error: Option<NetError>,
    /// Stands in its context's list of connections with something to tell the NIC.
    pub queued: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Socket {
    /// A socket with empty rings.
    pub fn new(receive: ReceiveRing, transmit: TransmitRing, owner: Owner) -> Self {
        Self {
            receive,
            transmit,
            owner,
            class: 0,
            peer_finished: false,
            error: None,
            queued: false,
            reader: None,
            writer: None,
        }
    }

    /// True if a read or a write would tell the NIC something now.
    pub fn has_news(&self) -> bool {
        self.receive.is_report_due() || self.transmit.is_release_due()
    }

    /// Wakes this task when there is something to read, or nothing more will come.
    pub fn await_data(&mut self, waker: &Waker) {
        self.reader = Some(waker.clone());
    }

    /// Wakes this task when there is room to write, or nothing more can be written.
    pub fn await_room(&mut self, waker: &Waker) {
        self.writer = Some(waker.clone());
    }

    /// Something can be read, or the stream has ended.
    pub fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    /// Wakes the writer once a quarter of the ring is free: enough to write a large piece
    /// with one descriptor.
    pub fn wake_writer_if_roomy(&mut self) {
        if self.transmit.free() >= self.transmit.size() / 4 {
            self.wake_writer();
        }
    }

    /// Breaks the socket and wakes whoever waits.
    pub fn fail(&mut self, error: NetError) {
        self.error.get_or_insert(error);
        self.wake_reader();
        self.wake_writer();
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

//! Contexts as libTOE uses them: telling the NIC, and waiting for it.

use std::future::Future;
use std::task::{Poll, Waker};

use hallux_channel::Time;
use hallux_toe::interface::{Descriptor, push};

use crate::control::{ConnectionId, ControlPlane, Phase};
use crate::cpu::Cost;
use crate::driver::{Push, TraceEvent};
use crate::executor::Handle;
use crate::sockets::network::Shared;

/// Records taken at once from a context's ring.
const BATCH: usize = 16;

/// Who waits for a context's records, and whether something came.
#[derive(Debug, Default)]
pub struct ContextSignals {
    /// A record was written while the context is polled, or an interrupt came.
    raised: bool,
    /// The context is polled: a record is seen without an interrupt.
    polling: bool,
    waker: Option<Waker>,
}

impl ContextSignals {
    /// An interrupt of the context came.
    pub fn interrupt(&mut self) {
        self.raise();
    }

    /// The NIC wrote into the context's notification ring.
    pub fn record_written(&mut self) {
        if self.polling {
            self.raise();
        }
    }

    /// Wakes who waits.
    pub(crate) fn raise(&mut self) {
        self.raised = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&mut self, waker: &Waker) -> Poll<()> {
        if std::mem::take(&mut self.raised) {
            return Poll::Ready(());
        }
        self.waker = Some(waker.clone());
        Poll::Pending
    }
}

impl ControlPlane {
    /// Puts a connection into its context's list if there is something to tell the NIC.
    pub(crate) fn mark_unsent(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.limit_release();
        if connection.phase == Phase::Established
            && !connection.socket.queued
            && connection.socket.has_news()
        {
            connection.socket.queued = true;
            self.unsent[usize::from(connection.context)].push_back(id);
        }
    }

    /// Tells the NIC everything that changed: one descriptor for each connection, one
    /// doorbell for each context. What finds its ring full waits for the NIC.
    pub fn flush(&mut self, now: Time) {
        for context in 1..=self.config.contexts {
            self.flush_context(now, context);
        }
        self.driver.ring_doorbells();
    }

    fn flush_context(&mut self, now: Time, context: u8) {
        while let Some(&id) = self.unsent[usize::from(context)].front() {
            if !self.driver.has_room(context) {
                return;
            }
            self.unsent[usize::from(context)].pop_front();
            let Some(connection) = self.connections.get_mut(&id) else {
                continue;
            };
            connection.socket.queued = false;
            if connection.phase != Phase::Established {
                continue;
            }
            let socket = &mut connection.socket;
            let pushed = match self.driver.takes_pushes() {
                true => socket.transmit.small_release(push::PAYLOAD_BYTES as u32),
                false => None,
            };
            let (tx_bump, finish) = socket.transmit.release();
            if let Some(address) = pushed {
                let descriptor = Push {
                    flow: connection.flow.id,
                    generation: connection.flow.generation,
                    rx_bump: socket.receive.report(),
                    tx_bump,
                    address,
                };
                self.driver.push_payload(context, &descriptor);
                self.counts.update_descriptors += 1;
                self.settle(now, id);
                continue;
            }
            if finish {
                connection.closed_first = !socket.peer_finished;
            }
            let update = Descriptor::Update {
                flow: connection.flow.id,
                generation: connection.flow.generation,
                // What was consumed rides along for free.
                rx_bump: socket.receive.report(),
                tx_bump,
                finish,
            };
            self.driver.push(context, &update);
            self.counts.update_descriptors += 1;
            self.settle(now, id);
        }
    }
}

/// Serves a context for as long as the host runs: takes what comes, polls for a while
/// after the last record, then arms the interrupt and sleeps.
pub(crate) async fn serve_context(shared: Shared, handle: Handle, context: u8) {
    let index = usize::from(context);
    let (window, cycles) = {
        let control = shared.lock();
        let config = &control.config;
        (config.poll_window, config.cpu.cycles(Cost::Notification))
    };
    loop {
        loop {
            let taken = shared.lock().poll(context, BATCH);
            if taken.is_empty() {
                break;
            }
            handle
                .charge(Cost::Cycles(cycles * taken.len() as u64))
                .await;
            let now = handle.now();
            let mut control = shared.lock();
            for work in taken {
                control.handle(now, context, work);
            }
        }
        shared.lock().signals[index].polling = true;
        let polled = signal_before(&shared, &handle, index, handle.now() + window).await;
        shared.lock().signals[index].polling = false;
        if polled {
            continue;
        }
        shared.lock().driver.arm(context);
        signal_before(&shared, &handle, index, Time::NEVER).await;
        handle.charge(Cost::Interrupt).await;
    }
}

/// Takes mirrored frames from their rings for as long as the host runs: some time after the
/// first, with all that have come meanwhile.
pub(crate) async fn serve_captures(shared: Shared, handle: Handle) {
    let (wait, cycles) = {
        let control = shared.lock();
        let config = &control.config;
        (config.capture_wait, config.cpu.cycles(Cost::Notification))
    };
    loop {
        std::future::poll_fn(|context| shared.lock().capture_signal.poll(context.waker())).await;
        handle.sleep(wait).await;
        let frames = shared.lock().driver.take_mirrored();
        let count = frames.len() as u64;
        shared.lock().mirrored.extend(frames);
        handle.charge(Cost::Cycles(cycles * count)).await;
    }
}

/// Reads the tracepoints of all open connections at an interval, for as long as the host runs.
pub(crate) async fn serve_traces(shared: Shared, handle: Handle, interval: Time) {
    loop {
        handle.sleep(interval).await;
        let mut control = shared.lock();
        let control = &mut *control;
        let open = control.connections.values();
        for connection in open.filter(|connection| connection.phase == Phase::Established) {
            let (flow, key) = (connection.flow.id, connection.key);
            control.driver.request_trace(flow, key, TraceEvent::Sample);
        }
    }
}

/// Waits for a context's signal; false if the deadline came first.
async fn signal_before(shared: &Shared, handle: &Handle, index: usize, deadline: Time) -> bool {
    let mut sleep = std::pin::pin!(handle.sleep_until(deadline));
    std::future::poll_fn(|context| {
        if shared.lock().signals[index]
            .poll(context.waker())
            .is_ready()
        {
            return Poll::Ready(true);
        }
        if deadline.is_never() {
            return Poll::Pending;
        }
        sleep.as_mut().poll(context).map(|()| false)
    })
    .await
}

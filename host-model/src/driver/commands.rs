//! State commands of the control plane: staged, started, completed one at a time.

use std::collections::VecDeque;

use hallux_toe::interface::{COMMAND_WORDS, Opcode, Record, register};

use crate::driver::bus::Bus;

/// A state command for one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub opcode: Opcode,
    /// Flow id.
    pub flow: u16,
    /// Generation of the flow id.
    pub generation: u8,
    /// Staged words, for [`Opcode::Open`] and [`Opcode::Set`].
    pub words: Option<[u64; COMMAND_WORDS]>,
}

/// Commands in order; the NIC takes one at a time.
#[derive(Debug, Default)]
pub struct CommandQueue {
    waiting: VecDeque<Command>,
    outstanding: Option<Command>,
}

impl CommandQueue {
    /// Adds a command, and starts it if none is outstanding.
    pub fn submit(&mut self, command: Command, bus: &mut Bus) {
        self.waiting.push_back(command);
        self.start(bus);
    }

    /// Takes a [`CommandDone`](hallux_toe::interface::RecordKind::CommandDone) record: the
    /// command it answers, `None` if it answers none. Starts the next one.
    pub fn done(&mut self, record: &Record, bus: &mut Bus) -> Option<Command> {
        let answers = |command: &mut Command| {
            command.opcode as u8 == record.opcode
                && command.flow == record.flow
                && command.generation == record.generation
        };
        let command = self.outstanding.take_if(answers)?;
        self.start(bus);
        Some(command)
    }

    /// Commands that are not done.
    pub fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.outstanding.is_some())
    }

    /// True if all commands are done.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn start(&mut self, bus: &mut Bus) {
        if self.outstanding.is_some() {
            return;
        }
        let Some(command) = self.waiting.pop_front() else {
            return;
        };
        for (offset, &word) in (register::COMMAND_STAGE..)
            .step_by(8)
            .zip(command.words.iter().flatten())
        {
            bus.write(offset, word);
        }
        let Command {
            opcode,
            flow,
            generation,
            ..
        } = command;
        bus.write(
            register::COMMAND,
            u64::from(flow) | u64::from(generation) << 16 | (opcode as u64) << 24,
        );
        self.outstanding = Some(command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallux_channel::Message;

    fn command(opcode: Opcode, flow: u16) -> Command {
        let words = (opcode == Opcode::Open).then_some([7; COMMAND_WORDS]);
        Command {
            opcode,
            flow,
            generation: 3,
            words,
        }
    }

    fn answer(command: &Command) -> Record {
        Record {
            flow: command.flow,
            generation: command.generation,
            opcode: command.opcode as u8,
            ..Record::decode(&[0; 32])
        }
    }

    fn writes(bus: &mut Bus) -> Vec<u64> {
        std::iter::from_fn(|| bus.take_outgoing())
            .map(|message| match message {
                Message::MmioWrite { offset, .. } => offset,
                other => panic!("unexpected {}", other.kind()),
            })
            .collect()
    }

    #[test]
    fn the_next_command_starts_when_the_first_is_done() {
        let (mut queue, mut bus) = (CommandQueue::default(), Bus::default());
        let (open, close) = (command(Opcode::Open, 5), command(Opcode::Close, 6));
        queue.submit(open.clone(), &mut bus);
        queue.submit(close.clone(), &mut bus);
        let staged = writes(&mut bus);
        assert_eq!(staged.len(), COMMAND_WORDS + 1);
        assert_eq!(staged.last(), Some(&register::COMMAND));

        assert_eq!(
            queue.done(&answer(&close), &mut bus),
            None,
            "not the outstanding one"
        );
        assert!(writes(&mut bus).is_empty());
        assert_eq!(queue.done(&answer(&open), &mut bus), Some(open));
        assert_eq!(writes(&mut bus), [register::COMMAND]);
        assert_eq!(queue.done(&answer(&close), &mut bus), Some(close));
        assert!(queue.is_empty());
    }
}

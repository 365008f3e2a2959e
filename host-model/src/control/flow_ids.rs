//! Flow ids and their generations.

use std::collections::VecDeque;

/// A flow id in one of its generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Index of the connection's state in the NIC.
    pub id: u16,
    /// Tells this use of the id from earlier ones.
    pub generation: u8,
}

/// Hands out the flow ids of a NIC. The one that has been free for longest goes first, so
/// that a generation comes back as late as possible.
#[derive(Debug, Default)]
pub struct FlowIds {
    free: VecDeque<u16>,
    generations: Vec<u8>,
}

impl FlowIds {
    /// The ids of a NIC with this many connections; at most 65 536 are used.
    pub fn new(connections: u32) -> Self {
        let last = connections.clamp(1, 1 << 16) - 1;
        let ids = 0..=last as u16;
        Self {
            generations: vec![0; ids.len()],
            free: ids.collect(),
        }
    }

    /// A free id in its next generation, `None` if all are in use.
    pub fn allocate(&mut self) -> Option<Flow> {
        let id = self.free.pop_front()?;
        let generation = &mut self.generations[usize::from(id)];
        *generation = generation.wrapping_add(1);
        Some(Flow {
            id,
            generation: *generation,
        })
    }

    /// Takes back an id that the NIC has closed.
    pub fn release(&mut self, flow: Flow) {
        self.free.push_back(flow.id);
    }

    /// How many ids are free.
    pub fn free(&self) -> usize {
        self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_last_and_in_a_new_generation() {
        let mut ids = FlowIds::new(2);
        let first = ids.allocate().unwrap();
        assert_eq!(
            first,
            Flow {
                id: 0,
                generation: 1
            }
        );
        ids.release(first);
        assert_eq!(
            ids.allocate(),
            Some(Flow {
                id: 1,
                generation: 1
            })
        );
        assert_eq!(
            ids.allocate(),
            Some(Flow {
                id: 0,
                generation: 2
            })
        );
        assert_eq!(ids.allocate(), None);
        assert_eq!(FlowIds::new(1 << 20).free(), 1 << 16);
    }
}

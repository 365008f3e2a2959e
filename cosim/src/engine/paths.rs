//! Shortest paths between components, by link latency.

use hallux_channel::Time;

/// For each ordered pair, how long the influence of one component on another
/// takes at least; on the diagonal, the shortest way back to itself.
#[derive(Debug)]
pub(super) struct Paths {
    count: usize,
    spans: Vec<Time>,
}

impl Paths {
    /// Paths between `count` components over links (from, to, latency), each
    /// of them in one direction.
    pub(super) fn new(count: usize, links: &[(usize, usize, Time)]) -> Self {
        let mut outgoing = vec![Vec::new(); count];
        for &(from, to, latency) in links {
            outgoing[from].push((to, latency));
        }
        let mut spans = vec![Time::NEVER; count * count];
        for (from, row) in spans.chunks_exact_mut(count.max(1)).enumerate() {
            shortest_from(from, &outgoing, row);
        }
        Paths { count, spans }
    }

    /// The shortest path; [`Time::NEVER`] if there is none.
    pub(super) fn between(&self, from: usize, to: usize) -> Time {
        self.spans[from * self.count + to]
    }

    /// The largest shortest path between two different components that have
    /// one: how long news takes at most to be known everywhere.
    pub(super) fn largest(&self) -> Time {
        let spans = self.spans.iter().enumerate();
        spans
            .filter(|&(index, span)| index / self.count != index % self.count && !span.is_never())
            .map(|(_, &span)| span)
            .max()
            .unwrap_or(Time::ZERO)
    }
}

/// Dijkstra's algorithm with a linear search for the next node. The start is
/// not reached by standing still: its own span is that of a round trip.
fn shortest_from(from: usize, outgoing: &[Vec<(usize, Time)>], spans: &mut [Time]) {
    let mut settled = vec![false; spans.len()];
    for &(to, latency) in &outgoing[from] {
        spans[to] = spans[to].min(latency);
    }
    while let Some(node) = (0..spans.len())
        .filter(|&node| !settled[node] && !spans[node].is_never())
        .min_by_key(|&node| spans[node])
    {
        settled[node] = true;
        for &(to, latency) in &outgoing[node] {
            spans[to] = spans[to].min(spans[node] + latency);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_has_paths_both_ways_round_and_back() {
        let ns = Time::from_ns;
        let paths = Paths::new(4, &[(0, 1, ns(1)), (1, 2, ns(2)), (2, 0, ns(4))]);
        assert_eq!(paths.between(0, 2), ns(3));
        assert_eq!(paths.between(2, 1), ns(5));
        assert_eq!(paths.between(1, 1), ns(7), "a round trip");
        assert_eq!(paths.between(0, 3), Time::NEVER);
        assert_eq!(paths.largest(), ns(6));
        assert_eq!(Paths::new(0, &[]).largest(), Time::ZERO);
    }
}

//! Which worker runs which component, and cutting the links between them.

use hallux_channel::Time;

use super::boundary::Boundary;
use super::group::{Cut, Group};
use super::simulation::{Node, Peer, PortEnd, Simulation};

/// For each component, in the order of adding, the worker that runs it.
/// Workers are numbered from zero without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    workers: Vec<usize>,
    count: usize,
}

impl Partition {
    /// Components with equal keys go to one worker; workers are numbered in
    /// the order in which their keys first appear.
    pub fn by_key<K: PartialEq>(keys: impl IntoIterator<Item = K>) -> Self {
        let mut known: Vec<K> = Vec::new();
        let workers = keys
            .into_iter()
            .map(|key| {
                let place = known.iter().position(|seen| *seen == key);
                place.unwrap_or_else(|| {
                    known.push(key);
                    known.len() - 1
                })
            })
            .collect();
        Partition {
            workers,
            count: known.len(),
        }
    }

    /// How many workers there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The worker of the component that was added as number `component`.
    pub fn worker(&self, component: usize) -> usize {
        self.workers[component]
    }
}

impl Simulation {
    /// Distributes the components over `workers` workers. Links of low latency
    /// are kept whole, since they would make the workers wait for each other
    /// most often, and the work, as told by `weight` of each name, is spread
    /// evenly. The same components are always distributed in the same way.
    pub fn distribute(&self, workers: usize, weight: impl Fn(&str) -> u64) -> Partition {
        let workers = workers.max(1);
        let mut loads: Vec<u64> = self.names().map(|name| weight(name).max(1)).collect();
        let share = loads.iter().sum::<u64>().div_ceil(workers as u64);
        let heaviest = loads.iter().copied().max().unwrap_or(0);
        let most = share.max(heaviest) + share / 10;
        // Each component starts alone; a group is known by one of its members.
        let mut group_of: Vec<usize> = (0..loads.len()).collect();
        let mut count = loads.len();
        let mut merge = |group_of: &mut [usize], loads: &mut [u64], into: usize, from: usize| {
            loads[into] += loads[from];
            let moved = group_of.iter_mut().filter(|group| **group == from);
            moved.for_each(|group| *group = into);
            count -= 1;
            count
        };
        let mut left = group_of.len();
        for (_, a, b) in self.links_by_latency() {
            let (into, from) = (group_of[a], group_of[b]);
            if left > workers && into != from && loads[into] + loads[from] <= most {
                left = merge(&mut group_of, &mut loads, into, from);
            }
        }
        // What no link brought together goes where there is least to do.
        while left > workers {
            let mut groups = group_of.clone();
            groups.sort_unstable();
            groups.dedup();
            groups.sort_by_key(|&group| loads[group]);
            left = merge(&mut group_of, &mut loads, groups[0], groups[1]);
        }
        Partition::by_key(group_of)
    }

    /// Each link once: its latency and the components at its ends.
    fn links_by_latency(&self) -> Vec<(Time, usize, usize)> {
        let mut links = Vec::new();
        for (from, node) in self.nodes.iter().enumerate() {
            for port in &node.ports {
                if let Some(Peer::Node { node, latency, .. }) = port.peer
                    && from < node
                {
                    links.push((latency, from, node));
                }
            }
        }
        links.sort();
        links
    }
}

/// A link between two workers.
pub(super) struct CutLink {
    /// The end in the group that comes first.
    pub(super) from: End,
    pub(super) to: End,
    pub(super) latency: Time,
}

/// One end of a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Place of the component in the whole simulation.
    pub(super) node: usize,
    pub(super) port: usize,
}

/// The links that a partition cuts, in an order that only depends on the
/// simulation.
pub(super) fn cut_links(nodes: &[Node], partition: &Partition) -> Vec<CutLink> {
    let mut links = Vec::new();
    for (from, node) in nodes.iter().enumerate() {
        for (port, end) in node.ports.iter().enumerate() {
            let Some(Peer::Node {
                node: to,
                port: to_port,
                latency,
            }) = end.peer
            else {
                continue;
            };
            if partition.worker(from) != partition.worker(to) && (from, port) < (to, to_port) {
                links.push(CutLink {
                    from: End { node: from, port },
                    to: End {
                        node: to,
                        port: to_port,
                    },
                    latency,
                });
            }
        }
    }
    links
}

/// An end of a cut link and what is beyond it.
pub(super) struct OpenEnd {
    pub(super) end: End,
    pub(super) latency: Time,
    pub(super) boundary: Box<dyn Boundary>,
}

/// Makes a group of `members` (places in the whole simulation, with the
/// components) that is joined to the rest by `ends`.
pub(super) fn group(members: Vec<(usize, Node)>, ends: Vec<OpenEnd>) -> Group {
    let places: Vec<usize> = members.iter().map(|(place, _)| *place).collect();
    let local = |place: usize| places.iter().position(|&member| member == place);
    let mut nodes: Vec<Node> = members.into_iter().map(|(_, node)| node).collect();
    for node in &mut nodes {
        for port in &mut node.ports {
            port.peer = match port.peer {
                Some(Peer::Node {
                    node,
                    port,
                    latency,
                }) => local(node).map(|node| Peer::Node {
                    node,
                    port,
                    latency,
                }),
                other => other,
            };
        }
    }
    let mut cuts = Vec::new();
    for open in ends {
        let Some(node) = local(open.end.node) else {
            continue;
        };
        let port: &mut PortEnd = &mut nodes[node].ports[open.end.port];
        port.peer = Some(Peer::Cut { cut: cuts.len() });
        let end = (node, open.end.port);
        cuts.push(Cut::new(end, open.latency, open.boundary));
    }
    Group::new(nodes, cuts)
}

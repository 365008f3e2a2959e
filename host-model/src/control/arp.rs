//! Address resolution (RFC 826): a cache, and requests with back-off.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use hallux_channel::Time;

use crate::control::packet::{Arp, Mac};

/// Wait for the answer to the first request; doubled for each further one.
const FIRST_WAIT: Time = Time::from_us(500);
/// Requests sent before an address counts as unreachable.
const ATTEMPTS: u32 = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Known(Mac),
    /// Asked for; the next request, or giving up, is due at the deadline.
    Asked {
        attempts: u32,
        deadline: Time,
    },
}

/// What became of a request that was not answered in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Send this frame: ask again.
    Ask(Vec<u8>),
    /// Nobody has this address.
    Unreachable(Ipv4Addr),
}

/// The addresses of this host and of its neighbours.
#[derive(Debug)]
pub struct AddressTable {
    mac: Mac,
    ip: Ipv4Addr,
    entries: BTreeMap<Ipv4Addr, Entry>,
}

impl AddressTable {
    /// A host that knows only itself and the static `entries`.
    pub fn new(mac: Mac, ip: Ipv4Addr, entries: &[(Ipv4Addr, Mac)]) -> Self {
        let known = entries.iter().map(|&(ip, mac)| (ip, Entry::Known(mac)));
        Self {
            mac,
            ip,
            entries: known.collect(),
        }
    }

    /// The station address of a neighbour, if it is known.
    pub fn lookup(&self, ip: Ipv4Addr) -> Option<Mac> {
        match self.entries.get(&ip) {
            Some(&Entry::Known(mac)) => Some(mac),
            _ => None,
        }
    }

    /// Asks for a neighbour's address: the frame to send, `None` if it was asked already.
    pub fn ask(&mut self, ip: Ipv4Addr, now: Time) -> Option<Vec<u8>> {
        if self.entries.contains_key(&ip) {
            return None;
        }
        self.entries.insert(
            ip,
            Entry::Asked {
                attempts: 1,
                deadline: now + FIRST_WAIT,
            },
        );
        Some(self.request(ip))
    }

    /// Takes a packet: the answer to send, if it asks for this host. A sender is learned
    /// if this host asked for it, knew it, or is asked by it (RFC 826, packet reception).
    pub fn receive(&mut self, arp: &Arp) -> Option<Vec<u8>> {
        let for_us = arp.target_ip == self.ip;
        if for_us || self.entries.contains_key(&arp.sender_ip) {
            self.entries
                .insert(arp.sender_ip, Entry::Known(arp.sender_mac));
        }
        (for_us && arp.is_request).then(|| {
            Arp {
                is_request: false,
                sender_mac: self.mac,
                sender_ip: self.ip,
                target_mac: arp.sender_mac,
                target_ip: arp.sender_ip,
            }
            .build()
        })
    }

    /// An announcement of this host's own address (RFC 5227 §2.3).
    pub fn announcement(&self) -> Vec<u8> {
        self.request(self.ip)
    }

    /// When the next request goes unanswered; [`Time::NEVER`] without one.
    pub fn next_deadline(&self) -> Time {
        let deadlines = self.entries.values().map(|entry| match entry {
            Entry::Known(_) => Time::NEVER,
            Entry::Asked { deadline, .. } => *deadline,
        });
        deadlines.min().unwrap_or(Time::NEVER)
    }

    /// What is to be done about requests that are unanswered at `now`.
    pub fn expire(&mut self, now: Time) -> Vec<Unanswered> {
        let mut due = Vec::new();
        for (&ip, entry) in &mut self.entries {
            if let Entry::Asked { attempts, deadline } = entry
                && *deadline <= now
            {
                let give_up = *attempts >= ATTEMPTS;
                *deadline = now + FIRST_WAIT * (1 << *attempts);
                *attempts += 1;
                due.push((ip, give_up));
            }
        }
        due.into_iter()
            .map(|(ip, give_up)| {
                if give_up {
                    self.entries.remove(&ip);
                    Unanswered::Unreachable(ip)
                } else {
                    Unanswered::Ask(self.request(ip))
                }
            })
            .collect()
    }

    fn request(&self, target_ip: Ipv4Addr) -> Vec<u8> {
        Arp {
            is_request: true,
            sender_mac: self.mac,
            sender_ip: self.ip,
            target_mac: [0; 6],
            target_ip,
        }
        .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::packet::{Received, parse};

    const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const THEM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const MAC: Mac = [2, 0, 0, 0, 0, 1];
    const PEER: Mac = [2, 0, 0, 0, 0, 2];

    #[test]
    fn two_hosts_resolve_each_other_with_one_request() {
        let mut us = AddressTable::new(MAC, US, &[]);
        let mut them = AddressTable::new(PEER, THEM, &[]);
        let request = us.ask(THEM, Time::ZERO).unwrap();
        assert_eq!(us.ask(THEM, Time::ZERO), None, "asked already");
        let Received::Arp(request) = parse(&request) else {
            panic!("ARP")
        };
        let Received::Arp(reply) = parse(&them.receive(&request).unwrap()) else {
            panic!("ARP")
        };
        assert_eq!(us.receive(&reply), None);
        assert_eq!(us.lookup(THEM), Some(PEER));
        assert_eq!(them.lookup(US), Some(MAC), "the asked one learns the asker");
        assert_eq!(us.next_deadline(), Time::NEVER);
    }

    #[test]
    fn requests_back_off_and_end() {
        let mut us = AddressTable::new(MAC, US, &[]);
        us.ask(THEM, Time::ZERO);
        let mut waits = Vec::new();
        let mut last = Time::ZERO;
        loop {
            let deadline = us.next_deadline();
            waits.push(deadline.since(last).ns() / 1_000);
            last = deadline;
            match &us.expire(deadline)[..] {
                [Unanswered::Ask(_)] => {}
                [Unanswered::Unreachable(ip)] => break assert_eq!(*ip, THEM),
                other => panic!("one thing was due, not {other:?}"),
            }
        }
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000]);
        assert!(
            us.ask(THEM, last).is_some(),
            "a later connection asks again"
        );
    }

    #[test]
    fn strangers_are_not_learned() {
        let mut us = AddressTable::new(MAC, US, &[]);
        let gossip = Arp {
            is_request: true,
            sender_mac: PEER,
            sender_ip: THEM,
            target_mac: [0; 6],
            target_ip: Ipv4Addr::new(10, 0, 0, 3),
        };
        assert_eq!(us.receive(&gossip), None);
        assert_eq!(us.lookup(THEM), None);
        let known = AddressTable::new(MAC, US, &[(THEM, PEER)]);
        assert_eq!(known.lookup(THEM), Some(PEER));
    }
}

//! Extension modules and the slots in which they stand; `docs/modules.md` says what each
//! does and how to write another.
//!
//! ```text
//!  eth_rx ─► [ingress] ─► parse ─► identify ─► [before protocol] ─► protocol
//!                                                                      │
//!  eth_tx ◄─ [egress] ◄─── assemble ◄──── post ◄── [after protocol] ◄──┘
//! ```

pub mod capture;
pub mod capture_ring;
pub mod classify;
pub mod egress;
pub mod firewall;
pub mod frame_module;
pub mod ingress;
pub mod inspect;
pub mod marks;
pub mod pages;
pub mod plan;
pub mod port;
pub mod rules;
pub mod splice;
pub mod splice_numbers;
pub mod trace;
pub mod vlan_insert;
pub mod vlan_strip;

//! The RTL NIC as a component: clock, MAC and PCIe link around a Verilated model.

pub mod bits;
pub mod mac;
pub mod pcie;

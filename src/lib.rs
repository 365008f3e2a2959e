//! Hallux: design a TCP offload engine without an FPGA.

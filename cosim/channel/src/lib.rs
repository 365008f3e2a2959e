//! Simulated time, messages, ports and components; knows no RTL.

//! Finds, builds, loads and steps a Verilated model described by a manifest.

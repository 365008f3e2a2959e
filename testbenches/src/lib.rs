//! Benches of primitives and stages, and whole-system tests.

//! Attribute macros of the Hallux HDL.

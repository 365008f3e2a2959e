//! The other end of the conversation: TCP stacks that nobody here wrote.

pub mod smoltcp;

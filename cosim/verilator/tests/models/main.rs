//! Small hand-written designs, built and run through the whole layer.

mod design;
mod own_copy;
mod running;
mod stopping;
mod storing;
mod waves;

//! Two reference endpoints back to back.

//! HTTP/1.1 (RFC 9110, RFC 9112): a server of files, and a client that
//! fetches and verifies all of them.

mod client;
mod request;
mod server;
mod target;

pub use client::{ClientConfig, ClientReport, fetch_all};
pub use server::{ServerConfig, ServerReport, serve};
pub use target::encode_path;

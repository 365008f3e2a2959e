//! The server.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::request::{Refusal, Request, head_length};
use super::target::{TargetError, decode_target};
use crate::application::{Listener, NetError, Network, Stream};
use crate::apps::files::FileTree;
use crate::apps::report::Report;
use crate::cpu::Cost;

/// How to serve.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig {
    /// TCP port.
    pub port: u16,
    /// Connections that may wait to be accepted.
    pub backlog: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            port: 80,
            backlog: 16,
        }
    }
}

/// What the server did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerReport {
    /// Connections accepted.
    pub connections: u64,
    /// Responses by status.
    pub responses: BTreeMap<u16, u64>,
    /// Bytes of response bodies handed to the stack.
    pub body_bytes: u64,
    /// Connections that broke before their end.
    pub broken: u64,
    /// Why the server does not listen, if it does not.
    pub failure: Option<NetError>,
}

/// Bytes taken from a connection at once.
const READ_BYTES: usize = 4_096;

/// Serves `files` as long as the simulation runs.
pub async fn serve<N: Network>(
    network: N,
    files: Arc<FileTree>,
    config: ServerConfig,
    report: Report<ServerReport>,
) {
    let mut listener = match network.listen(config.port, config.backlog).await {
        Ok(listener) => listener,
        Err(error) => {
            report.with(|report| report.failure = Some(error));
            return;
        }
    };
    loop {
        match listener.accept().await {
            Ok(stream) => {
                report.with(|report| report.connections += 1);
                let connection = Connection {
                    network: network.clone(),
                    files: Arc::clone(&files),
                    report: report.clone(),
                    stream,
                    received: Vec::new(),
                };
                drop(network.spawn(connection.run()));
            }
            Err(_) => report.with(|report| report.broken += 1),
        }
    }
}

/// One connection.
struct Connection<N: Network> {
    network: N,
    files: Arc<FileTree>,
    report: Report<ServerReport>,
    stream: N::Stream,
    /// Bytes of requests not yet looked at.
    received: Vec<u8>,
}

impl<N: Network> Connection<N> {
    async fn run(mut self) {
        match self.answer_all().await {
            Ok(()) => self.stream.close().await,
            Err(_) => self.report.with(|report| report.broken += 1),
        }
    }

    /// Answers requests until the client or an answer ends the connection.
    async fn answer_all(&mut self) -> Result<(), NetError> {
        loop {
            let answer = match self.next_request().await? {
                None => return Ok(()),
                Some(Ok(request)) => {
                    self.network.charge(Cost::Request).await;
                    self.skip(request.body).await?;
                    answer(&self.files, &request)
                }
                Some(Err(refusal)) => Answer::refusal(refusal),
            };
            let head = answer.head();
            self.report.with(|report| {
                *report.responses.entry(answer.status).or_default() += 1;
                report.body_bytes += answer.body.len() as u64;
            });
            self.stream.write_all(head.as_bytes()).await?;
            self.stream.write_all(&answer.body).await?;
            if !answer.keep_alive {
                return Ok(());
            }
        }
    }

    /// The next request; `None` when the client has closed.
    async fn next_request(&mut self) -> Result<Option<Result<Request, Refusal>>, NetError> {
        loop {
            match head_length(&self.received) {
                Err(refusal) => return Ok(Some(Err(refusal))),
                Ok(Some(length)) => {
                    let head: Vec<u8> = self.received.drain(..length).collect();
                    return Ok(Some(Request::parse(&head)));
                }
                Ok(None) => {}
            }
            if self.receive().await? == 0 {
                let in_the_middle = !self.received.is_empty();
                return Ok(in_the_middle.then_some(Err(Refusal::BadRequest)));
            }
        }
    }

    /// Skips a request body: GET and HEAD give it no meaning.
    async fn skip(&mut self, mut body: u64) -> Result<(), NetError> {
        loop {
            let here = usize::try_from(body)
                .map_or(self.received.len(), |body| body.min(self.received.len()));
            self.received.drain(..here);
            body -= here as u64;
            if body == 0 || self.receive().await? == 0 {
                return Ok(());
            }
        }
    }

    async fn receive(&mut self) -> Result<usize, NetError> {
        let mut buffer = [0; READ_BYTES];
        let count = self.stream.read(&mut buffer).await?;
        self.received.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

/// A response.
struct Answer {
    status: u16,
    content_type: &'static str,
    /// Of the body a GET would get.
    length: usize,
    /// Empty for HEAD.
    body: Bytes,
    keep_alive: bool,
}

impl Answer {
    fn refusal(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::BadRequest => 400,
            Refusal::MethodNotAllowed => 405,
            Refusal::UriTooLong => 414,
            Refusal::HeadTooLong => 431,
            Refusal::VersionNotSupported => 505,
        };
        // What follows in the stream cannot be understood any more.
        Answer::error(status, false, false)
    }

    fn error(status: u16, keep_alive: bool, head_only: bool) -> Self {
        let body = Bytes::from_static(reason(status).as_bytes());
        Answer {
            status,
            content_type: "text/plain; charset=utf-8",
            length: body.len(),
            body: if head_only { Bytes::new() } else { body },
            keep_alive,
        }
    }

    fn head(&self) -> String {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nServer: hallux\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            self.status,
            reason(self.status),
            self.content_type,
            self.length,
        );
        if self.status == 405 {
            head.push_str("Allow: GET, HEAD\r\n");
        }
        head.push_str(match self.keep_alive {
            true => "Connection: keep-alive\r\n\r\n",
            false => "Connection: close\r\n\r\n",
        });
        head
    }
}

fn answer(files: &FileTree, request: &Request) -> Answer {
    let error = |status| Answer::error(status, request.keep_alive, request.head_only);
    let path = match decode_target(&request.target) {
        Ok(path) => path,
        Err(TargetError::Malformed) => return error(400),
        Err(TargetError::OutsideRoot) => return error(403),
    };
    let index = match path.as_str() {
        "" => "index.html".to_owned(),
        path if path.ends_with('/') => format!("{path}index.html"),
        path => format!("{path}/index.html"),
    };
    let found = [path, index]
        .into_iter()
        .find_map(|path| files.get(&path).map(|file| (path, file)));
    let Some((path, file)) = found else {
        return error(404);
    };
    Answer {
        status: 200,
        content_type: content_type(&path),
        length: file.content.len(),
        body: if request.head_only {
            Bytes::new()
        } else {
            file.content.clone()
        },
        keep_alive: request.keep_alive,
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        _ => "HTTP Version Not Supported",
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(target: &str) -> (u16, &'static str) {
        let mut files = FileTree::default();
        files.insert("index.html", "<p>root");
        files.insert("docs/index.html", "<p>docs");
        files.insert("a b.txt", "text");
        let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = answer(&files, &Request::parse(head.as_bytes()).unwrap());
        (answer.status, answer.content_type)
    }

    #[test]
    fn targets_are_answered_by_what_they_name() {
        assert_eq!(status("/"), (200, "text/html; charset=utf-8"));
        assert_eq!(status("/docs").0, 200);
        assert_eq!(status("/docs/").0, 200);
        assert_eq!(status("/a%20b.txt"), (200, "text/plain; charset=utf-8"));
        assert_eq!(status("/missing").0, 404);
        assert_eq!(status("/%2e%2e/etc/passwd").0, 403);
        assert_eq!(status("/%zz").0, 400);
    }
}

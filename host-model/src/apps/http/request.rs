//! Heads of HTTP messages.

use std::str;

/// Longest request line, in bytes; a longer one is answered with 414.
pub(super) const MAX_REQUEST_LINE: usize = 4_096;
/// Longest head, in bytes; a longer one is answered with 431.
pub(super) const MAX_HEAD: usize = 16_384;

/// A request, as far as a server of files cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// True for HEAD, false for GET.
    pub(super) head_only: bool,
    /// As received.
    pub(super) target: String,
    /// Keep the connection after the answer.
    pub(super) keep_alive: bool,
    /// Bytes of a body, to be skipped.
    pub(super) body: u64,
}

/// Why a request is refused: the status to answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 400: not HTTP, or ambiguous.
    BadRequest,
    /// 405: a method other than GET and HEAD.
    MethodNotAllowed,
    /// 414: the request line is too long.
    UriTooLong,
    /// 431: the head is too long.
    HeadTooLong,
    /// 505: not HTTP/1.
    VersionNotSupported,
}

/// Length of the head at the start of `bytes`, its empty line included.
///
/// # Errors
///
/// [`Refusal::UriTooLong`] or [`Refusal::HeadTooLong`] as soon as a limit is
/// passed, whether or not the head is complete.
pub(super) fn head_length(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let window = &bytes[..bytes.len().min(MAX_HEAD)];
    let line_end = window.windows(2).position(|pair| pair == b"\r\n");
    if line_end.unwrap_or(window.len()) > MAX_REQUEST_LINE {
        return Err(Refusal::UriTooLong);
    }
    match window.windows(4).position(|end| end == b"\r\n\r\n") {
        Some(end) => Ok(Some(end + 4)),
        None if bytes.len() >= MAX_HEAD => Err(Refusal::HeadTooLong),
        None => Ok(None),
    }
}

impl Request {
    /// Reads a complete head.
    pub(super) fn parse(head: &[u8]) -> Result<Self, Refusal> {
        let (line, fields) = split_head(head).ok_or(Refusal::BadRequest)?;
        let mut parts = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::BadRequest);
        };
        if method.is_empty() || !method.bytes().all(is_token) || target.is_empty() {
            return Err(Refusal::BadRequest);
        }
        let persistent = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ if version.starts_with("HTTP/") => return Err(Refusal::VersionNotSupported),
            _ => return Err(Refusal::BadRequest),
        };
        let fields = Fields::parse(fields).ok_or(Refusal::BadRequest)?;
        // RFC 9112 §3.2: exactly one Host in HTTP/1.1.
        if persistent && fields.hosts != 1 || fields.hosts > 1 {
            return Err(Refusal::BadRequest);
        }
        if fields.transfer_encoding {
            return Err(Refusal::BadRequest);
        }
        let head_only = match method {
            "GET" => false,
            "HEAD" => true,
            _ => return Err(Refusal::MethodNotAllowed),
        };
        Ok(Request {
            head_only,
            target: target.to_owned(),
            keep_alive: fields.keep_alive.unwrap_or(persistent),
            body: fields.content_length.unwrap_or(0),
        })
    }
}

/// The head of a response, as far as a client of files cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_length: u64,
    pub(super) keep_alive: bool,
}

impl Response {
    /// Reads a complete head; `None` if it is malformed or has no length.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let (line, fields) = split_head(head)?;
        let status = line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let fields = Fields::parse(fields)?;
        if fields.transfer_encoding {
            return None;
        }
        Some(Response {
            status,
            content_length: fields.content_length?,
            keep_alive: fields.keep_alive.unwrap_or(true),
        })
    }
}

/// First line and field lines of a head that ends in an empty line.
fn split_head(head: &[u8]) -> Option<(&str, &str)> {
    let text = str::from_utf8(head).ok()?.strip_suffix("\r\n\r\n")?;
    Some(text.split_once("\r\n").unwrap_or((text, "")))
}

/// The header fields that matter here.
#[derive(Default)]
struct Fields {
    hosts: u32,
    content_length: Option<u64>,
    transfer_encoding: bool,
    keep_alive: Option<bool>,
}

impl Fields {
    fn parse(text: &str) -> Option<Self> {
        let mut fields = Fields::default();
        for line in text.split("\r\n").filter(|_| !text.is_empty()) {
            let (name, value) = line.split_once(':')?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return None;
            }
            let value = value.trim_matches([' ', '\t']);
            match name.to_ascii_lowercase().as_str() {
                "host" => fields.hosts += 1,
                "content-length" => {
                    let digits =
                        !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                    let length = value.parse().ok().filter(|_| digits)?;
                    // Differing lengths are how requests are smuggled.
                    if fields.content_length.is_some_and(|other| other != length) {
                        return None;
                    }
                    fields.content_length = Some(length);
                }
                "transfer-encoding" => fields.transfer_encoding = true,
                "connection" => {
                    for option in value.split(',') {
                        match option.trim().to_ascii_lowercase().as_str() {
                            "close" => fields.keep_alive = Some(false),
                            "keep-alive" => {
                                fields.keep_alive.get_or_insert(true);
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Some(fields)
    }
}

/// Characters of a token (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(head: &str) -> Result<Request, Refusal> {
        Request::parse(head.as_bytes())
    }

    #[test]
    fn requests_are_read() {
        let request = parse("GET /a HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n").unwrap();
        assert_eq!((request.target.as_str(), request.head_only), ("/a", false));
        assert!(request.keep_alive);
        let request = parse("HEAD / HTTP/1.1\r\nhost:x\r\nConnection: foo, Close\r\n\r\n").unwrap();
        assert!(request.head_only && !request.keep_alive);
        assert!(!parse("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(
            parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                .unwrap()
                .keep_alive
        );
    }

    #[test]
    fn what_is_no_request_is_refused_with_a_status() {
        use Refusal::*;
        for (head, refusal) in [
            ("GET / HTTP/1.1\r\n\r\n", BadRequest),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BadRequest),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", BadRequest),
            ("GET / FTP/1.1\r\nHost: a\r\n\r\n", BadRequest),
            ("GET / HTTP/1.1\r\nHost a\r\n\r\n", BadRequest),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n",
                BadRequest,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                BadRequest,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                BadRequest,
            ),
            ("PUT / HTTP/1.1\r\nHost: a\r\n\r\n", MethodNotAllowed),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", VersionNotSupported),
        ] {
            assert_eq!(parse(head), Err(refusal), "{head:?}");
        }
    }

    #[test]
    fn heads_have_limits() {
        assert_eq!(head_length(b"GET / HTTP/1.1\r\nHo"), Ok(None));
        assert_eq!(head_length(b"GET /\r\n\r\nrest"), Ok(Some(9)));
        assert_eq!(
            head_length(&[b'x'; MAX_REQUEST_LINE + 1]),
            Err(Refusal::UriTooLong)
        );
        let long = ["GET / HTTP/1.1\r\n", &"a: b\r\n".repeat(MAX_HEAD / 6)].concat();
        assert_eq!(head_length(long.as_bytes()), Err(Refusal::HeadTooLong));
    }

    #[test]
    fn responses_are_read() {
        let head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nConnection: close\r\n\r\n";
        let expected = Response {
            status: 404,
            content_length: 3,
            keep_alive: false,
        };
        assert_eq!(Response::parse(head), Some(expected));
        assert_eq!(Response::parse(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }

    proptest! {
        #[test]
        fn no_head_makes_the_parsers_panic(head in prop::collection::vec(any::<u8>(), 0..200)) {
            let _length = head_length(&head);
            let _request = Request::parse(&[&head[..], b"\r\n\r\n"].concat());
            let _response = Response::parse(&[b"HTTP/1.1 ", &head[..], b"\r\n\r\n"].concat());
        }
    }
}

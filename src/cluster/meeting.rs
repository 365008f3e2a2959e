//! What is said before a run over several machines: lines of JSON.

use crate::parts::Job;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What a new agent reads from its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invitation {
    /// Name or address of the host to come to.
    pub host: String,
    pub port: u16,
    /// Known to those of this run only.
    pub token: String,
    /// Number of the agent's node.
    pub node: usize,
}

/// The first line on a stream, from whoever connects.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    pub token: String,
    pub version: String,
    pub node: usize,
    /// Where it expects other agents.
    pub port: u16,
}

/// What an agent is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Mission {
    pub job: Job,
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// Where their agents expect others.
    pub addresses: Vec<SocketAddr>,
}

/// No line is longer.
const LONGEST_LINE: u64 = 16 << 20;
/// Who connects says at once who it is.
const HELLO_TIME: Duration = Duration::from_secs(5);

impl Hello {
    /// From this program.
    pub fn new(invitation: &Invitation, port: u16) -> Self {
        Hello {
            token: invitation.token.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: invitation.node,
            port,
        }
    }

    /// Reads who has connected, if it knows the token; and leaves what follows.
    pub fn receive(stream: &TcpStream, token: &str) -> io::Result<(Self, BufReader<TcpStream>)> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HELLO_TIME))?;
        let mut from = BufReader::new(stream.try_clone()?);
        let hello: Hello = read_line(&mut from)?;
        stream.set_read_timeout(None)?;
        let own = env!("CARGO_PKG_VERSION");
        match hello.token == token && hello.version == own {
            true => Ok((hello, from)),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

/// A token that nobody guesses.
pub fn token() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Sends `value`.
pub fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// Reads what [`write_line`] sent.
pub fn read_line<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<T> {
    let mut line = Vec::new();
    from.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    fn hello(line: &str, token: &str) -> io::Result<usize> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let line = line.to_owned();
        let client = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(line.as_bytes()).unwrap();
        });
        let (stream, _) = listener.accept().unwrap();
        client.join().unwrap();
        Hello::receive(&stream, token).map(|(hello, _)| hello.node)
    }

    #[test]
    fn only_who_knows_token_and_version_is_let_in() {
        let invitation = Invitation {
            host: String::new(),
            port: 0,
            token: token().unwrap(),
            node: 3,
        };
        let said = |change: fn(&mut Hello)| {
            let mut said = Hello::new(&invitation, 7);
            change(&mut said);
            serde_json::to_string(&said).unwrap() + "\n"
        };
        assert_eq!(hello(&said(|_| ()), &invitation.token).unwrap(), 3);
        for wrong in [
            said(|hello| hello.token.clear()),
            said(|hello| hello.version = "0.0.0".to_owned()),
            "{}\n".to_owned(),
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            String::new(),
        ] {
            assert!(hello(&wrong, &invitation.token).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_two_tokens_are_the_same() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }
}

//! As much of HTTP/1.1 and of WebSocket (RFC 6455) as a load generator needs.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;

/// How long a server may take for one answer while the load is set up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a peer has sent, as far as it is complete.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// More bytes are needed.
    Incomplete,
    /// A message of so many bytes, with its payload.
    Message(usize, &'a [u8]),
    /// So many bytes that carry nothing to look at.
    Skip(usize),
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Frames of a WebSocket.
    WebSocket,
    /// Answers over HTTP, one request at a time.
    Http,
}

impl Protocol {
    /// Reads the first message.
    ///
    /// # Errors
    /// When the peer refuses, closes, or speaks another protocol.
    pub(crate) fn parse(self, bytes: &[u8]) -> Result<Parsed<'_>> {
        match self {
            Self::WebSocket => parse_frame(bytes),
            Self::Http => parse_answer(bytes),
        }
    }
}

/// The server has closed a WebSocket, and said why.
#[derive(Debug, thiserror::Error)]
#[error("the server closed the connection: {code} {reason}")]
pub(crate) struct Closed {
    code: u16,
    reason: String,
}

fn parse_frame(bytes: &[u8]) -> Result<Parsed<'_>> {
    let [head, len, rest @ ..] = bytes else { return Ok(Parsed::Incomplete) };
    ensure!(len & 0x80 == 0, "the server has masked a frame, which only clients may");
    let (size, at) = match len {
        126 if rest.len() >= 2 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), 4),
        127 if rest.len() >= 8 => {
            let size = u64::from_be_bytes(rest[..8].try_into().expect("eight bytes"));
            (usize::try_from(size)?, 10)
        }
        126 | 127 => return Ok(Parsed::Incomplete),
        short => (usize::from(*short), 2),
    };
    let Some(payload) = bytes.get(at..at + size) else { return Ok(Parsed::Incomplete) };
    match head {
        0x81 => Ok(Parsed::Message(at + size, payload)),
        0x89 | 0x8a => Ok(Parsed::Skip(at + size)),
        0x88 => {
            let code = payload.get(..2).map_or(0, |code| u16::from_be_bytes([code[0], code[1]]));
            let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
            Err(Closed { code, reason: reason.into_owned() }.into())
        }
        other => bail!("a frame of an unexpected kind came: {other:#04x}"),
    }
}

fn parse_answer(bytes: &[u8]) -> Result<Parsed<'_>> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(Parsed::Incomplete) };
    let head = std::str::from_utf8(&bytes[..end]).context("the head of an HTTP answer")?;
    let size: usize = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("an HTTP answer without content-length")?
        .1
        .trim()
        .parse()?;
    let Some(body) = bytes.get(end + 4..end + 4 + size) else { return Ok(Parsed::Incomplete) };
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status.starts_with('2'), "refused with {status}: {}", String::from_utf8_lossy(body));
    Ok(Parsed::Message(end + 4 + size, body))
}

/// Writes a text frame. Masked with zeros, which leave the text as it is: the server unmasks all the
/// same, the generator saves the work.
pub(crate) fn push_frame(text: &[u8], out: &mut Vec<u8>) {
    out.push(0x81);
    match text.len() {
        short @ 0..=125 => out.push(0x80 | short as u8),
        medium @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(text);
}

/// Writes a request.
pub(crate) fn push_request(method: &str, path: &str, token: &str, body: &[u8], out: &mut Vec<u8>) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
}

/// Asks once and waits for the answer's body, on a connection that stays open.
///
/// # Errors
/// When the server refuses or does not answer.
pub(crate) fn ask(
    stream: &mut TcpStream,
    token: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<serde_json::Value> {
    let what = || format!("{method} {path}");
    let mut request = Vec::new();
    push_request(method, path, token, body.as_bytes(), &mut request);
    stream.write_all(&request).with_context(what)?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        if let Parsed::Message(_, body) = parse_answer(&bytes).with_context(what)? {
            return serde_json::from_slice(body).with_context(what);
        }
        let read = stream.read(&mut chunk).with_context(what)?;
        ensure!(read > 0, "{method} {path}: the server closed the connection");
        bytes.extend_from_slice(&chunk[..read]);
    }
}

/// A connection to the server, with Nagle's waiting switched off.
///
/// # Errors
/// When there is none to be had.
pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("no connection to the server at {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// How a WebSocket is opened: where, speaking what, and what it says first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opening {
    /// The path, with its query.
    pub(crate) path: String,
    /// The subprotocol that it asks for, if any.
    pub(crate) subprotocol: Option<&'static str>,
    /// The texts it sends when the handshake has ended.
    pub(crate) texts: Vec<String>,
}

impl Opening {
    /// The request of the handshake.
    pub(crate) fn request(&self) -> Vec<u8> {
        let subprotocol = self.subprotocol.map_or_else(String::new, |subprotocol| {
            format!("Sec-WebSocket-Protocol: {subprotocol}\r\n")
        });
        format!(
            "GET {} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cmV0aHJlYWQtYmVuY2gtMQ==\r\n\
             {subprotocol}\r\n",
            self.path
        )
        .into_bytes()
    }

    /// What follows it.
    pub(crate) fn frames(&self) -> Vec<u8> {
        let mut frames = Vec::new();
        for text in &self.texts {
            push_frame(text.as_bytes(), &mut frames);
        }
        frames
    }
}

/// The length of the head with which a server has accepted a WebSocket, when it is complete.
///
/// # Errors
/// When it was refused.
pub(crate) fn upgraded(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let refused = || String::from_utf8_lossy(&bytes[..bytes.len().min(1_000)]).into_owned();
    ensure!(bytes.starts_with(b"HTTP/1.1 101"), "the handshake was refused: {}", refused());
    Ok(Some(end + 4))
}

/// Dials without waiting, with a receive buffer as small as the system allows: a slow network.
///
/// # Errors
/// When the system refuses.
pub(crate) fn dial_with_small_buffer(address: SocketAddr) -> std::io::Result<TcpStream> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Before it is connected: the window is agreed on then (tcp(7)).
    socket.set_recv_buffer_size(2_048)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        _ => Ok(socket.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_read_when_they_are_complete() {
        for size in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
            let text = vec![b'x'; size];
            let mut masked = Vec::new();
            push_frame(&text, &mut masked);
            // As a server would send it: without the mask.
            let head = masked.len() - size - 4;
            let mut frame = masked[..head].to_vec();
            frame[1] &= 0x7f;
            frame.extend_from_slice(&text);
            for cut in [0, 1, head - 1, frame.len() - 1] {
                let parsed = parse_frame(&frame[..cut]).unwrap();
                assert_eq!(parsed, Parsed::Incomplete, "{cut} of {size}");
            }
            frame.extend_from_slice(b"next");
            assert_eq!(parse_frame(&frame).unwrap(), Parsed::Message(head + size, &text[..]));
        }
    }

    #[test]
    fn a_refusal_and_a_close_say_why() {
        let answer = b"HTTP/1.1 422 Unprocessable Entity\r\ncontent-length: 3\r\n\r\nwhy";
        assert!(parse_answer(answer).unwrap_err().to_string().contains("422: why"));
        let close = b"\x88\x05\x0f\xa0bye";
        assert!(parse_frame(close).unwrap_err().to_string().contains("4000 bye"));
    }

    #[test]
    fn a_handshake_is_read_when_it_is_complete_and_a_refusal_says_why() {
        let head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n";
        assert_eq!(upgraded(&head[..20]).unwrap(), None);
        assert_eq!(upgraded(&[&head[..], b"\x81\x00"].concat()).unwrap(), Some(head.len()));
        let refusal = b"HTTP/1.1 429 Too Many Requests\r\n\r\nslow_down";
        assert!(upgraded(refusal).unwrap_err().to_string().contains("slow_down"));
    }
}

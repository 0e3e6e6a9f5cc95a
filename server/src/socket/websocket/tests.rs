//! Against a client that is played byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use rethread_shared::limits::{FRAME_BYTES_HARD_MAX, READ_BYTES_MAX};

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const PING: u8 = 0x9;
const CLOSE: u8 = 0x8;
const LAST: u8 = 0x80;

/// A frame as a client sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x5a, 0x01, 0xfe, 0x33];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn text(payload: &str) -> Vec<u8> {
    masked(LAST | TEXT, payload.as_bytes())
}

/// A socket whose client is known, and that client.
fn pair() -> (WebSocket<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(1 << 20);
    let mut socket = WebSocket::new(ours);
    socket.open();
    (socket, theirs)
}

/// What a socket makes of bytes that come in pieces of this size, until it ends or they do.
async fn read(bytes: &[u8], piece: usize) -> (Vec<Message>, Option<End>) {
    let (ours, mut theirs) = duplex(piece);
    let mut socket = WebSocket::new(ours);
    socket.open();
    let bytes = bytes.to_vec();
    let client = tokio::spawn(async move {
        let _ = theirs.write_all(&bytes).await;
    });
    let mut messages = Vec::new();
    let end = loop {
        match socket.next().await {
            Some(Ok(message)) => messages.push(message),
            Some(Err(end)) => break Some(end),
            None => break None,
        }
    };
    client.abort();
    (messages, end)
}

#[tokio::test]
async fn messages_are_the_same_however_they_come() {
    let long = "a longer text, ".repeat(10_000);
    let said = [
        text("{}"),
        text(""),
        masked(TEXT, "in pa".as_bytes()),
        masked(LAST | PING, b"there?"),
        masked(0, &"rts, cut in the middle of \u{fc}".as_bytes()[..27]),
        masked(LAST, &"\u{fc}!".as_bytes()[1..]),
        masked(LAST | PING, b""),
        masked(LAST | BINARY, &[0xff; 300]),
        text(&long),
        text("after"),
        masked(LAST | CLOSE, &1001_u16.to_be_bytes()),
        text("nobody reads this"),
    ]
    .concat();
    let ping = |bytes: &'static [u8], is_amid| Message::Ping { bytes: bytes.into(), is_amid };
    let expected = [
        Message::Text("{}".into()),
        Message::Text(String::new()),
        ping(b"there?", true),
        Message::Text("in parts, cut in the middle of \u{fc}!".into()),
        ping(b"", false),
        Message::Binary,
        Message::Text(long),
        Message::Text("after".into()),
        Message::Close(Some(1001)),
    ];
    for piece in [1, 2, 7, 100, READ_BYTES_MAX, 1 << 20] {
        let (messages, end) = read(&said, piece).await;
        assert!(end.is_none(), "{piece}: {end:?}");
        assert_eq!(messages, expected, "in pieces of {piece}");
    }
}

#[tokio::test]
async fn what_is_not_allowed_ends_it_with_the_right_code() {
    let mut unmasked = text("x");
    unmasked[1] &= 0x7f;
    let mut huge = text(&"x".repeat(200));
    huge.splice(1..4, [0x80 | 127, 0, 0, 0, 0, 1, 0, 0, 0]);
    let most = masked(TEXT, &vec![b'x'; FRAME_BYTES_HARD_MAX]);
    let cases = [
        ("unmasked", unmasked, CloseCode::Protocol),
        ("a reserved bit", masked(LAST | 0x40 | TEXT, b"x"), CloseCode::Protocol),
        ("an unknown kind", masked(LAST | 0x3, b"x"), CloseCode::Protocol),
        ("an unknown control frame", masked(LAST | 0xb, b"x"), CloseCode::Protocol),
        ("a ping in parts", masked(PING, b"x"), CloseCode::Protocol),
        ("a large ping", masked(LAST | PING, &[b'x'; 126]), CloseCode::Protocol),
        ("a part of nothing", masked(LAST, b"x"), CloseCode::Protocol),
        ("half a code", masked(LAST | CLOSE, b"x"), CloseCode::Protocol),
        ("two at once", [masked(TEXT, b"x"), text("y")].concat(), CloseCode::Protocol),
        ("not UTF-8", masked(LAST | TEXT, &[0xff]), CloseCode::Invalid),
        ("a reason that is not", masked(LAST | CLOSE, &[3, 232, 0xff]), CloseCode::Invalid),
        ("a huge frame", huge, CloseCode::Size),
        ("a huge message", [most, masked(LAST, b"x")].concat(), CloseCode::Size),
    ];
    for (what, bytes, expected) in cases {
        let (messages, end) = read(&bytes, 1 << 16).await;
        assert!(messages.is_empty(), "{what}: {messages:?}");
        let Some(End::Unreadable(code, _)) = end else { panic!("{what}: {end:?}") };
        assert_eq!(code, expected, "{what}");
    }
}

#[tokio::test]
async fn a_stranger_gets_little_room() {
    let (ours, mut theirs) = duplex(1 << 20);
    let mut socket = WebSocket::new(ours);
    let large = text(&"x".repeat(2 * HELLO_BYTES_MAX));
    theirs.write_all(&large).await.unwrap();
    let Some(Err(End::Unreadable(CloseCode::Size, _))) = socket.next().await else {
        panic!("it is too much for a stranger")
    };
    let (mut socket, mut theirs) = pair();
    theirs.write_all(&large).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Text(_)))), "and not for others");
}

#[tokio::test]
async fn frames_leave_whole_and_in_order_however_little_is_taken() {
    for room in [1, 3, 100, 5_000, 1 << 20] {
        let (ours, mut theirs) = duplex(room);
        let mut socket = WebSocket::new(ours);
        let lengths =
            [0, 1, 125, 126, 5_000, 65_535, 300, 0, 65_536, 7, 8, 900, 70_000, 125, 5_000];
        let payload = |length| Bytes::from(vec![b'a' + (length % 26) as u8; length]);
        let reader = tokio::spawn(async move {
            for length in lengths {
                let mut head = [0; 2];
                theirs.read_exact(&mut head).await.unwrap();
                assert_eq!(head[0], LAST | TEXT);
                let told = match head[1] {
                    126 => usize::from(theirs.read_u16().await.unwrap()),
                    127 => theirs.read_u64().await.unwrap() as usize,
                    short => usize::from(short),
                };
                assert_eq!(told, length);
                let mut came = vec![0; length];
                theirs.read_exact(&mut came).await.unwrap();
                assert_eq!(came, payload(length));
            }
            theirs
        });
        for (place, length) in lengths.into_iter().enumerate() {
            let payload = payload(length);
            if place % 3 == 0 {
                socket.feed(payload).await.unwrap();
            } else {
                socket.feed_own(String::from_utf8(payload.into()).unwrap()).await.unwrap();
            }
        }
        socket.flush().await.unwrap();
        let _open = reader.await.unwrap();
        assert_eq!(socket.outgoing.bytes(), 0);
    }
}

#[tokio::test]
async fn nothing_is_held_when_nothing_is_under_way() {
    let (mut socket, mut theirs) = pair();
    for _ in 0..20 {
        theirs.write_all(&text(&"x".repeat(3 * READ_BYTES_MAX))).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Message::Text(_)))));
        socket.feed(Bytes::from_static(b"an event")).await.unwrap();
        socket.feed_own("an answer".into()).await.unwrap();
    }
    socket.flush().await.unwrap();
    let waiting = socket.next();
    assert!(futures_util::FutureExt::now_or_never(waiting).is_none());
    assert_eq!(socket.incoming.room(), 0);
    assert!(socket.outgoing.room() <= 1_024);
}

#[tokio::test]
async fn pings_and_the_end_are_answered() {
    let (mut socket, mut theirs) = pair();
    let said = [masked(LAST | PING, b"there?"), masked(LAST | CLOSE, &[3, 233, b'b', b'y', b'e'])];
    theirs.write_all(&said.concat()).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
    socket.part().await;
    drop(socket);
    let mut answer = Vec::new();
    theirs.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"\x8a\x06there?\x88\x02\x03\xe9");
}

#[tokio::test]
async fn the_beginning_of_a_frame_keeps_no_room_of_the_one_before() {
    let (mut socket, mut theirs) = pair();
    let large = text(&"x".repeat(40 * READ_BYTES_MAX));
    theirs.write_all(&[large, vec![LAST | PING]].concat()).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Text(_)))));
    assert!(futures_util::FutureExt::now_or_never(socket.next()).is_none());
    assert!(socket.incoming.room() <= 64, "{}", socket.incoming.room());
}

#[tokio::test]
async fn what_comes_after_the_end_is_not_answered() {
    let (mut socket, mut theirs) = pair();
    theirs.write_all(&masked(LAST | PING, b"").repeat(10_000)).await.unwrap();
    theirs.shutdown().await.unwrap();
    socket.close(CloseCode::Normal, "bye", false).await;
    assert!(socket.outgoing.room() <= 1_024, "{}", socket.outgoing.room());
    drop(socket);
    let mut said = Vec::new();
    theirs.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"\x88\x05\x03\xe8bye");
}

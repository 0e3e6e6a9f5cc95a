//! What a client may take of the listener: time, bytes, connections. Whoever takes too much is told, or
//! let go of, and nobody else notices.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rethread_tests::{
    api::{answer, client},
    make,
    server::Server,
    socket::{Incoming, Socket},
    until, within,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

async fn tcp(server: &Server) -> TcpStream {
    TcpStream::connect(("127.0.0.1", server.port())).await.unwrap()
}

/// Everything until the end of the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end too.
    let _ = within("the end of the connection", stream.read_to_end(&mut text)).await;
    String::from_utf8_lossy(&text).into_owned()
}

/// Sends a byte now and then until the server has had enough; what it said, and after how long.
async fn trickle(stream: &mut TcpStream) -> (String, Duration) {
    let start = Instant::now();
    let (mut read, mut write) = stream.split();
    let mut text = String::new();
    let writing = async {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending().await
    };
    let reading = async {
        let mut bytes = Vec::new();
        let _ = read.read_to_end(&mut bytes).await;
        text = String::from_utf8_lossy(&bytes).into_owned();
    };
    let both = async {
        tokio::select! { () = reading => {}, () = writing => {} }
    };
    within("the server to end a connection that trickles", both).await;
    (text, start.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_slow_to_ask_is_let_go_of() {
    let server = Server::start_with(&[
        "--http-opening",
        "2s",
        "--http-idle-timeout",
        "3s",
        "--http-body-timeout",
        "2s",
    ]);
    let mut silent = tcp(&server).await;
    let mut head = tcp(&server).await;
    head.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    let mut body = tcp(&server).await;
    let token = server.token();
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-length: 100000\r\n\r\n"
    );
    body.write_all(request.as_bytes()).await.unwrap();
    let mut again = tcp(&server).await;
    again.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();

    let (silent, head, body, again) =
        tokio::join!(rest(&mut silent), trickle(&mut head), trickle(&mut body), rest(&mut again));
    assert_eq!(silent, "", "nothing was asked");
    assert!(head.1 >= Duration::from_millis(1_500), "not before its time: {head:?}");
    assert!(body.0.starts_with("HTTP/1.1 408"), "{body:?}");
    assert!(body.0.contains("did not arrive whole"), "{body:?}");
    assert!(again.starts_with("HTTP/1.1 200"), "the idle one had its answer: {again}");
    // Whoever is quick is not concerned.
    let api = server.api();
    let thread = api.thread().await;
    let mut socket = server.socket().await;
    // A connection that comes later is closed when it was idle for its time; the socket then was longer.
    let mut later = tcp(&server).await;
    later.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(rest(&mut later).await.starts_with("HTTP/1.1 200"));
    socket.send(json!({ "op": "subscribe", "thread": thread })).await;
    socket.expect("subscribed").await;
}

#[tokio::test]
async fn a_head_has_a_size_and_so_many_headers() {
    let server = Server::start();
    let many: String = (0..80).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(40 * 1024));
    for headers in [many, large] {
        let mut stream = tcp(&server).await;
        let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        // It may be refused before it is sent whole.
        let _ = stream.write_all(request.as_bytes()).await;
        let said = rest(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 431"), "{said}");
    }
    let token = format!("Bearer {}", "t".repeat(16 * 1024));
    let url = format!("{}/v1/threads", server.url());
    let refused = answer(client().get(url).header("authorization", token)).await;
    assert_eq!(refused.status, 401, "the largest token is read");
}

#[tokio::test]
async fn what_cannot_be_read_is_closed_with_a_code_that_says_so() {
    let server = Server::start();
    let text =
        |bytes: Vec<u8>| Message::Frame(Frame::message(bytes, OpCode::Data(Data::Text), true));
    let cases =
        [(text(vec![b' '; 5 * 1024 * 1024]), 1009), (text(vec![b'"', 0xff, 0xfe, b'"']), 1007)];
    for (message, expected) in cases {
        let mut socket = server.socket().await;
        socket.send_raw(message).await;
        let end = within("the close", socket.next()).await;
        assert_eq!(end, Incoming::Closed(Some(expected)));
    }
    // Nonsense below WebSocket: a reserved bit.
    let mut socket = server.socket().await;
    socket.send_bytes(&[0xf1, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(within("the close", socket.next()).await, Incoming::Closed(Some(1002)));
}

#[tokio::test]
async fn pages_are_compressed_and_streams_are_not() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    api.publish(&[make::started(&run), make::thinking(&run, &"long ".repeat(2_000))]).await;
    let path = format!("/v1/threads/{thread}/events");
    for (accept, path, expected) in [
        ("application/json", path.as_str(), Some("gzip")),
        ("text/html", "/", Some("gzip")),
        ("text/event-stream", path.as_str(), None),
    ] {
        let request = api.request(reqwest::Method::GET, path);
        let request = request.header("accept", accept).header("accept-encoding", "gzip");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let encoding = response.headers().get("content-encoding");
        assert_eq!(encoding.map(|value| value.to_str().unwrap()), expected, "{accept}");
    }
}

/// A stream of server-sent events that is opened and not read.
async fn stalled_stream(server: &Server, thread: &str, receive_bytes: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(receive_bytes).unwrap();
    let address = format!("127.0.0.1:{}", server.port()).parse().unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!(
        "GET /v1/threads/{thread}/events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\
         authorization: Bearer {}\r\n\r\n",
        server.token()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// What the slow one reads.
const SLOW_BYTES_PER_SECOND: f64 = 40_000.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nobody_reads_gives_its_place_back_and_a_slow_one_keeps_it() {
    let server = Server::start_with(&["--http-write-stall", "3s"]);
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    api.publish(&[make::started(&run)]).await;
    let text = "x".repeat(20_000);
    for _ in 0..8 {
        let events: Vec<_> = (0..100).map(|_| make::thinking(&run, &text)).collect();
        api.publish(&events).await;
    }
    let open = || async { api.get("/readyz").await.body["connections"].as_u64().unwrap() };

    let stalled = stalled_stream(&server, &thread, 8 * 1024).await;
    let mut slow = stalled_stream(&server, &thread, 8 * 1024).await;
    until("both streams", || async { (open().await == 2).then_some(()) }).await;
    let start = Instant::now();
    let mut buffer = vec![0; 64 * 1024];
    let mut taken = 0;
    // Far longer than the time that a stalled one has, at a rate at which one write's worth takes as long.
    // On a busy machine more is read at a time: the rate is the same.
    let mut gone_at = None;
    while start.elapsed() < Duration::from_secs(9) {
        let due = (start.elapsed().as_secs_f64() * SLOW_BYTES_PER_SECOND) as usize;
        let most = due.saturating_sub(taken).clamp(1024, buffer.len());
        taken += within("more of the stream", slow.read(&mut buffer[..most])).await.unwrap();
        tokio::time::sleep(Duration::from_millis(25)).await;
        if gone_at.is_none() && open().await == 1 {
            gone_at = Some(start.elapsed());
        }
    }
    assert!(taken > 100 * 1024, "{taken} bytes were taken slowly");
    println!("the stalled one was gone after {gone_at:?}; the slow one took {taken} bytes");
    assert_eq!(open().await, 1, "the slow one has its place");
    assert!(gone_at.is_some(), "the stalled one has not");
    drop(stalled);
}

/// More than what comes back of a limit while they are answered.
const AT_ONCE: usize = 24;

#[tokio::test]
async fn an_address_on_the_internet_has_so_many_connections() {
    let server = Server::start_with(&[
        "--limits-proxies",
        "127.0.0.1",
        "--limits-address-connections",
        "2",
        "--limits-address-requests",
        "1",
        "--limits-address-requests-burst",
        "4",
    ]);
    let open = |from: &'static str| {
        let api = server.api();
        async move {
            let request = api.request(reqwest::Method::GET, "/v1/ws");
            let request = request
                .header("x-forwarded-for", from)
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response)
        }
    };
    let (first, second) = (open("203.0.113.9").await, open("203.0.113.9").await);
    assert_eq!((first.0, second.0), (101, 101));
    let (status, third) = open("203.0.113.9").await;
    assert_eq!(status, 429);
    assert_eq!(third.headers()["retry-after"], "5");
    let body: serde_json::Value = serde_json::from_slice(&third.bytes().await.unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "slow_down");
    assert_eq!(open("203.0.113.10").await.0, 101, "another address");
    // Requests too: three were made.
    let ask = || async {
        let request = server.api().request(reqwest::Method::GET, "/v1/threads");
        request.header("x-forwarded-for", "203.0.113.9").send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask().await, 200);
    // One a second comes back, so more are asked at once than can come back meanwhile.
    let statuses = join_all((0..AT_ONCE).map(|_| ask())).await;
    assert!(statuses.contains(&429), "{statuses:?}");
    for _ in 0..20 {
        let near = server.api().request(reqwest::Method::GET, "/v1/threads");
        let near = near.header("x-forwarded-for", "10.1.2.3").send().await.unwrap();
        assert_eq!(near.status(), 200, "who is near is not limited");
    }
}

#[tokio::test]
async fn a_person_who_is_too_fast_is_asked_to_slow_down() {
    let server = Server::start_with(&[
        "--limits-user-sends",
        "1",
        "--limits-user-sends-burst",
        "2",
        "--limits-user-connects",
        "1",
        "--limits-user-connects-burst",
        "2",
        "--limits-user-publishes",
        "10",
        "--limits-user-publishes-burst",
        "20",
    ]);
    let thread = server.api().thread().await;
    let person = rethread_tests::server::token(&[
        "--user",
        "bea",
        "--scope",
        "subscribe,send",
        "--all-threads",
    ]);
    let mut socket = Socket::welcomed(&server.url(), &person).await;
    let say = || json!({ "op": "send", "req": 1, "thread": thread, "message_id": make::id(), "text": "hi" });
    for _ in 0..2 {
        assert_eq!(socket.ask(say()).await["op"], "sent");
    }
    // One a second comes back, so more are sent at once than can come back meanwhile.
    for _ in 0..AT_ONCE {
        socket.send(say()).await;
    }
    let refused = socket.expect("error").await;
    assert_eq!(refused["code"], "slow_down");
    assert!(refused["retry_after_ms"].as_u64().unwrap() <= 1_000, "{refused}");

    let hello = || async {
        let mut socket = Socket::open(&server.url()).await.unwrap();
        socket.send(json!({ "op": "hello", "token": person })).await;
        let answer = within("an answer", socket.next()).await;
        matches!(answer, Incoming::Frame(frame) if frame["op"] == "error").then_some(socket)
    };
    let mut refused = join_all((0..AT_ONCE).map(|_| hello())).await.into_iter().flatten();
    let mut refused = refused.next().expect("one is refused");
    let goodbye = refused.expect("goodbye").await;
    assert_eq!(goodbye["reason"], "slow_down");
    assert!(goodbye["retry_after_ms"].as_u64().unwrap() <= 1_000, "{goodbye}");
    assert_eq!(refused.expect_end().await, Some(4000));

    let api = server.api();
    let run = || async { make::whole_run(&api.run(&thread).await, 13) };
    let runs = join_all((0..AT_ONCE).map(|_| run())).await;
    let before = api.log(&thread).await.len();
    let publish = |run: Vec<serde_json::Value>| {
        let api = &api;
        async move { api.post("/v1/events", &json!(run)).await }
    };
    let answers = join_all(runs.into_iter().map(publish)).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    let refused = refused.first().expect("one is refused");
    assert_eq!((refused.status, refused.code()), (429, "slow_down"), "{refused:?}");
    assert!(refused.body["error"]["retry_after_ms"].as_u64().is_some(), "{:?}", refused.body);
    let after = api.log(&thread).await.len();
    assert_eq!(after - before, 15 * taken.len(), "all or none of a publish");
}

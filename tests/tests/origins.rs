//! Which web pages may come, and what nobody finds in the log.

use reqwest::{Method, StatusCode, header::HeaderMap};
use rethread_tests::{
    api::{Api, answer, client},
    make,
    server::{SECRET, Server, token},
    socket::{Incoming, Socket},
    sse::Sse,
};
use serde_json::json;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, client::IntoClientRequest},
};

/// What a WebSocket handshake of a page is answered with.
async fn handshake(server: &Server, origin: Option<&str>) -> Result<(), (u16, String)> {
    let url = format!("{}/v1/ws", server.url().replacen("http", "ws", 1));
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "rethread.v1".parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    match connect_async(request).await {
        Ok(_) => Ok(()),
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            Err((response.status().as_u16(), String::from_utf8(body).unwrap()))
        }
        Err(error) => panic!("{error}"),
    }
}

async fn preflight(server: &Server, origin: &str) -> (StatusCode, HeaderMap) {
    let request = client()
        .request(Method::OPTIONS, format!("{}/v1/threads", server.url()))
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,last-event-id");
    let response = request.send().await.unwrap();
    (response.status(), response.headers().clone())
}

#[tokio::test]
async fn a_page_may_come_from_the_server_or_from_what_is_listed() {
    let server = Server::start_with(&["--http-origins", "https://chat.example.com"]);
    for origin in [None, Some("https://chat.example.com"), Some(&*server.url())] {
        assert_eq!(handshake(&server, origin).await, Ok(()), "{origin:?}");
    }
    for origin in
        ["https://evil.example", "http://chat.example.com", "http://localhost:5173", "null"]
    {
        let (status, body) = handshake(&server, Some(origin)).await.unwrap_err();
        assert_eq!(status, 403, "{origin}: {body}");
        assert!(body.contains("forbidden") && body.contains("http.origins"), "{body}");
        assert!(body.contains(origin), "{body}");
        let (_, headers) = preflight(&server, origin).await;
        assert_eq!(headers.get("access-control-allow-origin"), None, "{origin}");
    }
    let (status, headers) = preflight(&server, "https://chat.example.com").await;
    assert_eq!(status, 200);
    assert_eq!(headers["access-control-allow-origin"], "https://chat.example.com");
    assert_eq!(headers["access-control-max-age"], "3600");
    let allowed = headers["access-control-allow-headers"].to_str().unwrap().to_lowercase();
    for name in ["authorization", "content-type", "last-event-id"] {
        assert!(allowed.contains(name), "{name} in {allowed}");
    }
    let asked = server.api().request(Method::GET, "/v1/threads");
    let answered = asked.header("origin", "https://chat.example.com").send().await.unwrap();
    assert_eq!(answered.headers()["access-control-allow-origin"], "https://chat.example.com");
    let exposed = answered.headers()["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("retry-after"), "{exposed}");
}

#[tokio::test]
async fn in_dev_mode_a_front_end_on_this_machine_may_come_and_no_name_that_only_leads_here() {
    let server = Server::start_with(&["--dev"]);
    for origin in ["http://localhost:5173", "http://127.0.0.1:3000"] {
        assert_eq!(handshake(&server, Some(origin)).await, Ok(()), "{origin}");
        assert_eq!(preflight(&server, origin).await.1["access-control-allow-origin"], origin);
    }
    assert!(handshake(&server, Some("https://evil.example")).await.is_err());
    let ask = |host: &str| {
        let request = client().get(format!("{}/v1/dev/token", server.url()));
        answer(request.header("host", host))
    };
    assert_eq!(ask("localhost:4242").await.status, 200);
    assert_eq!(ask("evil.example:4242").await.code(), "forbidden");
}

#[tokio::test]
async fn tokens_are_in_no_log_wherever_they_are_put() {
    // Loud: everything of everybody.
    let server = Server::start_with(&["--logs-level", "trace"]);
    let good = server.token_of("ada");
    let dead = token(&["--user", "ada", "--ttl", "0s"]);
    let foreign = good.rsplit_once('.').unwrap().0.to_owned() + ".c2lnbmF0dXJlLW9mLW5vYm9keQ";
    for token in [&good, &dead, &foreign] {
        let api = Api::new(&server.url(), token);
        api.get("/v1/threads").await;
        api.post("/v1/events", &json!({ "run": token, "type": token, "token": token })).await;
        api.post("/v1/threads", &json!({ "thread": token })).await;
        // Where they do not belong.
        for path in [
            format!("/v1/threads?token={token}"),
            format!("/v1/threads/{token}/events"),
            format!("/v1/threads/thread_x/events?after={token}&access_token={token}"),
            format!("/v1/ws?token={token}"),
            format!("/{token}"),
            format!("/v1/admin/resolve/{token}"),
        ] {
            api.get(&path).await;
        }
        let request = client().get(format!("{}/v1/threads", server.url()));
        answer(request.header("authorization", format!("bearer{token}"))).await;
        let mut socket = Socket::open(&server.url()).await.unwrap();
        for frame in [
            json!({ "op": "subscribe", "thread": "thread_x", "token": token }),
            json!({ "op": token }),
            json!({ "op": "hello", "token": [token] }),
            json!({ "op": "hello", "token": token, "client": token }),
            json!({ "op": "cancel", "req": 1, "run": token }),
        ] {
            socket.try_send(&frame).await;
        }
        socket.try_send(&json!({ "op": "ping" })).await;
        while !matches!(socket.next_raw().await, Incoming::Closed(_)) {
            if socket.try_send(&json!({ "op": "unsubscribe", "thread": token })).await.is_none() {
                break;
            }
            if token == &good {
                break;
            }
        }
    }
    let api = Api::new(&server.url(), &good);
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    api.publish(&make::whole_run(&run, 1)).await;
    Sse::open(&api, &format!("/v1/threads/{thread}/events"), None).await.event().await;

    let log = server.log();
    assert!(log.contains(&thread), "it is loud enough to be of use:\n{log}");
    assert!(!log.contains(SECRET), "the secret is in the log");
    for token in [&good, &dead, &foreign] {
        // What signs it is what makes it dangerous; and nothing that long of the rest either.
        let (said, signature) = token.rsplit_once('.').unwrap();
        for part in [signature, &said[said.len() - 24..], &said[40..80]] {
            let at = log.find(part);
            let near = at.map(|at| &log[at.saturating_sub(300)..at]);
            assert_eq!(near, None, "a token is in the log");
        }
    }
}

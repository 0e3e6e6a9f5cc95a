//! What the server says of itself.

use rethread_tests::{api::Api, make, server::Server, socket::Incoming, until};
use serde_json::json;

#[tokio::test]
async fn every_part_is_told_with_its_figures_to_operators_only() {
    let server = Server::start_with(&["--health-probe", "100ms"]);
    let (api, operator) = (server.api(), server.operator());
    assert_eq!(api.get("/v1/admin/health").await.status, 403);
    let health = until("the first probe", || async {
        let health = operator.get("/v1/admin/health").await;
        let figures = &health.body["parts"]["log"]["figures"];
        figures["probe_micros"].is_u64().then_some(health)
    })
    .await;
    assert_eq!(health.status, 200);
    let body = &health.body;
    assert_eq!((&body["ready"], &body["state"]), (&json!(true), &json!("active")), "{body}");
    for part in ["log", "registry", "orchestrator", "feeds", "agents"] {
        let part = &body["parts"][part];
        assert_eq!(part["state"], "active", "{body}");
        assert!(part["since"].as_u64().is_some_and(|since| since <= make::unix_ms()), "{body}");
    }
    assert!(body["parts"]["log"]["figures"]["free_bytes"].as_u64().is_some_and(|free| free > 0));
    let ready = Api::new(&server.url(), "no token").get("/readyz").await;
    assert_eq!((ready.status, &ready.body["ready"]), (200, &json!(true)), "{ready:?}");
}

#[tokio::test]
async fn messages_that_nobody_takes_show_until_somebody_does() {
    let args = ["--health-agent-wait", "1ms", "--health-probe", "50ms"];
    let server = Server::start_with(&args);
    let (api, operator) = (server.api(), server.operator());
    let thread = api.thread().await;
    let mut socket = server.socket().await;
    let message = json!({
        "op": "send", "req": 1, "thread": thread, "message_id": make::id(), "text": "anybody?"
    });
    socket.send(message).await;
    let state = async |state: &str| {
        until(&format!("agents to be {state}"), || async {
            let body = operator.get("/v1/admin/health").await.body;
            (body["parts"]["agents"]["state"] == state).then_some(body)
        })
        .await
    };
    let body = state("degraded").await;
    let reason = body["parts"]["agents"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("start an agent"), "{reason}");
    assert_eq!(body["ready"], true, "messages wait in the log: {body}");
    socket.send(json!({ "op": "serve", "agent": "test" })).await;
    state("active").await;
    assert!(matches!(socket.next().await, Incoming::Frame(_)));
}

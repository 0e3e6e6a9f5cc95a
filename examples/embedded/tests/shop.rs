//! The shop as a process of its own: its log-in, Rethread below its path, and the agents inside it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use reqwest::header;
use rethread_tests::{
    api::{Api, client},
    socket::Socket,
    sse::Sse,
    until,
};
use serde_json::{Value, json};

const SECRET: &str = "the shop's secret, long enough for anybody";

/// An `embedded` process. Killed when dropped.
struct Shop {
    child: Child,
    url: String,
}

impl Shop {
    fn open(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_embedded"))
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("SHOP_SECRET", SECRET)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the shop can be run");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it says where it is");
        let url = line.trim().strip_prefix("the shop is open: ").expect("its address").to_owned();
        Self { child, url }
    }

    /// SIGTERM; it must end by itself, and well.
    async fn close(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut ended = || self.child.try_wait().expect("a child may be asked");
        let status = until("the shop's end", || std::future::ready(ended())).await;
        assert!(status.success(), "{status}");
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody with a browser.
struct Customer {
    http: reqwest::Client,
    shop: String,
    cookie: String,
}

impl Customer {
    async fn log_in(shop: &Shop, name: &str) -> Self {
        let http = client();
        let ask = http.post(format!("{}/login", shop.url)).json(&json!({ "name": name }));
        let answer = ask.send().await.unwrap();
        assert_eq!(answer.status(), 204);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self { http, shop: shop.url.clone(), cookie }
    }

    /// Rethread, below the shop's path, with the token that the shop gives; and the thread.
    async fn access(&self) -> (Api, String, String) {
        let ask =
            self.http.get(format!("{}/token", self.shop)).header(header::COOKIE, &self.cookie);
        let body: Value = ask.send().await.unwrap().json().await.unwrap();
        let text = |name: &str| body[name].as_str().expect(name).to_owned();
        let api = Api::new(&format!("{}/rethread", self.shop), &text("token"));
        (api, text("token"), text("thread"))
    }

    async fn order(&self, item: &str) {
        let ask = self.http.post(format!("{}/orders", self.shop)).json(&json!({ "item": item }));
        let answer = ask.header(header::COOKIE, &self.cookie).send().await.unwrap();
        assert_eq!(answer.status(), 202);
    }
}

const PACKED: [&str; 5] =
    ["agent_started", "tool_executing", "tool_completed", "message_delta", "agent_completed"];

#[tokio::test]
async fn an_order_is_followed_and_a_question_is_answered_by_agents_inside_the_shop() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(folder.path());
    let ada = Customer::log_in(&shop, "ada").await;
    let (api, token, thread) = ada.access().await;
    let mut stream = Sse::open(&api, &format!("/v1/threads/{thread}/events"), None).await;
    ada.order("a kettle").await;
    for kind in PACKED {
        assert_eq!(stream.event().await.event, kind);
    }

    let mut socket = Socket::welcomed(&format!("{}/rethread", shop.url), &token).await;
    let asked = json!({ "op": "send", "thread": thread, "text": "What have I ordered?",
                        "message_id": "0199108a-e818-71a0-9c10-5e2f7b10d43a" });
    assert_eq!(socket.ask(asked).await["op"], "sent");
    socket.send(json!({ "op": "subscribe", "thread": thread })).await;
    let events = socket.events_until(&thread, 1, 9).await;
    let answer = &events[7];
    assert_eq!(answer["data"]["text"], "You have ordered a kettle.");

    // With a stream and a socket open, it stops at once, and keeps what was said.
    shop.close().await;
    let shop = Shop::open(folder.path());
    let ada = Customer::log_in(&shop, "ada").await;
    let (api, _, thread) = ada.access().await;
    assert_eq!(api.log(&thread).await, events);
    shop.close().await;
}

#[tokio::test]
async fn the_shops_log_in_is_the_only_way_to_a_token_and_a_token_opens_only_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(folder.path());
    let nobody = Api::new(&shop.url, "none");
    for path in ["/token", "/rethread/v1/threads", "/rethread/v1/admin/health"] {
        assert_eq!(nobody.get(path).await.status, 401, "{path}");
    }
    assert_eq!(nobody.get("/rethread/v1/dev/token").await.code(), "not_found");
    assert_eq!(nobody.get("/rethread/readyz").await.status, 200);
    let page = nobody.get("/").await;
    assert!(page.body.as_str().expect("a page").contains("<title>The shop</title>"));

    let (ada, _, hers) = Customer::log_in(&shop, "ada").await.access().await;
    let (bob, _, his) = Customer::log_in(&shop, "bob").await.access().await;
    assert_eq!(ada.get(&format!("/v1/threads/{hers}/events")).await.status, 200);
    assert_eq!(bob.get(&format!("/v1/threads/{his}/events")).await.status, 200);
    let strangers = bob.get(&format!("/v1/threads/{hers}/events")).await;
    assert_eq!((strangers.status, strangers.code()), (404, "thread_not_found"));
    let publish = ada.post("/v1/events", &json!({ "run": "thread_x", "type": "custom" })).await;
    assert_eq!(publish.code(), "forbidden", "customers watch; they publish nothing");
    shop.close().await;
}

//! The HTTP endpoints, for a test.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// HTTP with one token.
#[derive(Clone, Debug)]
pub struct Api {
    client: reqwest::Client,
    url: String,
    token: String,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; its text where it is not JSON.
    pub body: Value,
}

impl Answer {
    /// The code of the error in the body.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_else(|| panic!("no error in {self:?}"))
    }
}

impl Api {
    /// To a server, with a token. Each request has a connection of its own, for a killed server's
    /// connections are of no more use.
    #[must_use]
    pub fn new(url: &str, token: &str) -> Self {
        Self { client: client(), url: url.to_owned(), token: token.to_owned() }
    }

    /// The same server with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// A request with the token, to be completed and sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.request(Method::POST, path).json(body)).await
    }

    /// POST of any text.
    pub async fn post_text(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<String>,
    ) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", content_type);
        answer(request.body(body.into())).await
    }

    /// Makes a thread, and gives its id.
    pub async fn thread(&self) -> String {
        let answer = self.post("/v1/threads", &json!({})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["thread"].as_str().expect("a thread's id").to_owned()
    }

    /// Makes a run, and gives its id.
    pub async fn run(&self, thread: &str) -> String {
        let answer = self.post(&format!("/v1/threads/{thread}/runs"), &json!({})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["run"].as_str().expect("a run's id").to_owned()
    }

    /// Publishes events that must all be stored, and gives their results.
    pub async fn publish(&self, events: &[Value]) -> Vec<Value> {
        let answer = self.post("/v1/events", &json!(events)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["results"].as_array().expect("results").clone()
    }

    /// The whole log of a thread, page by page; checks each page on its way.
    pub async fn log(&self, thread: &str) -> Vec<Value> {
        let mut events = Vec::new();
        let mut after = "0".to_owned();
        loop {
            let page =
                self.get(&format!("/v1/threads/{thread}/events?after={after}&limit=512")).await;
            assert_eq!(page.status, 200, "{page:?}");
            let body = page.body;
            for event in body["events"].as_array().expect("events") {
                events.push(event.clone());
                assert_eq!(event["seq"], events.len(), "the log of {thread} has a hole");
            }
            if body["more"] == false {
                assert_eq!(body["head"], events.len(), "the last page ends at the head");
                return events;
            }
            assert_eq!(body["last"], events.len());
            after = format!("{}:{}", body["epoch"].as_str().expect("an epoch"), body["last"]);
        }
    }
}

/// HTTP without a token, a connection for each request.
///
/// # Panics
/// When there can be none.
#[must_use]
pub fn client() -> reqwest::Client {
    // Only the first of a process is taken; the others are the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client")
}

/// Sends a request and reads what comes back.
///
/// # Panics
/// When nothing comes back.
pub async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    read(response).await
}

async fn read(response: Response) -> Answer {
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

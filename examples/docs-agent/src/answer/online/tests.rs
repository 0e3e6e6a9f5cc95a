//! The model is a peer on a loopback socket that speaks HTTP and the chat-completions stream.

use std::{path::Path, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use super::*;
use crate::{
    docs::Docs,
    voice::{
        Step,
        heard::{self, text, tools as tools_called},
    },
};

/// What the peer answers to one request.
enum Reply {
    /// Chunks of a stream, then `[DONE]`.
    Stream(Vec<Value>),
    /// Chunks, then the connection is cut.
    Cut(Vec<Value>),
    /// Chunks, then silence.
    Hang(Vec<Value>),
    /// A status and a body.
    Refuse(u16, &'static str),
}

struct Peer {
    url: String,
    requests: mpsc::UnboundedReceiver<(String, Value)>,
    /// Ends when the peer's client has hung up after the last reply.
    task: JoinHandle<()>,
}

async fn peer(replies: Vec<Reply>) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (seen, requests) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        for reply in replies {
            let (socket, _) = listener.accept().await.unwrap();
            let mut socket = BufReader::new(socket);
            seen.send(request(&mut socket).await).unwrap();
            respond(&mut socket, reply).await;
        }
    });
    Peer { url, requests, task }
}

async fn request(socket: &mut BufReader<TcpStream>) -> (String, Value) {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).await.unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

async fn respond(socket: &mut BufReader<TcpStream>, reply: Reply) {
    let (chunks, done) = match reply {
        Reply::Refuse(status, body) => {
            let head = format!(
                "HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            socket.write_all(head.as_bytes()).await.unwrap();
            return;
        }
        Reply::Stream(chunks) => (chunks, true),
        Reply::Cut(chunks) => (chunks, false),
        Reply::Hang(chunks) => {
            write_chunks(socket, chunks).await;
            // Until the other side hangs up.
            let mut rest = Vec::new();
            let _ = socket.read_to_end(&mut rest).await;
            return;
        }
    };
    write_chunks(socket, chunks).await;
    if done {
        write_chunk(socket, "data: [DONE]\n\n").await;
        socket.write_all(b"0\r\n\r\n").await.unwrap();
    }
}

async fn write_chunks(socket: &mut BufReader<TcpStream>, chunks: Vec<Value>) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    for chunk in chunks {
        write_chunk(socket, &format!("data: {chunk}\n\n")).await;
    }
}

async fn write_chunk(socket: &mut BufReader<TcpStream>, text: &str) {
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    socket.write_all(chunk.as_bytes()).await.unwrap();
    socket.flush().await.unwrap();
}

fn chunk(delta: Value, finish: Option<&str>) -> Value {
    json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
    })
}

fn usage(prompt: u32, completion: u32) -> Value {
    json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": {
            "prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    })
}

/// A turn that calls one tool, its arguments in two pieces as models send them.
fn calls(tool: &str, arguments: &str) -> Reply {
    let (first, second) = arguments.split_at(arguments.len() / 2);
    let call = |id: Option<&str>, name: Option<&str>, arguments: &str| {
        json!({ "tool_calls": [{
            "index": 0, "id": id, "type": "function",
            "function": { "name": name, "arguments": arguments },
        }] })
    };
    Reply::Stream(vec![
        chunk(call(Some("call_1"), Some(tool), first), None),
        chunk(call(None, None, second), None),
        chunk(json!({}), Some("tool_calls")),
        usage(100, 10),
    ])
}

fn says(words: &[&str]) -> Reply {
    let mut chunks: Vec<_> =
        words.iter().map(|word| chunk(json!({ "content": word }), None)).collect();
    chunks.push(chunk(json!({}), Some("stop")));
    chunks.push(usage(200, 20));
    Reply::Stream(chunks)
}

fn online(url: &str) -> Online {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let model = Model { name: "m".into(), base_url: url.into(), key: "secret".into() };
    Online::new(model, Tools::new(Docs::open(&folder).unwrap()))
}

async fn ask(online: &Online, text: &str) -> (Vec<Step>, Result<Answered, Failure>) {
    let (voice, steps) = Voice::new(Duration::ZERO);
    let before = vec![Turn::Person("Hi".into()), Turn::Agent("Hello.".into())];
    let question = Question { text: text.into(), before };
    let speak = async move { online.answer(&question, &voice).await };
    tokio::join!(heard::all(steps), speak)
}

#[tokio::test]
async fn the_model_calls_a_tool_and_then_answers() {
    let replies = vec![
        calls("search", r#"{"query":"feed subscription","limit":2}"#),
        says(&["A feed ", "is the ", "server's side."]),
    ];
    let mut peer = peer(replies).await;
    let (steps, answered) = ask(&online(&peer.url), "What is a feed?").await;
    let answered = answered.unwrap();
    assert_eq!(text(&steps), "A feed is the server's side.");
    assert_eq!(answered.result["tool_calls"], 1);
    let spent = json!({ "prompt_tokens": 300, "completion_tokens": 30, "total_tokens": 330 });
    assert_eq!(answered.usage, Some(spent));
    assert_eq!(tools_called(&steps), ["search"]);

    let (head, first) = peer.requests.recv().await.unwrap();
    assert!(head.starts_with("POST /v1/chat/completions "), "{head}");
    assert!(head.to_lowercase().contains("authorization: bearer secret"), "{head}");
    assert_eq!(first["stream"], true);
    let names: Vec<_> =
        first["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(names, ["search", "read_file", "calculate"]);
    let roles: Vec<_> =
        first["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);

    let (_, second) = peer.requests.recv().await.unwrap();
    let messages = second["messages"].as_array().unwrap();
    let [.., asked, output] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(asked["tool_calls"][0]["id"], "call_1");
    assert_eq!(output["tool_call_id"], "call_1");
    let found: Value = serde_json::from_str(output["content"].as_str().unwrap()).unwrap();
    assert_eq!(found["passages"][0]["file"], "vocabulary.md");
}

#[tokio::test]
async fn a_tools_error_goes_back_to_the_model() {
    for (arguments, why) in
        [(r#"{"path":"../../secret.md"}"#, "leads out of"), ("{\"path\": ", "not as expected")]
    {
        let mut peer = peer(vec![calls("read_file", arguments), says(&["Sorry."])]).await;
        let (steps, answered) = ask(&online(&peer.url), "Read it").await;
        answered.unwrap();
        let refused = |step: &Step| matches!(step, Step::ToolAnswered { result: Err(e), .. } if e.to_string().contains(why));
        assert!(steps.iter().any(refused), "{why}: {steps:?}");
        let _ = peer.requests.recv().await;
        let (_, second) = peer.requests.recv().await.unwrap();
        let output = second["messages"].as_array().unwrap().last().unwrap()["content"].to_string();
        assert!(output.contains(why), "{output}");
    }
}

#[tokio::test]
async fn a_model_that_only_calls_tools_is_stopped() {
    let call = || calls("calculate", r#"{"expression":"1+1"}"#);
    let mut peer = peer((0..MODEL_TURNS_MAX).map(|_| call()).collect()).await;
    let (_, answered) = ask(&online(&peer.url), "Loop").await;
    assert_eq!(answered.unwrap_err().code, "model_undecided");
    let mut last = Value::Null;
    while let Some((_, request)) = peer.requests.recv().await {
        last = request;
    }
    assert!(last.get("tools").is_none(), "the last turn may only answer");
}

#[tokio::test]
async fn failures_say_what_to_do() {
    let error = r#"{"error":{"message":"no","type":"x","param":null,"code":null}}"#;
    let half = || vec![chunk(json!({ "content": "Half an" }), None)];
    let too_long = vec![chunk(json!({ "content": "Half" }), Some("length"))];
    for (reply, code, says) in [
        (Reply::Refuse(401, error), "model_unauthorized", "OPENAI_API_KEY"),
        (Reply::Refuse(404, error), "model_not_found", "OPENAI_MODEL"),
        (Reply::Refuse(400, error), "model_failed", "no"),
        (Reply::Refuse(400, "<html>"), "model_failed", "chat-completions"),
        (Reply::Cut(half()), "model_broke_off", "broke off"),
        (Reply::Stream(half()), "model_broke_off", "broke off"),
        (Reply::Stream(too_long), "model_too_long", "limit"),
        (Reply::Stream(vec![chunk(json!({}), Some("stop"))]), "model_silent", "nothing"),
        (Reply::Stream(vec![json!({ "no": "chunk" })]), "model_failed", "chat-completions"),
    ] {
        let peer = peer(vec![reply]).await;
        let (_, answered) = ask(&online(&peer.url), "What?").await;
        let failure = answered.unwrap_err();
        assert_eq!(failure.code, code, "{failure}");
        assert!(failure.message.contains(says), "{failure}");
        assert!(!failure.message.contains("secret"), "the key stays where it is");
    }
}

#[tokio::test]
async fn dropping_the_answer_hangs_up_on_the_model() {
    let peer = peer(vec![Reply::Hang(vec![chunk(json!({ "content": "Well" }), None)])]).await;
    let online = online(&peer.url);
    let (voice, mut heard) = Voice::new(Duration::ZERO);
    let question = Question { text: "What?".into(), before: vec![] };
    tokio::select! {
        answered = online.answer(&question, &voice) => panic!("{answered:?}"),
        () = async {
            while !matches!(heard.recv().await, Some(Step::Text(_))) {}
        } => {}
    }
    // The peer's task ends when its client has hung up.
    peer.task.await.unwrap();
}

//! The native client against the real server, over a network that cuts, stalls and loses its server.

use std::time::Duration;

use rethread_client::native::{Client, Config, Delivery, Emitter, Error, Start, Status};
use rethread_shared::{RunId, ThreadId};
use rethread_tests::{make, proxy::Proxy, server::Server, until, within};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

/// Short, so that a silent network is found out soon.
const HEARTBEAT: [&str; 2] = ["--heartbeat", "250ms"];

async fn connect(url: &str, server: &Server) -> Client {
    within("a connection", Client::connect(Config::new(url, server.token()))).await.unwrap()
}

/// Follows a thread through a client; the record grows as events come.
async fn record(client: &Client, thread: &ThreadId) -> watch::Receiver<Vec<Value>> {
    let mut events = client.subscribe(thread, Start::Beginning).await.unwrap();
    let (sender, record) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while let Some(delivery) = events.next().await {
            let Delivery::Events(batch) = delivery else { panic!("{delivery:?}") };
            assert_eq!(batch.last - batch.first + 1, batch.events.len() as u64);
            let batch: Vec<_> =
                batch.events.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
            sender.send_modify(|record| record.extend(batch));
        }
    });
    record
}

async fn seen(record: &mut watch::Receiver<Vec<Value>>, count: usize) -> Vec<Value> {
    let what = format!("event {count}");
    within(&what, record.wait_for(|record| record.len() >= count)).await.unwrap().clone()
}

/// An agent that works until it is told to stop: thoughts, tools, an answer in pieces.
fn agent(run: Emitter, stop: watch::Receiver<bool>) -> JoinHandle<Result<u64, Error>> {
    tokio::spawn(async move {
        run.agent_started("docs", Some("Here I go.")).await?;
        let message = run.message();
        let mut round = 0;
        while !*stop.borrow() {
            run.thinking(&format!("thought {round}")).await?;
            let call = run.tool("search", &json!({ "round": round })).await?;
            message.delta(&format!("piece {round} ")).await?;
            call.completed(&json!({ "found": round })).await?;
            round += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        run.completed(Some(&json!({ "rounds": round })), None).await?;
        run.flush().await?;
        Ok(round)
    })
}

/// What the agent did, each once and in order.
fn check(log: &[Value], rounds: u64) {
    assert_eq!(log.len() as u64, 2 + 4 * rounds);
    for (round, events) in log[1..log.len() - 1].chunks(4).enumerate() {
        let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["agent_thinking", "tool_executing", "message_delta", "tool_completed"]);
        assert_eq!(events[0]["data"]["text"], format!("thought {round}"));
        assert_eq!(events[3]["data"]["output"]["found"], round);
        assert_eq!(events[1]["data"]["call_id"], events[3]["data"]["call_id"]);
    }
}

/// An agent and a watcher, each behind the same proxy.
struct Stage {
    server: Server,
    proxy: Proxy,
    thread: ThreadId,
    watches: Client,
    record: watch::Receiver<Vec<Value>>,
    stop: watch::Sender<bool>,
    agent: JoinHandle<Result<u64, Error>>,
}

impl Stage {
    async fn set() -> Self {
        let server = Server::start_with(&HEARTBEAT);
        let proxy = Proxy::start(server.port()).await;
        let api = server.api();
        let thread: ThreadId = api.thread().await.parse().unwrap();
        let run: RunId = api.run(thread.as_str()).await.parse().unwrap();
        let works = connect(&proxy.url(), &server).await;
        let watches = connect(&proxy.url(), &server).await;
        let record = record(&watches, &thread).await;
        let (stop, stopped) = watch::channel(false);
        let agent = agent(works.emitter(run), stopped);
        let mut stage = Self { server, proxy, thread, watches, record, stop, agent };
        stage.goes_on().await;
        stage
    }

    /// Waits until more events have come.
    async fn goes_on(&mut self) {
        let before = self.record.borrow().len();
        seen(&mut self.record, before + 10).await;
    }

    /// Lets the agent end, and compares what it did, what was seen, and the log.
    async fn end(mut self) {
        self.stop.send(true).unwrap();
        let rounds = within("the last acknowledgement", self.agent).await.unwrap().unwrap();
        let log = self.server.api().log(self.thread.as_str()).await;
        check(&log, rounds);
        assert_eq!(seen(&mut self.record, log.len()).await, log);
        println!("{} events", log.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_cuts_lose_and_double_nothing() {
    let mut stage = Stage::set().await;
    for _ in 0..10 {
        stage.proxy.cut();
        stage.goes_on().await;
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_stall_is_noticed_and_repaired() {
    let mut stage = Stage::set().await;
    for _ in 0..2 {
        let mut status = stage.watches.watch_status();
        stage.proxy.stall();
        // No close comes; silence is all there is to see.
        within("the silence to be noticed", status.wait_for(|status| *status != Status::Online))
            .await
            .unwrap();
        stage.proxy.resume();
        stage.goes_on().await;
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_or_stops_and_returns_has_everything() {
    let mut stage = Stage::set().await;
    for round in 0..4 {
        if round % 2 == 0 {
            stage.server.kill();
        } else {
            assert!(stage.server.stop().await.success());
        }
        stage.server.restart();
        stage.goes_on().await;
    }
    stage.end().await;
}

#[tokio::test]
async fn work_is_taken_and_cancelled_across_a_crash() {
    let mut server = Server::start_with(&HEARTBEAT);
    let api = server.api();
    let thread: ThreadId = api.thread().await.parse().unwrap();
    let person = connect(&server.url(), &server).await;
    let docs = connect(&server.url(), &server).await;
    let mut work = docs.serve("docs").await.unwrap();
    let sent = person.send(&thread, "What is a log?", Some("docs")).await.unwrap();
    let taken = within("work", work.next()).await.unwrap();
    assert_eq!((&taken.run, taken.message.text.as_str()), (&sent.run, "What is a log?"));
    let run = docs.emitter(&taken.run);
    run.agent_started("docs", None).await.unwrap();
    run.flush().await.unwrap();
    server.kill();
    server.restart();
    run.thinking("still here").await.unwrap();
    run.flush().await.unwrap();
    let cancelled = run.cancelled();
    let seq = within("the cancel", person.cancel(&sent.run, Some("enough"))).await.unwrap();
    within("word of the cancel", cancelled).await;
    assert_eq!(seq, 4);
    let again =
        person.send_as(sent.message_id, &thread, "What is a log?", Some("docs")).await.unwrap();
    assert_eq!((again.run, again.seq), (sent.run, sent.seq), "said once");
    let kinds: Vec<_> =
        api.log(thread.as_str()).await.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["user_message", "agent_started", "agent_thinking", "agent_cancelled"]);
}

#[tokio::test]
async fn refusals_come_back_as_errors() {
    let server = Server::start();
    let client = connect(&server.url(), &server).await;
    let nowhere: ThreadId = make::thread().parse().unwrap();
    let refusal = |error: Error| match error {
        Error::Refused(error) => error.code.to_string(),
        other => panic!("{other}"),
    };
    let refused = client.subscribe(&nowhere, Start::Beginning).await.unwrap_err();
    assert_eq!(refusal(refused), "thread_not_found");
    assert_eq!(refusal(client.send(&nowhere, "t", None).await.unwrap_err()), "thread_not_found");
    let run: RunId = make::run(nowhere.as_str()).parse().unwrap();
    assert_eq!(refusal(client.cancel(&run, None).await.unwrap_err()), "run_not_found");
    let emitter = client.emitter(&run);
    emitter.thinking("into nothing").await.unwrap();
    let Err(Error::Undelivered { count, error, .. }) = emitter.flush().await else {
        panic!("it cannot have been delivered");
    };
    assert_eq!((count, error.code.as_str()), (1, "thread_not_found"));
    let refused = Client::connect(Config::new(server.url(), "nonsense")).await.unwrap_err();
    assert!(matches!(refused, Error::Closed(_)), "{refused}");
    until("the end of all connections", || async {
        let ready = server.api().get("/readyz").await;
        (ready.body["connections"] == 1).then_some(())
    })
    .await;
}

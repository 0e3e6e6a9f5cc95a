//! Questions and their answers through crashes: each is asked once, worked on, and ended once.

use std::{collections::HashMap, time::Duration};

use rand::{RngExt, SeedableRng};
use rethread_client::native::{Client, Config, Error};
use rethread_shared::ThreadId;
use rethread_tests::{server::Server, until, within};
use serde_json::{Value, json};
use tokio::sync::watch;

const ROUNDS: usize = 8;

/// Asks one question after the other; gives how many got their place.
async fn ask(
    client: Client,
    thread: ThreadId,
    asked: watch::Sender<u64>,
    stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        let text = format!("question {}", *asked.borrow());
        client.send(&thread, text, Some("docs")).await.expect("a question is taken");
        asked.send_modify(|asked| *asked += 1);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Answers what comes. Work may come twice: the second time its start is refused, and it is left
/// alone.
async fn answer(client: Client) {
    let mut work = client.serve("docs").await.expect("serving is allowed");
    while let Some(work) = work.next().await {
        let run = client.emitter(work.run);
        tokio::spawn(async move {
            run.agent_started("docs", None).await?;
            run.flush().await?;
            let call = run.tool("search", &json!({ "for": work.message.text })).await?;
            call.completed(&json!([])).await?;
            run.message().delta(&format!("answer to {}", work.message.text)).await?;
            run.completed(None, None).await?;
            run.flush().await?;
            Ok::<(), Error>(())
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_question_is_asked_and_answered_once() {
    let seed = match std::env::var("RETHREAD_SEED") {
        Ok(seed) => seed.parse().expect("RETHREAD_SEED is a number"),
        Err(_) => rand::random::<u64>(),
    };
    println!("RETHREAD_SEED={seed}");
    let mut rng = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
    let mut server = Server::start_with(&["--agent-grace", "60s"]);
    let api = server.api();
    let thread: ThreadId = api.thread().await.parse().unwrap();
    let client = async |server: &Server| {
        let connecting = Client::connect(Config::new(server.url(), server.token()));
        within("a connection", connecting).await.unwrap()
    };
    let (person, docs) = (client(&server).await, client(&server).await);
    tokio::spawn(answer(docs.clone()));
    let (asked, mut progress) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let asking = tokio::spawn(ask(person.clone(), thread.clone(), asked, stopped));
    for _ in 0..ROUNDS {
        let before = *progress.borrow();
        within("more questions", progress.wait_for(|asked| *asked > before + 5)).await.unwrap();
        // The moment is the point here: anything may be under way in it.
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..40_000))).await;
        server.kill();
        server.restart();
    }
    stop.send(true).unwrap();
    within("the last question", asking).await.unwrap();
    let asked = *progress.borrow();

    let log = until("all answers", || async {
        let log = api.log(thread.as_str()).await;
        let ended = log.iter().filter(|event| event["type"] == "agent_completed").count() as u64;
        (ended >= asked).then_some(log)
    })
    .await;
    println!("{asked} questions, {} events", log.len());
    let mut runs: HashMap<&str, Vec<&Value>> = HashMap::new();
    for event in &log {
        runs.entry(event["run"].as_str().unwrap()).or_default().push(event);
    }
    assert_eq!(runs.len() as u64, asked, "a run for each question");
    let mut questions = Vec::new();
    for events in runs.values() {
        let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        let whole = [
            "user_message",
            "agent_started",
            "tool_executing",
            "tool_completed",
            "message_delta",
            "agent_completed",
        ];
        assert_eq!(kinds, whole);
        let question = events[0]["data"]["text"].as_str().unwrap();
        assert_eq!(events[4]["data"]["text"], format!("answer to {question}"));
        questions.push(question);
    }
    questions.sort_unstable();
    questions.dedup();
    assert_eq!(questions.len() as u64, asked, "each was asked once");
    person.close().await;
    docs.close().await;
}

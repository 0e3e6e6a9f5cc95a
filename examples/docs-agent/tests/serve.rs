//! The agent as a process of its own, at a real server.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use rethread_client::native::{Client, Config, Delivery, Start};
use rethread_shared::{Event, EventKind, Payload, RunId, ThreadId};
use rethread_tests::{server::Server, until, within};

fn documents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// A `docs-agent` process. Killed when dropped.
struct Agent(Child);

impl Agent {
    fn start(server: &Server, pace_ms: u32) -> Self {
        let child = command()
            .args(["--url", &server.url(), "--token", &server.token()])
            .args(["--pace-ms", &pace_ms.to_string()])
            .arg("--docs")
            .arg(documents())
            .spawn()
            .expect("docs-agent can be run");
        Self(child)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docs-agent"));
    command.stdin(Stdio::null()).env("RUST_LOG", "warn");
    for name in ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "RETHREAD_TOKEN"] {
        command.env_remove(name);
    }
    command
}

/// A person with a chat window.
struct Person {
    client: Client,
    thread: ThreadId,
}

impl Person {
    async fn new(server: &Server) -> Self {
        let config = Config::new(server.url(), server.token());
        let client = within("a connection", Client::connect(config)).await.unwrap();
        let thread = server.api().thread().await.parse().unwrap();
        Self { client, thread }
    }

    async fn ask(&self, text: &str) -> RunId {
        let sent = self.client.send(&self.thread, text, Some("docs"));
        within("the message to be taken", sent).await.unwrap().run
    }

    /// The events of a run, until `enough`.
    async fn watch(&self, run: &RunId, enough: impl Fn(&Event) -> bool) -> Vec<Event> {
        let follow = async {
            let mut thread = self.client.subscribe(&self.thread, Start::Beginning).await.unwrap();
            let (mut seq, mut seen) = (0, Vec::new());
            while let Some(delivery) = thread.next().await {
                let Delivery::Events(batch) = delivery else { panic!("{delivery:?}") };
                for event in batch.events {
                    seq += 1;
                    assert_eq!(event.seq, seq, "no hole, nothing twice");
                    if event.run == *run {
                        seen.push(event);
                        if enough(seen.last().unwrap()) {
                            return seen;
                        }
                    }
                }
            }
            panic!("the subscription ended: {:?}", thread.error());
        };
        within("the run's events", follow).await
    }

    async fn answer(&self, run: &RunId) -> Vec<Event> {
        self.watch(run, |event| event.kind.is_end()).await
    }
}

fn text(events: &[Event]) -> String {
    let text = |event: &Event| match event.payload().unwrap() {
        Payload::MessageDelta(delta) => Some(delta.text.into_owned()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

fn count(events: &[Event], kind: &EventKind) -> usize {
    events.iter().filter(|event| event.kind == *kind).count()
}

#[tokio::test]
async fn a_question_is_answered_with_tools_and_a_second_one_goes_on_from_it() {
    let server = Server::start();
    let _agent = Agent::start(&server, 0);
    let person = Person::new(&server).await;

    let events = person.answer(&person.ask("What is an epoch?").await).await;
    assert_eq!(events[0].kind, EventKind::UserMessage);
    assert_eq!(events[1].kind, EventKind::AgentStarted);
    assert_eq!(events.last().unwrap().kind, EventKind::AgentCompleted, "{events:?}");
    let tools: Vec<_> = events
        .iter()
        .filter_map(|event| match event.payload().unwrap() {
            Payload::ToolExecuting(tool) => Some(tool.tool.into_owned()),
            Payload::ToolCompleted(tool) => {
                assert!(tool.output.is_some() && tool.took_ms.is_some(), "{event:?}");
                None
            }
            _ => None,
        })
        .collect();
    assert_eq!(tools[..2], ["search", "read_file"]);
    assert_eq!(count(&events, &EventKind::ToolCompleted), tools.len());
    assert!(count(&events, &EventKind::AgentThinking) > 1);
    let first = text(&events);
    assert!(first.contains("one incarnation of a log"), "{first}");
    assert!(first.contains("`vocabulary.md:"), "{first}");

    // It has no word of its own, so the answer needs the question before.
    let events = person.answer(&person.ask("And why is that?").await).await;
    assert_eq!(text(&events), first);
}

#[tokio::test]
async fn a_cancelled_run_stops_and_the_agent_goes_on() {
    let server = Server::start();
    // So slow that the first answer would take minutes.
    let _agent = Agent::start(&server, 3_000);
    let person = Person::new(&server).await;
    let run = person.ask("What is a feed?").await;
    person.watch(&run, |event| event.kind == EventKind::AgentThinking).await;
    within("the cancel", person.client.cancel(&run, Some("enough"))).await.unwrap();
    let events = person.answer(&run).await;
    assert_eq!(events.last().unwrap().kind, EventKind::AgentCancelled);
    let next = person.ask("What is a run?").await;
    person.watch(&next, |event| event.kind == EventKind::AgentThinking).await;
}

#[tokio::test]
async fn an_answer_survives_the_servers_death() {
    let mut server = Server::start();
    let _agent = Agent::start(&server, 20);
    let person = Person::new(&server).await;
    let whole = text(&person.answer(&person.ask("What is a feed?").await).await);

    let run = person.ask("What is a feed?").await;
    for kind in [EventKind::AgentThinking, EventKind::MessageDelta] {
        person.watch(&run, |event| event.kind == kind).await;
        server.kill();
        server.restart();
    }
    let events = person.answer(&run).await;
    assert_eq!(events.last().unwrap().kind, EventKind::AgentCompleted, "{events:?}");
    assert_eq!(count(&events, &EventKind::AgentStarted), 1);
    assert_eq!(text(&events), whole, "nothing is missing and nothing is there twice");
}

#[tokio::test]
async fn more_questions_than_places_are_all_answered() {
    let server = Server::start();
    let _agent = Agent::start(&server, 5);
    let mut asked = Vec::new();
    for _ in 0..20 {
        let person = Person::new(&server).await;
        let run = person.ask("How are duplicate events detected?").await;
        asked.push((person, run));
    }
    for (person, run) in asked {
        let events = person.answer(&run).await;
        assert_eq!(events.last().unwrap().kind, EventKind::AgentCompleted, "{events:?}");
        assert!(text(&events).contains("stored once"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_stopping_agent_ends_its_runs() {
    let server = Server::start();
    let mut agent = Agent::start(&server, 3_000);
    let person = Person::new(&server).await;
    let run = person.ask("What is a feed?").await;
    person.watch(&run, |event| event.kind == EventKind::AgentThinking).await;
    let pid = agent.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let events = person.answer(&run).await;
    let Payload::AgentFailed(failed) = events.last().unwrap().payload().unwrap() else {
        panic!("{events:?}");
    };
    assert_eq!(failed.code, "agent_stopped");
    let status = until("its end", || std::future::ready(agent.0.try_wait().unwrap())).await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn what_cannot_work_says_what_to_do() {
    let server = Server::start();
    let url = server.url();
    let documents = documents().display().to_string();
    let run = |args: Vec<String>| async {
        let run = || command().args(args).output().expect("docs-agent can be run");
        within("its end", tokio::task::spawn_blocking(run)).await.unwrap()
    };
    let args = |args: &[&str]| args.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (args, says) in [
        (args(&["--docs", "/no/such/folder"]), "--docs"),
        (args(&["--url", "nonsense", "--docs", &documents]), "no address"),
        (args(&["--url", &url, "--docs", &documents, "--token", "x"]), "rethread token"),
        // This server gives out no tokens by itself.
        (args(&["--url", &url, "--docs", &documents]), "--dev"),
    ] {
        let shown = format!("{args:?}");
        let Output { status, stderr, .. } = run(args).await;
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(!status.success(), "{shown}");
        assert!(stderr.contains(says), "{shown}: {stderr}");
    }
}

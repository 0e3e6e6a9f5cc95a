//! The commands that README.md, PROTOCOL.md and docs/*.md tell people to type do what they say.
//!
//! How to write a block so that it is run:
//!
//! - ```` ```sh ```` is run by bash, all blocks of a document one after the other in one shell, in an
//!   empty folder. Each command must succeed (`curl` fails when the answer's status is 400 or more).
//! - ```` ```console ```` has commands behind `$ ` (they go on behind `> `), each followed by what it
//!   prints. The commands are run with those of the `sh` blocks; what they print is compared by shape:
//!   JSON by its members and their types (arrays by their first element), other text line by line,
//!   where numbers, ids, times and paths may differ and `…` stands for anything.
//! - ```` ```sh not-run: WHY ```` is not run. Few may be: what needs another machine, root, or minutes.
//!
//! `rethread` (also as `cargo run --release --`) is the binary under test. A server of the test's own
//! is at `127.0.0.1:4242` (the port is replaced by a free one, as is every other port of
//! `127.0.0.1:PORT`), unless the document starts one itself with `rethread serve … &`. Set are
//! `RETHREAD_SECRET`, `HOST`, `AUTH` (a header with a token of ada's: subscribe, send, publish, serve),
//! and `ADMIN` (the same with the scope admin, for all threads). What follows for ever (`curl -N`,
//! `rethread tail`, without `&`) is stopped after a second or two, and that is no failure.

use std::process::{Command, Output};

use rethread_tests::{
    api::Api,
    server::{Server, token},
};

const README: &str = include_str!("../../README.md");
const PROTOCOL: &str = include_str!("../../PROTOCOL.md");

/// The shell blocks that speak HTTP, as one script; those that set the stage are replaced by the
/// variables of the test.
fn script(document: &str) -> String {
    let blocks = document.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let commands: String =
        blocks.filter(|block| block.contains("curl") && !block.contains("HOST=")).collect();
    // A stream of events has no end of its own.
    commands.replace("curl -sN", "timeout 2 curl -sN --max-time 1")
}

fn run(server: &Server, script: &str) -> Output {
    // --fail-with-body: an answer that is an error is a failure, and still shown.
    let script = format!("curl() {{ command curl --fail-with-body \"$@\"; }}\n{script}");
    Command::new("bash")
        .args(["-u", "-c", &script])
        .env("HOST", server.url())
        .env("AUTH", format!("Authorization: Bearer {}", server.token_of("ada")))
        .env(
            "ADMIN",
            format!("Authorization: Bearer {}", token(&["--user", "olga", "--scope", "admin"])),
        )
        .output()
        .expect("bash and curl are there")
}

async fn kinds(server: &Server, thread: &str) -> Vec<String> {
    let log = Api::new(&server.url(), &server.token_of("ada")).log(thread).await;
    log.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_readme_publishes_a_run_and_reads_it_back() {
    let server = Server::start();
    let script = script(README);
    assert_eq!(script.matches("curl").count(), 4, "{script}");
    let output = run(&server, &format!("set -e\n{script}"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{output:?}");
    assert!(text.contains(r#""text":"Hello.""#), "it is read back: {text}");
    assert_eq!(
        kinds(&server, "thread_hello").await,
        ["agent_started", "message_delta", "agent_completed"]
    );
}

#[tokio::test]
async fn the_protocols_commands_work_in_their_order() {
    let server = Server::start();
    let script = script(PROTOCOL);
    assert!(script.matches("curl").count() >= 5, "{script}");
    let output = run(&server, &script);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains(r#""error""#), "{text}");
    for part in [
        r#""title":"Network drops""#,
        "_run_",
        r#""results":"#,
        r#""more":"#,
        "event: agent_started",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert_eq!(
        kinds(&server, "thread_13679e4dcc38403a").await,
        ["agent_started", "message_delta", "agent_completed"]
    );
}

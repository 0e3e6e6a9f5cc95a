//! The examples beside this one, in the languages they are written in, at a real server.

use std::{path::Path, process::Command};

use rethread_tests::{server::Server, within};
use serde_json::Value;

/// Runs an example; gives what it wrote, and the log of the thread that it names.
async fn run(server: &Server, program: &str, args: &[&str]) -> (String, Vec<Value>) {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .env("URL", server.url())
        .env("TOKEN", server.token())
        .env_remove("THREAD");
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = within("the example's end", run).await.unwrap().expect("it can be run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let thread = said.split_whitespace().find(|word| word.starts_with("thread_")).unwrap();
    let log = server.api().log(thread).await;
    (said, log)
}

fn kinds(log: &[Value]) -> Vec<&str> {
    log.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn curl_publishes_a_run_and_reads_it_back() {
    let server = Server::start();
    let (said, log) = run(&server, "bash", &["curl/publish.sh"]).await;
    let expected = [
        "agent_started",
        "agent_thinking",
        "tool_executing",
        "tool_completed",
        "message_delta",
        "message_delta",
        "agent_completed",
    ];
    assert_eq!(kinds(&log), expected);
    assert!(said.contains("\"duplicate\":true"), "{said}");
    assert!(said.contains("run_unresolved"), "{said}");
}

#[tokio::test]
async fn python_publishes_a_run() {
    let server = Server::start();
    let (said, log) =
        run(&server, "python3", &["-B", "python/agent.py", "Three", "little", "words"]).await;
    assert_eq!(kinds(&log)[..2], ["agent_started", "agent_thinking"]);
    let last = log.last().unwrap();
    assert_eq!(
        (&last["type"], &last["data"]["result"]["words"]),
        (&"agent_completed".into(), &3.into())
    );
    assert!(said.contains("agent_completed"), "{said}");
}

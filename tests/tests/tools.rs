//! The tools of `rethread` against a real server: what they print, how they end.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use rethread_client::{Client, Config};
use rethread_tests::{
    make,
    server::{SECRET, Server, binary, token},
    until, within,
};
use serde_json::{Value, json};

/// A command against this server, with a token for everything but operating it.
fn command(server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(args).env("RETHREAD_URL", server.url()).env("RETHREAD_TOKEN", server.token());
    command
}

fn rethread(server: &Server, args: &[&str]) -> Output {
    command(server, args).output().unwrap()
}

/// The same with an operator's token.
fn operate(server: &Server, args: &[&str]) -> Output {
    let admin = token(&["--user", "olga", "--scope", "admin,subscribe", "--all-threads"]);
    command(server, args).env("RETHREAD_TOKEN", admin).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// A command that goes on, line by line.
struct Going {
    child: Child,
    lines: tokio::sync::mpsc::UnboundedReceiver<String>,
    errors: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Going {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = read(child.stdout.take().unwrap());
        let errors = read(child.stderr.take().unwrap());
        Self { child, lines, errors }
    }

    async fn line(&mut self) -> String {
        within("a line", self.lines.recv()).await.expect("the command goes on")
    }

    async fn error(&mut self) -> String {
        within("a line on standard error", self.errors.recv()).await.expect("it goes on")
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }

    async fn end(&mut self) -> ExitStatus {
        let mut ended = || self.child.try_wait().unwrap();
        until("the command's end", || std::future::ready(ended())).await
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(from: impl std::io::Read + Send + 'static) -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            if line.is_err() || sender.send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    lines
}

#[test]
fn every_command_has_help_and_none_of_it_shows_a_secret() {
    let help = |args: &[&str]| {
        let output = Command::new(binary())
            .args(args)
            .env("RETHREAD_SECRET", SECRET)
            .env("RETHREAD_TOKEN", "sesame-open")
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        let text = text(&output.stdout);
        assert!(!text.contains(SECRET) && !text.contains("sesame-open"), "{text}");
        text
    };
    let all = help(&["--help"]);
    let list = all.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() >= 18, "{commands:?}");
    assert!(all.contains("Exit codes:"), "{all}");
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man");
    assert!(Command::new(binary()).arg("man").arg(&pages).status().unwrap().success());
    for command in commands {
        if command == "help" {
            continue;
        }
        let text = help(&[command, "--help"]);
        assert!(text.contains(&format!("Usage: rethread {command}")), "{text}");
        let page = fs::read_to_string(pages.join(format!("rethread-{command}.1"))).unwrap();
        assert!(page.starts_with(".ie") && page.contains("SYNOPSIS"), "{page}");
        if !["serve", "config"].contains(&command) {
            assert!(text.contains("Example"), "{command} shows how it is used: {text}");
        }
    }
}

#[test]
fn completions_are_scripts_of_their_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = Command::new(binary()).args(["completions", shell]).output().unwrap();
        let script = text(&output.stdout);
        assert!(output.status.success() && script.contains("resolve"), "{shell}: {script}");
        if shell == "bash" {
            let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
            bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            assert!(bash.wait().unwrap().success(), "bash reads it");
        }
    }
}

#[tokio::test]
async fn tail_follows_through_a_restart_and_ends_with_ctrl_c() {
    let mut server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let first = make::whole_run(&make::run(&thread), 12);
    api.publish(&first).await;
    let mut tail =
        Going::start(&mut command(&server, &["tail", &thread, "--after", "start", "--json"]));
    let mut seqs = Vec::new();
    for _ in 0..first.len() {
        let event: Value = serde_json::from_str(&tail.line().await).unwrap();
        seqs.push(event["seq"].as_u64().unwrap());
    }
    server.kill();
    assert!(tail.error().await.contains("connection lost"), "it says so");
    server.restart();
    assert!(tail.error().await.contains("connected again"), "and that it is back");
    api.publish(&make::whole_run(&make::run(&thread), 1)).await;
    for _ in 0..3 {
        let event: Value = serde_json::from_str(&tail.line().await).unwrap();
        seqs.push(event["seq"].as_u64().unwrap());
    }
    assert_eq!(seqs, (1..=17).collect::<Vec<_>>(), "each once, in order");
    tail.interrupt();
    assert_eq!(tail.end().await.code(), Some(0), "to stop following is no failure");
}

#[tokio::test]
async fn tail_begins_where_it_is_told_and_nothing_of_others_speaks_to_the_terminal() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = make::run(&thread);
    let mut events = make::whole_run(&run, 20);
    events[20] = make::thinking(&run, "a\u{1b}[2Jb\nc");
    api.publish(&events).await;
    let epoch = api.get(&format!("/v1/threads/{thread}/events?limit=1")).await.body["epoch"]
        .as_str()
        .unwrap()
        .to_owned();
    let seqs = |more: &[&str]| {
        let output = rethread(&server, &[&["tail", &thread, "--no-follow"], more].concat());
        assert_eq!(code(&output), Some(0), "{output:?}");
        let text = text(&output.stdout);
        let seqs = text.lines().map(|line| line.split_whitespace().next().unwrap().to_owned());
        (seqs.collect::<Vec<_>>(), text)
    };
    let (last, shown) = seqs(&[]);
    assert_eq!(last, (13..=22).map(|seq| seq.to_string()).collect::<Vec<_>>(), "the last ten");
    assert!(shown.contains(r"a\u{1b}[2Jb\nc") && !shown.contains('\u{1b}'), "{shown}");
    assert_eq!(seqs(&["--after", "start"]).0.len(), 22);
    assert_eq!(seqs(&["--after", "now"]).0.len(), 0);
    assert_eq!(seqs(&["--after", "20"]).0, ["21", "22"]);
    assert_eq!(seqs(&["--after", &format!("{epoch}:21")]).0, ["22"]);
    let (_, lost) = seqs(&["--after", "00000001:21"]);
    assert!(lost.contains("the thread begins anew (epoch_changed)"), "{lost}");
    // A pipe that nobody reads any more is no failure.
    let pipe = format!(
        "set -o pipefail; '{}' tail {thread} --no-follow --after start | head -1",
        binary().display()
    );
    let output = command(&server, &[]).args(["--version"]).output().unwrap();
    assert!(output.status.success());
    let output = Command::new("bash")
        .args(["-c", &pipe])
        .env("RETHREAD_URL", server.url())
        .env("RETHREAD_TOKEN", server.token())
        .output()
        .unwrap();
    assert_eq!((code(&output), output.stderr.len()), (Some(0), 0), "{output:?}");
}

#[tokio::test]
async fn publish_tells_each_refusal_with_its_line_and_repeats_without_harm() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = make::run(&thread);
    let one = rethread(&server, &["publish", &run, "agent_started", r#"{"agent":"test"}"#]);
    assert_eq!(code(&one), Some(0), "{one:?}");
    assert_eq!(text(&one.stderr), "1 stored, 0 refused\n");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.ndjson");
    let line = |kind: &str, data: Value| json!({ "run": run, "type": kind, "data": data });
    let lines = [
        line("agent_thinking", json!({ "text": "a" })).to_string(),
        String::new(),
        "nonsense".to_owned(),
        line("tool_completed", json!({ "call_id": "none" })).to_string(),
        line("agent_thinking", json!({ "text": "b" })).to_string(),
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    let path = file.to_str().unwrap();
    for round in ["2 stored, 2 refused", "2 stored (2 of them before), 2 refused"] {
        let output = rethread(&server, &["publish", "--file", path, "--key", "k", "--json"]);
        let says = text(&output.stderr);
        assert_eq!(code(&output), Some(1), "{output:?}");
        assert!(says.contains("line 3: bad_event"), "{says}");
        assert!(says.contains("line 4: run_order"), "{says}");
        assert!(says.ends_with(&format!("{round}\n")), "{says}");
        let outcomes: Vec<Value> =
            text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(outcomes.len(), 4);
    }
    assert_eq!(api.log(&thread).await.len(), 3);

    // A program that goes on: what it has said is stored before it says more.
    let mut agent = Going::start(&mut command(&server, &["publish", "--json"]));
    let mut stdin = agent.child.stdin.take().unwrap();
    writeln!(stdin, "{}", line("agent_thinking", json!({ "text": "c" }))).unwrap();
    let stored: Value = serde_json::from_str(&agent.line().await).unwrap();
    assert_eq!(stored["seq"], 4);
    writeln!(stdin, "{}", line("agent_completed", json!({}))).unwrap();
    drop(stdin);
    assert_eq!(serde_json::from_str::<Value>(&agent.line().await).unwrap()["seq"], 5);
    assert_eq!(agent.end().await.code(), Some(0));
}

#[tokio::test]
async fn many_events_are_published_once_though_the_server_is_killed_between() {
    let mut server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let run = make::run(&thread);
    let mut publish = Going::start(&mut command(&server, &["publish"]));
    let mut stdin = publish.child.stdin.take().unwrap();
    let mut events = vec![make::started(&run)];
    for n in 0..20_000 {
        events.push(
            json!({ "run": run, "type": "agent_thinking", "data": { "text": n.to_string() } }),
        );
    }
    let lines: Vec<_> = events.iter().map(ToString::to_string).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.join("\n").as_bytes()).unwrap());
    let head = |api: rethread_tests::api::Api, thread: String| async move {
        let page = api.get(&format!("/v1/threads/{thread}/events?limit=1")).await;
        page.body["head"].as_u64().unwrap_or_default()
    };
    until("some of it is stored", || async {
        (head(api.clone(), thread.clone()).await > 500).then_some(())
    })
    .await;
    server.kill();
    server.restart();
    assert_eq!(publish.end().await.code(), Some(0));
    writer.join().unwrap();
    let log = api.log(&thread).await;
    assert_eq!(log.len(), events.len());
    for (n, event) in log[1..].iter().enumerate() {
        assert_eq!(event["data"]["text"], n.to_string(), "in order, once");
    }
}

#[tokio::test]
async fn send_prints_the_run_and_waits_for_the_answer() {
    let server = Server::start();
    let thread = server.api().thread().await;
    let sent = rethread(&server, &["send", &thread, "anybody?", "--agent", "nobody"]);
    assert_eq!(code(&sent), Some(0), "{sent:?}");
    let run = text(&sent.stdout).trim().to_owned();
    assert!(run.starts_with(&format!("{thread}_run_")), "{run}");
    let waited = rethread(
        &server,
        &["send", &thread, "anybody?", "--agent", "nobody", "--wait", "--timeout", "1s"],
    );
    assert_eq!(code(&waited), Some(1), "{waited:?}");
    assert!(text(&waited.stderr).contains("no end of the run came"), "{waited:?}");

    let client = Client::connect(Config::new(server.url(), server.token())).await.unwrap();
    let mut work = client.serve("echo").await.unwrap();
    let agent = tokio::spawn(async move {
        for _ in 0..2 {
            let work = work.next().await.unwrap();
            let run = client.emitter(work.run);
            run.agent_started("echo", None).await.unwrap();
            if work.message.text == "fail" {
                run.failed("broken", "as asked").await.unwrap();
            } else {
                let call = run.tool("mirror", &json!({})).await.unwrap();
                call.completed(&json!("ok")).await.unwrap();
                let message = run.message();
                for piece in ["You said: ", &work.message.text] {
                    message.delta(piece).await.unwrap();
                }
                run.completed(None, None).await.unwrap();
            }
            run.flush().await.unwrap();
        }
    });
    let ask = async |text: &'static str| {
        let mut command = command(&server, &["send", &thread, text, "--agent", "echo", "--wait"]);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    let answered = ask("hello").await;
    assert_eq!(code(&answered), Some(0), "{answered:?}");
    assert_eq!(text(&answered.stdout), "You said: hello\n");
    assert!(text(&answered.stderr).contains("tool_executing   mirror"), "{answered:?}");
    let failed = ask("fail").await;
    assert_eq!(code(&failed), Some(1), "{failed:?}");
    assert!(text(&failed.stderr).contains("the run failed: broken: as asked"), "{failed:?}");
    within("the agent", agent).await.unwrap();
}

#[tokio::test]
async fn operators_see_threads_health_and_the_way_of_a_run() {
    let server = Server::start();
    let thread = server.api().thread().await;
    let run = make::run(&thread);
    let listed = rethread(&server, &["threads"]);
    let shown = text(&listed.stdout);
    assert!(shown.starts_with("THREAD") && shown.contains(&thread), "{shown}");
    let listed = text(&rethread(&server, &["threads", "--json"]).stdout);
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap()["thread"], thread);

    let health = operate(&server, &["health"]);
    assert_eq!(code(&health), Some(0), "{health:?}");
    assert!(text(&health.stdout).starts_with("active since "), "{health:?}");
    let health = operate(&server, &["health", "--json"]);
    let report: Value = serde_json::from_slice(&health.stdout).unwrap();
    assert_eq!(report["parts"]["log"]["state"], "active");

    let known = operate(&server, &["resolve", &run]);
    assert_eq!(code(&known), Some(0), "{known:?}");
    let first = text(&known.stdout).lines().next().unwrap().to_owned();
    assert_eq!(first, format!("{run} (standard): {thread}, by standard"));
    let unknown = operate(&server, &["resolve", "run_5d1f0c9a77e2"]);
    assert_eq!(code(&unknown), Some(1), "{unknown:?}");
    assert!(text(&unknown.stdout).contains("run_unresolved"), "{unknown:?}");
    // What is an operator's is refused to others, with what to do.
    let refused = rethread(&server, &["health"]);
    assert_eq!(code(&refused), Some(1), "{refused:?}");
    assert!(text(&refused.stderr).contains("--scope admin"), "{refused:?}");
}

#[tokio::test]
async fn a_run_that_was_migrated_is_one_run_on_disk_and_in_an_export() {
    let mut server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let opaque = "run_5d1f0c9a77e2";
    let migrated = operate(&server, &["migrate", opaque, &thread]);
    assert_eq!(code(&migrated), Some(0), "{migrated:?}");
    let standard = text(&migrated.stdout).trim().to_owned();
    assert!(standard.starts_with(&format!("{thread}_run_")), "{standard}");
    let again = operate(&server, &["migrate", opaque, &thread, "--json"]);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&again["standard"], &again["is_new"]), (&json!(standard), &json!(false)));
    api.publish(&[make::started(opaque), make::thinking(&standard, "under the other id")]).await;
    api.publish(&[make::completed(&standard)]).await;
    let listed = text(&operate(&server, &["runs", "--thread", &thread, "--state", "ended"]).stdout);
    assert!(listed.contains(opaque), "{listed}");
    assert!(server.stop().await.success());
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let run = |args: &[&str], paths: &[std::path::PathBuf]| {
        let output = Command::new(binary()).args(args).args(paths).output().unwrap();
        assert_eq!(code(&output), Some(0), "{output:?}");
    };
    run(&["check"], &[server.data()]);
    run(&["export", "--output"], &[path("first"), server.data()]);
    run(&["import", "--keep-epochs"], &[path("first"), path("data")]);
    run(&["check"], &[path("data")]);
    run(&["export", "--output"], &[path("second"), path("data")]);
    assert_eq!(fs::read(path("first")).unwrap(), fs::read(path("second")).unwrap());
}

#[tokio::test]
async fn a_user_is_cut_off_and_let_in_again() {
    let server = Server::start();
    let mallory = rethread_tests::api::Api::new(&server.url(), &server.token_of("mallory"));
    mallory.thread().await;
    let revoked = operate(&server, &["revoke", "--user", "mallory", "--reason", "lost her laptop"]);
    assert_eq!(code(&revoked), Some(0), "{revoked:?}");
    assert!(text(&revoked.stdout).starts_with("revoked until "), "{revoked:?}");
    assert_eq!(mallory.get("/v1/threads").await.status, 401);
    let listed = text(&operate(&server, &["revoke", "--list"]).stdout);
    let row = listed.lines().nth(1).unwrap();
    assert!(
        row.starts_with("user  mallory ") && row.ends_with(" olga  lost her laptop"),
        "{listed}"
    );
    let undone = operate(&server, &["revoke", "--user", "mallory", "--undo"]);
    assert_eq!((code(&undone), text(&undone.stdout)), (Some(0), "undone\n".to_owned()));
    assert_eq!(mallory.get("/v1/threads").await.status, 200);
    assert_eq!(text(&operate(&server, &["revoke", "--list", "--json"]).stdout), "");
    let again = operate(&server, &["revoke", "--user", "mallory", "--undo"]);
    assert_eq!(code(&again), Some(1), "{again:?}");
    let nobody = operate(&server, &["revoke", "--reason", "none"]);
    assert_eq!(code(&nobody), Some(2), "{nobody:?}");
}

#[tokio::test]
async fn who_cannot_be_reached_or_does_not_let_in_is_told_apart() {
    let server = Server::start();
    let thread = server.api().thread().await;
    for args in [vec!["threads"], vec!["tail", &thread], vec!["send", &thread, "x"]] {
        let nobody =
            command(&server, &args).env("RETHREAD_URL", "http://127.0.0.1:1").output().unwrap();
        assert_eq!(code(&nobody), Some(3), "{nobody:?}");
        assert!(text(&nobody.stderr).contains("rethread serve --dev"), "{nobody:?}");
        let secret = "eyJhbGciOiJIUzI1NiJ9.e30.c2VjcmV0";
        let refused = command(&server, &args).env("RETHREAD_TOKEN", secret).output().unwrap();
        let says = text(&refused.stderr);
        assert_eq!(code(&refused), Some(1), "{refused:?}");
        assert!(says.contains("the server refused the token"), "{says}");
        assert!(!says.contains(secret), "{says}");
        let none = command(&server, &args).env_remove("RETHREAD_TOKEN").output().unwrap();
        assert_eq!(code(&none), Some(1), "{none:?}");
        assert!(text(&none.stderr).contains("no token"), "{none:?}");
    }
    // A file with a token, also one that is renewed; it comes before the variable.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, format!("{}\n", server.token())).unwrap();
    let listed = command(&server, &["threads", "--token-file", file.to_str().unwrap()])
        .env("RETHREAD_TOKEN", "nonsense")
        .output()
        .unwrap();
    assert_eq!(code(&listed), Some(0), "{listed:?}");
    // A server in development mode gives one.
    let dev = Server::start_with(&["--dev"]);
    let listed = command(&dev, &["threads"]).env_remove("RETHREAD_TOKEN").output().unwrap();
    assert_eq!(code(&listed), Some(0), "{listed:?}");
    let wrong = rethread(&server, &["threads", "--url", "127.0.0.1:4242"]);
    assert_eq!(code(&wrong), Some(1));
    assert!(text(&wrong.stderr).contains("expected an address like"), "{wrong:?}");
}

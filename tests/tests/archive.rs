//! `rethread export` and `rethread import`: what goes out comes back in, byte for byte, also when both
//! were interrupted.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rand::{RngExt, SeedableRng};
use rethread_tests::{
    make,
    server::{Server, binary, token},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A stopped server with threads of two owners, runs that have ended, that go on and that wait.
struct Origin {
    server: Server,
    dir: TempDir,
    threads: Vec<String>,
}

impl Origin {
    async fn make() -> Self {
        let mut server = Server::start();
        let mut threads = Vec::new();
        let body = "{\"text\":\n\r \"line breaks between tokens are a publisher's to write\"}";
        for user in ["ada", "bob", "ada"] {
            let api = rethread_tests::api::Api::new(&server.url(), &server.token_of(user));
            let made = api.post("/v1/threads", &json!({ "title": format!("of {user}") })).await;
            let thread = made.body["thread"].as_str().unwrap().to_owned();
            for _ in 0..3 {
                api.publish(&make::whole_run(&api.run(&thread).await, 5)).await;
            }
            let goes_on = api.run(&thread).await;
            api.publish(&[make::started(&goes_on)]).await;
            let text = format!(
                "{{\"run\":\"{goes_on}\",\n\"type\":\"weather\",\"data\":{body},\"more\":[1,\n2]}}"
            );
            let answer = api.post_text("/v1/events", "application/json", text).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            api.run(&thread).await;
            threads.push(thread);
        }
        assert!(server.stop().await.success());
        Self { server, dir: tempfile::tempdir().unwrap(), threads }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.server.data()
    }
}

fn rethread(args: &[&str], paths: &[&Path]) -> Output {
    Command::new(binary()).args(args).args(paths).output().unwrap()
}

fn ok(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

fn export(data: &Path, file: &Path, more: &[&str]) {
    let args = [&["export"], more, &["--output"]].concat();
    ok(&rethread(&args, &[file, data]));
}

fn import(file: &Path, data: &Path, more: &[&str]) -> Output {
    rethread(&[&["import"], more].concat(), &[file, data])
}

fn is_clean(data: &Path) {
    let output = rethread(&["check"], &[data]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{output:?}");
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_is_exported_and_imported_exports_the_same_bytes() {
    let origin = Origin::make().await;
    let (first, second, data) = (origin.path("first"), origin.path("second"), origin.path("data"));
    export(&origin.data(), &first, &[]);
    ok(&import(&first, &data, &["--keep-epochs"]));
    is_clean(&data);
    export(&data, &second, &[]);
    assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "the same bytes");
    let exported = lines(&first);
    let of = |name: &str| exported.iter().filter(|line| line.get(name).is_some()).count();
    assert_eq!((of("thread"), of("event"), of("run")), (3, 69, 15));
    assert_eq!(
        exported.last().unwrap(),
        &json!({ "end": { "threads": 3, "events": 69, "runs": 15 } })
    );

    // Again: nothing is new. Without --keep-epochs, into another folder: only the epochs are.
    let again = import(&first, &data, &["--keep-epochs"]);
    ok(&again);
    let says = String::from_utf8_lossy(&again.stderr);
    assert!(says.contains("new: 0 threads, 0 events, 0 runs"), "{says}");
    let (other, third) = (origin.path("other"), origin.path("third"));
    ok(&import(&first, &other, &[]));
    export(&other, &third, &[]);
    for (before, after) in exported.iter().zip(lines(&third)) {
        match before.get("thread") {
            Some(_) => assert_ne!(before["thread"]["epoch"], after["thread"]["epoch"]),
            None => assert_eq!(*before, after),
        }
    }
}

#[tokio::test]
async fn what_was_interrupted_goes_on_where_it_ended() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
    let origin = Origin::make().await;
    let (whole, part) = (origin.path("whole"), origin.path("part"));
    export(&origin.data(), &whole, &[]);
    let bytes = fs::read(&whole).unwrap();
    let refused = rethread(&["export", "--output"], &[&whole, &origin.data()]);
    assert!(!refused.status.success(), "no file is written over");
    for round in 0..4 {
        // In the middle of lines, mostly; and in the middle of what a line begins with.
        let cut = rng.random_range(0..bytes.len());
        fs::write(&part, &bytes[..cut]).unwrap();
        export(&origin.data(), &part, &["--resume"]);
        assert!(fs::read(&part).unwrap() == bytes, "round {round}, cut at {cut}");

        fs::write(&part, &bytes[..cut]).unwrap();
        let data = origin.path(&format!("data-{round}"));
        let output = import(&part, &data, &["--keep-epochs"]);
        assert_eq!(output.status.code(), Some(1), "it is not whole: {output:?}");
        ok(&import(&whole, &data, &["--keep-epochs"]));
        is_clean(&data);
        let after = origin.path("after");
        export(&data, &after, &[]);
        assert!(fs::read(&after).unwrap() == bytes, "round {round}, cut at {cut}");
        fs::remove_file(after).unwrap();
    }
}

#[tokio::test]
async fn a_working_server_is_exported_and_another_goes_on_with_it() {
    let mut origin = Origin::make().await;
    origin.server.restart();
    let file = origin.path("remote.ndjson");
    let url = origin.server.url();
    let exported = Command::new(binary())
        .env("RETHREAD_TOKEN", origin.server.token())
        .args(["export", "--remote", "--url", &url, "--output"])
        .arg(&file)
        .output()
        .unwrap();
    ok(&exported);
    let before = origin.server.api().log(&origin.threads[1]).await;
    origin.server.stop().await;

    let mut second = Server::start();
    second.stop().await;
    ok(&import(&file, &second.data(), &[]));
    is_clean(&second.data());
    second.restart();
    let bob = token(&["--user", "bob", "--scope", "subscribe,publish"]);
    let bob = rethread_tests::api::Api::new(&second.url(), &bob);
    assert_eq!(bob.log(&origin.threads[1]).await, before, "as it was, and bob's");
    let goes_on = before[before.len() - 1]["run"].as_str().unwrap();
    bob.publish(&[make::completed(goes_on)]).await;
    assert_eq!(bob.get(&format!("/v1/threads/{}/events", origin.threads[0])).await.status, 404);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_line() {
    let origin = Origin::make().await;
    let (file, data) = (origin.path("file"), origin.path("data"));
    export(&origin.data(), &file, &[]);
    let good = fs::read_to_string(&file).unwrap();
    ok(&import(&file, &data, &[]));
    let refused = |text: &str, says: &str| {
        let changed = origin.path("changed");
        fs::write(&changed, text).unwrap();
        let output = import(&changed, &data, &[]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text.contains(says), "{says} in {text}");
    };
    let at = |says: &str| good.lines().position(|line| line.contains(says)).unwrap() + 1;
    let seq_3 = at(r#"{"event":{"seq":3,"#);
    let without: Vec<_> =
        good.lines().enumerate().filter(|(at, _)| at + 1 != seq_3).map(|(_, line)| line).collect();
    refused(&without.join("\n"), &format!("line {seq_3}: expected seq 3"));
    let another = good.replacen(r#""text":"1""#, r#""text":"one""#, 1);
    refused(&another, "has another history in this folder: at seq 3");
    refused("hello\n", "line 1: it is no line of an export");
    refused(&good.replacen(r#""version":1"#, r#""version":2"#, 1), "expected version 1, found 2");
    let early = good.lines().skip(1).collect::<Vec<_>>().join("\n");
    refused(&early, "line 1: expected one export");
    // All of it was refused before it was stored.
    is_clean(&data);
    let working = Server::start();
    let output = import(&file, &working.data(), &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("another process"), "{output:?}");
    let output = import(&file, Path::new("http://127.0.0.1:4242"), &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("rethread publish"), "{output:?}");
}

//! The command line of `rethread`, and its development mode.

use std::process::{Command, Output};

use rethread_tests::{
    api::{Api, answer, client},
    make,
    server::{SECRET, Server, binary},
};
use serde_json::json;

/// Runs `rethread` without a secret in its surroundings.
fn rethread(args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.env_remove("RETHREAD_SECRET").args(args).output().expect("rethread can be run")
}

#[test]
fn what_is_wrong_with_a_command_is_said_and_nothing_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let serve = |more: &[&str]| {
        let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--data", data];
        args.extend(more);
        rethread(&args)
    };
    for (output, says) in [
        (serve(&[]), "RETHREAD_SECRET"),
        (serve(&["--secret", "short"]), "32"),
        (serve(&["--secret", SECRET, "--heartbeat", "0s"]), "heartbeat"),
        (rethread(&["serve", "--listen", "0.0.0.0:0", "--data", data, "--dev"]), "loopback"),
        (rethread(&["serve", "--listen", "nonsense", "--data", data]), "--listen"),
        (rethread(&["token", "--user", "ada"]), "--secret"),
        (rethread(&["token", "--secret", "short", "--user", "ada"]), "32"),
        (rethread(&["token", "--secret", SECRET, "--user", "ada", "--scope", "all"]), "subscribe"),
        (
            rethread(&["token", "--secret", SECRET, "--user", "ada", "--thread", "x"]),
            "thread_{key}",
        ),
        (rethread(&["token", "--secret", SECRET, "--user", "ada", "--ttl", "soon"]), "--ttl"),
        (rethread(&["jump"]), "jump"),
    ] {
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{says}: {output:?}");
        assert!(text.contains(says), "{says} in {text}");
        assert!(output.stdout.is_empty(), "{says}: {output:?}");
    }
}

#[tokio::test]
async fn two_servers_do_not_share_a_data_folder() {
    let server = Server::start();
    let data = server.data();
    let second = Command::new(binary())
        .env("RETHREAD_SECRET", SECRET)
        .args(["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!second.status.success(), "{second:?}");
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(text.contains(data.to_str().unwrap()), "it says which folder: {text}");
    let thread = server.api().thread().await;
    assert_eq!(server.api().log(&thread).await.len(), 0, "the first one goes on");
}

#[tokio::test]
async fn development_mode_gives_a_token_for_everything() {
    let mut server = Server::start_with(&["--dev"]);
    let ask = |server: &Server| answer(client().get(format!("{}/v1/dev/token", server.url())));
    let given = ask(&server).await;
    assert_eq!((given.status, &given.body["user"]), (200, &json!("dev")));
    let api = Api::new(&server.url(), given.body["token"].as_str().unwrap());
    let thread = api.thread().await;
    api.publish(&make::whole_run(&api.run(&thread).await, 1)).await;
    server.kill();
    server.restart();
    assert_eq!(api.log(&thread).await.len(), 3, "the token outlives the server");
    let without = Server::start();
    assert_eq!(ask(&without).await.status, 404, "only with --dev");
}

#[tokio::test]
async fn a_secret_of_development_is_kept_with_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let token = |url: String| async move {
        let given = answer(client().get(format!("{url}/v1/dev/token"))).await;
        given.body["token"].as_str().expect("a token").to_owned()
    };
    let first = Dev::start(folder.path());
    let kept = token(first.url.clone()).await;
    assert_eq!(Api::new(&first.url, &kept).get("/v1/threads").await.status, 200);
    drop(first);
    let second = Dev::start(folder.path());
    assert_eq!(Api::new(&second.url, &kept).get("/v1/threads").await.status, 200);
}

/// A server in development mode that makes its own secret.
struct Dev {
    child: std::process::Child,
    url: String,
}

impl Dev {
    fn start(data: &std::path::Path) -> Self {
        use std::io::{BufRead, BufReader};
        let mut child = Command::new(binary())
            .env_remove("RETHREAD_SECRET")
            .args(["serve", "--listen", "127.0.0.1:0", "--dev", "--data"])
            .arg(data)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("rethread listening on ").expect(&line).to_owned();
        Self { child, url }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.child.kill().expect("a child may be killed");
        self.child.wait().expect("a child may be waited for");
    }
}

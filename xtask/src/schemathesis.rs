//! The server against its own OpenAPI document: schemathesis makes requests from what the document says,
//! good and bad ones, and looks whether every answer is one that the document names.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{process, repo, setup};

/// Of <https://pypi.org/project/schemathesis/>.
const VERSION: &str = "4.32.5";
/// The same requests every time. `SCHEMATHESIS_SEED` takes another.
const SEED: &str = "20260919";
/// How long requests are made, seconds.
const TIME: u32 = 45;
/// As above, for the endpoints that take away what the others need.
const TIME_AFTER: u32 = 8;

/// What the document cannot say, and so is not asked: that a well-formed event may not come now, and
/// that a server takes more than it promises (`null` for a member that is left out).
const NOT_ASKED: &str = "positive_data_acceptance,negative_data_rejection";
/// They would take away the token that everything is asked with.
const DESTRUCTIVE: &str = "/v1/admin/revo";

/// What it is taught.
const HOOKS: &str = include_str!("schemathesis/hooks.py");

/// Nobody's name in the document's examples, so that nothing that is revoked by its user is this.
const USER: &str = "schemathesis";
const SCOPES: &str = "subscribe,send,publish,serve,admin";
const SECRET: &str = "a secret for schemathesis, and for nothing else";
/// The thread of the document's examples, and what is in it.
const THREAD: &str = r#"{"thread":"thread_13679e4dcc38403a"}"#;
const EVENTS: &str = r#"[
    {"run":"thread_13679e4dcc38403a_run_1756919162904_9adf1f09","type":"agent_started","data":{"agent":"curl"}},
    {"run":"thread_13679e4dcc38403a_run_1756919162904_9adf1f09","type":"message_delta","data":{"message_id":"m1","text":"Hello."}}
]"#;

/// Installs what is missing, starts a server, and lets schemathesis at it.
pub(crate) fn run() -> Result<()> {
    let schemathesis = install()?;
    let data = tempfile::tempdir().context("no temporary folder")?;
    let (mut server, url) = server(data.path())?;
    let tested = test(&schemathesis, &url, data.path());
    let is_there = server.try_wait()?.is_none();
    server.kill().context("the server could not be ended")?;
    server.wait()?;
    if tested.is_err() || !is_there {
        let log = fs::read_to_string(log(data.path())).unwrap_or_default();
        let lines: Vec<_> = log.lines().filter(|line| !line.contains("refused")).collect();
        println!(
            "the end of the server's log:\n{}",
            lines[lines.len().saturating_sub(20)..].join("\n")
        );
    }
    tested?;
    ensure!(is_there, "the server ended by itself");
    Ok(())
}

/// The program, in a virtual environment of its own below `target/`.
pub(crate) fn install() -> Result<PathBuf> {
    let folder = repo::target().join("schemathesis");
    let program = folder.join("bin/schemathesis");
    let stamp = folder.join("version");
    if program.is_file() && fs::read_to_string(&stamp).is_ok_and(|version| version == VERSION) {
        return Ok(program);
    }
    setup::python_venv(&folder)?;
    let pip = folder.join("bin/pip").to_string_lossy().into_owned();
    let package = format!("schemathesis=={VERSION}");
    process::run(&mut process::command(&pip, ["install", "--quiet", &package]))
        .context("pip could not install schemathesis; it needs https://pypi.org or an index that PIP_INDEX_URL names")?;
    fs::write(&stamp, VERSION)?;
    Ok(program)
}

fn log(data: &Path) -> PathBuf {
    data.join("server.log")
}

/// Starts the server on a free port; gives its address.
fn server(data: &Path) -> Result<(Child, String)> {
    let program = repo::binary("rethread").to_string_lossy().into_owned();
    let arguments = ["serve", "--dev", "--listen", "127.0.0.1:0", "--data"];
    let mut server = process::command(&program, arguments)
        .arg(data.join("data"))
        .env("RETHREAD_SECRET", SECRET)
        .stdout(Stdio::piped())
        .stderr(fs::File::create(log(data))?)
        .spawn()
        .context("the server could not be started")?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("its output is piped")).read_line(&mut line)?;
    let Some((_, url)) = line.trim().split_once("listening on ") else {
        let _ = server.kill();
        bail!("the server did not come up: {}", fs::read_to_string(log(data)).unwrap_or_default());
    };
    Ok((server, url.to_owned()))
}

fn test(schemathesis: &Path, url: &str, folder: &Path) -> Result<()> {
    let rethread = repo::binary("rethread").to_string_lossy().into_owned();
    let arguments = ["token", "--user", USER, "--scope", SCOPES, "--all-threads"];
    let token =
        process::output(process::command(&rethread, arguments).env("RETHREAD_SECRET", SECRET))?;
    let header = format!("Authorization: Bearer {token}");
    for (path, body) in [("/v1/threads", THREAD), ("/v1/events", EVENTS)] {
        let address = format!("{url}{path}");
        process::output(&mut process::command(
            "curl",
            ["--silent", "--fail-with-body", &address, "--header", &header, "--data", body],
        ))?;
    }
    fs::write(folder.join("hooks.py"), HOOKS)?;
    let seed = std::env::var("SCHEMATHESIS_SEED").unwrap_or_else(|_| SEED.into());
    let document = format!("{url}/openapi.json");
    let program = schemathesis.to_string_lossy();
    let mut rounds = vec![("--exclude-path-regex", TIME)];
    if process::output(&mut process::command("curl", ["--silent", &document]))?
        .contains(DESTRUCTIVE)
    {
        rounds.push(("--include-path-regex", TIME_AFTER));
    }
    for (which, time) in rounds {
        let time = time.to_string();
        let arguments = [
            "--no-color",
            "run",
            &document,
            "--header",
            &header,
            which,
            DESTRUCTIVE,
            "--seed",
            &seed,
            "--max-time",
            &time,
            "--exclude-checks",
            NOT_ASKED,
            "--request-timeout",
            "10",
            "--continue-on-failure",
            "--warnings",
            "off",
        ];
        println!(
            "$ schemathesis run {document} {which} {DESTRUCTIVE} --seed {seed} --max-time {time}"
        );
        // Where it runs it keeps what it found, and would begin with that the next time.
        let status = process::command(&program, arguments)
            .env("SCHEMATHESIS_HOOKS", "hooks")
            .current_dir(folder)
            .status()?;
        ensure!(
            status.success(),
            "schemathesis has found answers that the document does not name (seed {seed}): see above"
        );
    }
    Ok(())
}

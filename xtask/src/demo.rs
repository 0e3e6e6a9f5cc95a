//! The demo: the server with the page in it, and an agent that answers.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{process, repo, setup, wasm, www};

/// How long a process gets to stop by itself.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// How often the processes are looked at. `std` cannot wait for one of two children.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Builds, starts, says the address, and waits for Ctrl-C or for a process to end.
pub(crate) fn run(listen: SocketAddr) -> Result<()> {
    if !listen.ip().is_loopback() {
        bail!("the demo gives a token to whoever asks, so it listens on loopback only: {listen}");
    }
    is_free(listen)?;
    process::timed("set-up", setup::build_tools)?;
    process::timed("the package @rethread/client", wasm::build)?;
    process::timed("the page", www::build)?;
    process::timed("the server and the agent", || {
        process::run(&mut process::cargo("build --package rethread --package docs-agent"))
    })?;
    is_free(listen)?;

    let (stop, stopped) = channel();
    ctrlc::set_handler(move || {
        // Nobody listens any more when the demo is stopping already.
        let _ = stop.send(());
    })?;
    let (mut server, address) = server(listen)?;
    let mut agent = match agent(&address) {
        Ok(agent) => agent,
        Err(error) => {
            end(&mut server);
            return Err(error);
        }
    };
    println!("\nAsk about Rethread's own documents, and kill the server while it answers: it is");
    println!("started again (kill -9 {}). Ctrl-C stops the demo.", server.id());
    println!("The demo is ready: open {address}");
    let result = watch(&stopped, listen, &mut server, &address, &mut agent);
    println!("\nStopping");
    end(&mut agent);
    end(&mut server);
    result
}

/// Starts the server and waits until it says that it listens, and where.
fn server(listen: SocketAddr) -> Result<(Child, String)> {
    let data = repo::at("data/demo");
    std::fs::create_dir_all(&data)?;
    let mut command = process::command(
        &repo::binary("rethread").to_string_lossy(),
        ["serve", "--dev", "--listen", &listen.to_string(), "--data"],
    );
    let mut server = command
        .arg(&data)
        .stdout(Stdio::piped())
        .spawn()
        .context("the server could not be started")?;
    let mut lines = BufReader::new(server.stdout.take().expect("its output is piped")).lines();
    for line in &mut lines {
        let line = line?;
        println!("{line}");
        if let Some((_, address)) = line.split_once("listening on ") {
            let address = address.trim().to_owned();
            thread::spawn(move || lines.map_while(Result::ok).for_each(|line| println!("{line}")));
            return Ok((server, address));
        }
    }
    let status = server.wait()?;
    bail!("the server ended before it listened ({status}); what it said stands above")
}

fn agent(address: &str) -> Result<Child> {
    let mut agent = process::command(
        &repo::binary("docs-agent").to_string_lossy(),
        ["--dev", "--url", address, "--docs", &repo::root().to_string_lossy()],
    );
    if std::env::var_os("RUST_LOG").is_none() {
        // So that the address stays the last line.
        agent.env("RUST_LOG", "warn");
    }
    agent.spawn().context("the agent could not be started")
}

/// Waits for Ctrl-C. What was killed is started again, for that is what the demo is about; what ends
/// by itself has failed.
fn watch(
    stopped: &Receiver<()>,
    listen: SocketAddr,
    server: &mut Child,
    address: &str,
    agent: &mut Child,
) -> Result<()> {
    loop {
        match stopped.recv_timeout(LOOK_EVERY) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if was_killed("the server", server)? {
            *server = self::server(listen)?.0;
            println!("The server is back (kill -9 {} to try it again)", server.id());
        }
        if was_killed("the agent", agent)? {
            *agent = self::agent(address)?;
            println!("The agent is back");
        }
    }
}

/// True when a process was ended by a signal; an error when it ended by itself.
fn was_killed(name: &str, process: &mut Child) -> Result<bool> {
    let Some(status) = process.try_wait()? else { return Ok(false) };
    if status.code().is_some() {
        bail!("{name} has ended ({status}); what it said stands above");
    }
    println!("\n{name} was killed ({status}); starting it again");
    Ok(true)
}

/// Stops a process: asks it, and ends it when it does not.
fn end(child: &mut Child) {
    let deadline = Instant::now() + STOP_DEADLINE;
    if cfg!(unix) {
        let _ = process::output(&mut process::command("kill", [child.id().to_string()]));
        while Instant::now() < deadline {
            match child.try_wait() {
                Ok(None) => thread::sleep(LOOK_EVERY),
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn is_free(listen: SocketAddr) -> Result<()> {
    TcpListener::bind(listen).map(drop).with_context(|| {
        format!("{listen} cannot be used; choose another: cargo xtask demo --listen 127.0.0.1:4243")
    })
}

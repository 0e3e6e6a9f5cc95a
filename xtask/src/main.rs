//! Every chore of the project: `cargo xtask --help`.

mod bench;
mod demo;
mod docs;
mod e2e;
mod npm;
mod package;
mod process;
mod repo;
mod schemathesis;
mod setup;
mod size;
mod stamp;
mod test;
mod tidy;
mod wasm;
mod www;

use std::{net::SocketAddr, process::ExitCode};

use clap::{Parser, Subcommand};

/// The chores of Rethread. Each prints what it does and how long it takes, and skips what is up to
/// date.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build everything, start the server and an agent, say the address of the chat page.
    ///
    /// Runs until Ctrl-C. Threads are kept in data/demo; delete that folder to begin anew.
    Demo {
        /// Where the server listens. Loopback only: the demo gives a token to whoever asks.
        #[arg(long, default_value = "127.0.0.1:4242", value_name = "ADDRESS:PORT")]
        listen: SocketAddr,
    },
    /// Check everything: format, tidy, package, page, lints, Rust tests, package tests, browser.
    ///
    /// A step that fails does not stop the ones that do not need it. The last line counts the
    /// steps: `N passed, N failed`.
    Test,
    /// Build the npm package @rethread/client into client-wasm/pkg and hold it to its size.
    Wasm,
    /// Render the reference of @rethread/client from its types into target/reference.
    ///
    /// Fails when an export is not documented, or a link in what is written leads nowhere.
    Docs,
    /// Run the browser tests in tests/e2e against the real server in real Chromium.
    ///
    /// Everything after `--` goes to `node --test`, for example:
    /// cargo xtask e2e -- --test-name-pattern=reload
    E2e {
        /// For `node --test`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run the torture suite of the package: its cases again and again, then random harm for minutes.
    ///
    /// tests/package/torture/README.md lists the cases. The chaos run prints its seed.
    Torture(package::Torture),
    /// Make requests from the OpenAPI document, good and bad, and hold the answers against it.
    ///
    /// Needs python3 and, the first time, https://pypi.org. About a minute.
    Schemathesis,
    /// Measure: durable events a second, deliveries a second, latency, memory a connection.
    ///
    /// Arguments go to the load generator: `--quick`, `--full`, `--peers` (which are installed first),
    /// `--case NAME`, `--write docs`; `cargo xtask bench -- --help` lists them. Instead of these,
    /// `--browser` measures the package in Chromium beside a client written by hand (`--full` does so
    /// too), `--micro` times the parts of the hot path, and `--instructions` compares how many instructions
    /// they take with what is stored (`--store` stores anew).
    Bench {
        /// For the load generator.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check what the compiler does not: who knows whom, length of files, what documents must name.
    Tidy,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Demo { listen } => demo::run(listen),
        // The summary is the last that is printed: it says what has failed.
        Chore::Test if test::run() => Ok(()),
        Chore::Test => return ExitCode::FAILURE,
        Chore::Wasm => wasm::run(),
        Chore::Docs => docs::run(),
        Chore::E2e { arguments } => e2e::run(&arguments),
        Chore::Torture(how) => package::torture(&how),
        Chore::Schemathesis => process::timed("the server", || {
            process::run(&mut process::cargo("build --package rethread"))
        })
        .and_then(|()| process::timed("schemathesis", schemathesis::run)),
        Chore::Bench { arguments } => bench::run(&arguments),
        Chore::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

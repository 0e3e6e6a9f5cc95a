//! Everything there is to check, as steps, with one summary.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{docs, e2e, package, process, repo, schemathesis, setup, tidy, wasm, www};

/// Runs every step that can run and prints the summary, whose last line counts the steps. True when
/// all passed.
pub(crate) fn run() -> bool {
    let mut steps = Steps::default();
    steps.run("set-up", &[], || setup::build_tools().and_then(|()| setup::chromium().map(drop)));
    steps.run("format", &[], || cargo("fmt --all --check"));
    steps.run("tidy", &[], tidy::check);
    steps.run("package", &["set-up"], wasm::build);
    steps.run("reference", &["set-up"], docs::render);
    steps.run("page", &["package"], www::build);
    steps.run("page tests", &["page"], www::test);
    // The server carries the page inside it, so nothing in Rust compiles before the page.
    steps.run("lints", &["page"], || cargo("clippy --workspace --all-targets -- -D warnings"));
    steps.run("build", &["page"], || {
        cargo("build --workspace --exclude xtask --exclude xtask-wasm --all-targets")
    });
    steps.run("Rust tests", &["build"], || {
        let mut tests =
            process::cargo("test --workspace --exclude xtask --exclude xtask-wasm --no-fail-fast");
        if let Some(promtool) = setup::promtool()? {
            tests.env("PROMTOOL", promtool);
        }
        process::run(tests.env("RETHREAD_BIN", repo::binary("rethread")))
    });
    steps.run("schemathesis", &["build"], schemathesis::run);
    // One after the other: together they would be built with other features than when they run.
    steps.run("chore tests", &[], || {
        cargo("test --package xtask")?;
        cargo("test --package xtask-wasm")
    });
    steps.run("package tests", &["build"], package::test);
    steps.run("browser tests", &["build"], || e2e::test(&[]));
    steps.summary()
}

fn cargo(arguments: &str) -> Result<()> {
    process::run(&mut process::cargo(arguments))
}

#[derive(Default)]
struct Steps {
    taken: Vec<Step>,
}

struct Step {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

enum Outcome {
    Passed,
    Failed(anyhow::Error),
    /// Not run, for a step that it needs has not passed.
    Blocked(&'static str),
}

impl Steps {
    fn run(
        &mut self,
        name: &'static str,
        needs: &[&'static str],
        work: impl FnOnce() -> Result<()>,
    ) {
        let start = Instant::now();
        let outcome = match needs.iter().find(|need| !self.has_passed(need)) {
            Some(need) => {
                println!("\n== {name}: not run, for `{need}` has not passed");
                Outcome::Blocked(need)
            }
            None => match process::timed(name, work) {
                Ok(()) => Outcome::Passed,
                Err(error) => {
                    eprintln!("{name}: {error:#}");
                    Outcome::Failed(error)
                }
            },
        };
        self.taken.push(Step { name, outcome, took: start.elapsed() });
    }

    fn has_passed(&self, name: &str) -> bool {
        self.taken.iter().any(|step| step.name == name && matches!(step.outcome, Outcome::Passed))
    }

    /// Prints the table and the count; true when all passed.
    fn summary(&self) -> bool {
        println!("\n{:<16} {:<8} {:>8}", "step", "result", "seconds");
        for step in &self.taken {
            let result = match &step.outcome {
                Outcome::Passed => "passed",
                Outcome::Failed(_) => "FAILED",
                Outcome::Blocked(_) => "NOT RUN",
            };
            println!("{:<16} {result:<8} {:>8.1}", step.name, step.took.as_secs_f64());
        }
        for step in &self.taken {
            match &step.outcome {
                Outcome::Passed => {}
                Outcome::Failed(error) => println!("{}: {error:#}", step.name),
                Outcome::Blocked(need) => println!("{}: needs `{need}`", step.name),
            }
        }
        let passed = self.taken.iter().filter(|s| matches!(s.outcome, Outcome::Passed)).count();
        let failed = self.taken.len() - passed;
        println!("{passed} passed, {failed} failed");
        failed == 0
    }
}

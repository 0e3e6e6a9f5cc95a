//! A document's shell blocks, run as they stand, and what it shows as their answers.
//!
//! How to write a block so that it is run:
//!
//! - ```` ```sh ```` is run by bash, all blocks of a document one after the other in one shell, in an
//!   empty folder. Each command must succeed (`curl` fails when the answer's status is 400 or more).
//!   Where the section shows JSON, JSON that its commands print must have the shape of some of it.
//! - ```` ```console ```` has commands behind `$ ` (they go on behind `> `), each followed by what it
//!   prints. They are run with those of the `sh` blocks; what they print is compared by shape: JSON by
//!   its members and their types, other text line by line, where words with a digit in them and spaces
//!   may differ, `…` stands for anything, and a line `…` for any lines.
//! - ```` ```sh not-run: WHY ```` is not run. Few may be: what needs another machine, root, or minutes.
//!
//! `rethread` (also as `cargo run --release --`) is the binary under test. A server of the test's own is
//! at `127.0.0.1:4242` (this port is replaced by a free one, as is every other of `127.0.0.1:PORT`),
//! unless the document starts one itself with `rethread serve … &`; the next command then waits until it
//! listens. Set are `RETHREAD_SECRET`, `HOST`, `AUTH` (a header with a token of ada's: subscribe, send,
//! publish, serve), `ADMIN` (the same with the scope admin), and for `rethread` itself `RETHREAD_URL` and
//! `RETHREAD_TOKEN` (all of these scopes, all threads). What follows for ever (`curl -N`, `rethread tail`)
//! is stopped after two seconds, and that is no failure.

mod shape;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use crate::server::{SCOPES, SECRET, Server, binary, token};

/// A Markdown file.
#[derive(Debug)]
pub struct Document {
    name: String,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    /// The line it begins in.
    line: usize,
    /// The number of its section.
    section: usize,
    info: String,
    text: String,
}

/// One piece of the script, whose output is kept by itself.
#[derive(Debug, PartialEq)]
struct Step {
    line: usize,
    script: String,
    /// What the document shows for it.
    shown: Shown,
}

#[derive(Debug, PartialEq)]
enum Shown {
    /// Exactly this, by its shape.
    Output(String),
    /// Some of the JSON of its section.
    AnyOf(Vec<String>),
}

/// What became of a document's commands.
#[derive(Debug)]
pub struct Ran {
    /// All that was printed.
    pub printed: String,
    /// What is wrong, with the line in the document.
    pub faults: Vec<String>,
    /// How many pieces were run.
    pub steps: usize,
}

impl Document {
    /// Reads one.
    #[must_use]
    pub fn read(name: &str, text: &str) -> Self {
        let (mut blocks, mut section, mut open) = (Vec::new(), 0, None::<Block>);
        for (number, line) in text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (Some(block), None) => {
                    block.text += line;
                    block.text.push('\n');
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(info)) => {
                    let info = info.trim().to_owned();
                    open = Some(Block { line: number + 1, section, info, text: String::new() });
                }
                (None, None) if line.starts_with('#') => section += 1,
                (None, None) => {}
            }
        }
        Self { name: name.to_owned(), blocks }
    }

    /// The blocks that are not run, and why.
    pub fn not_run(&self) -> impl Iterator<Item = (usize, &str)> {
        self.blocks.iter().filter_map(|block| {
            let reason = block.info.strip_prefix("sh not-run")?;
            Some((block.line, reason.trim_start_matches(':').trim()))
        })
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for block in &self.blocks {
            match block.info.as_str() {
                "sh" => {
                    let json = self
                        .blocks
                        .iter()
                        .filter(|other| other.section == block.section && other.info == "json");
                    let shown = Shown::AnyOf(json.map(|json| json.text.clone()).collect());
                    steps.push(Step { line: block.line, script: block.text.clone(), shown });
                }
                "console" => steps.extend(console(block)),
                _ => {}
            }
        }
        steps
    }

    /// Runs its commands, in an empty folder.
    ///
    /// # Panics
    /// When there is no bash, or no room for files.
    #[must_use]
    pub fn run(&self) -> Ran {
        let mut steps = self.steps();
        let serves = steps.iter().any(|step| {
            step.script.contains("rethread serve") || step.script.contains(" -- serve")
        });
        let server = (!serves).then(Server::start);
        let mut ports = Ports::new(server.as_ref().map(Server::port));
        for step in &mut steps {
            step.script = ports.replace(&step.script);
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = Place::new(folder.path());
        let script = script(&self.name, &steps, &place);
        let mut bash = Command::new("bash");
        bash.args(["-u", "-c", &script])
            .current_dir(&place.work)
            .env("PATH", format!("{}:{}", place.bin, std::env::var("PATH").unwrap_or_default()))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        let here = format!("127.0.0.1:{}", ports.of(4242));
        bash.env("RETHREAD_SECRET", SECRET)
            .env("RETHREAD_URL", format!("http://{here}"))
            .env("RETHREAD_LISTEN", here);
        if let Some(server) = &server {
            let admin =
                token(&["--user", "ada", "--scope", &format!("{SCOPES},admin"), "--all-threads"]);
            bash.env("HOST", server.url())
                .env("AUTH", format!("Authorization: Bearer {}", server.token_of("ada")))
                .env("ADMIN", format!("Authorization: Bearer {admin}"))
                .env("RETHREAD_TOKEN", admin);
        }
        let output = bash.output().expect("bash can be run");
        let mut faults = Vec::new();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            faults.push(format!("{}: {}\n{errors}", self.name, output.status));
        }
        let mut printed = String::new();
        for (number, step) in steps.iter().enumerate() {
            let Ok(text) = fs::read_to_string(format!("{}/{number}", place.printed)) else { break };
            let fault = match &step.shown {
                Shown::Output(shown) => shape::compare(shown, &text),
                Shown::AnyOf(shown) => shape::is_among(shown, &text),
            };
            if let Err(fault) = fault {
                faults.push(format!("{}:{}: {fault}", self.name, step.line));
            }
            printed += &text;
        }
        Ran { printed, faults, steps: steps.len() }
    }
}

/// The commands of a block behind `$ `, each with what follows it.
fn console(block: &Block) -> Vec<Step> {
    let mut steps: Vec<(usize, String, String)> = Vec::new();
    let mut in_command = false;
    for (number, line) in block.text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push((block.line + 1 + number, format!("{command}\n"), String::new()));
            in_command = true;
        } else if let Some((_, command, shown)) = steps.last_mut() {
            match line.strip_prefix("> ").filter(|_| in_command) {
                Some(more) => *command += &format!("{more}\n"),
                None => {
                    in_command = false;
                    *shown += &format!("{line}\n");
                }
            }
        }
    }
    let steps = steps.into_iter().map(|(line, script, shown)| Step {
        line,
        script,
        shown: Shown::Output(shown),
    });
    steps.collect()
}

/// The ports that a document names, and the free ones that stand for them.
struct Ports(BTreeMap<u16, u16>);

impl Ports {
    fn new(server: Option<u16>) -> Self {
        Self(server.map(|port| (4242, port)).into_iter().collect())
    }

    fn of(&mut self, port: u16) -> u16 {
        *self.0.entry(port).or_insert_with(free)
    }

    fn replace(&mut self, text: &str) -> String {
        const HERE: [&str; 2] = ["127.0.0.1:", "localhost:"];
        let mut replaced = text.to_owned();
        for host in HERE {
            let pieces: Vec<&str> = replaced.split(host).collect();
            let mut new = pieces[0].to_owned();
            for piece in &pieces[1..] {
                let digits = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
                let port = piece[..digits].parse::<u16>().ok().filter(|port| *port > 0);
                let port = port.map(|port| self.of(port));
                new += host;
                new += &port.map_or_else(|| piece[..digits].to_owned(), |port| port.to_string());
                new += &piece[digits..];
            }
            replaced = new;
        }
        replaced
    }
}

fn free() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("it has an address").port()
}

/// The folders of one run.
struct Place {
    /// Where the commands run.
    work: String,
    /// What stands before the system's programs.
    bin: String,
    /// What each step prints.
    printed: String,
}

impl Place {
    fn new(folder: &Path) -> Self {
        let make = |name: &str| {
            let path = folder.join(name);
            fs::create_dir(&path).expect("a folder can be made");
            path.to_str().expect("its path is text").to_owned()
        };
        let place = Self { work: make("work"), bin: make("bin"), printed: make("printed") };
        let served = make("served");
        let rethread = binary().display();
        place.program(
            "rethread",
            &format!(
                r#"case "${{1:-}}" in
            serve) exec '{rethread}' "$@" > >(tee "{served}/$$") ;;
            tail) timeout --signal=INT 2 '{rethread}' "$@"; code=$?
                [ $code = 124 ] || [ $code = 130 ] || exit $code ;;
            *) exec '{rethread}' "$@" ;;
            esac"#
            ),
        );
        place.program("cargo", r#"[ "$1 $2 $3" = "run --release --" ] || { echo "cargo $*: mark it not-run" >&2; exit 2; }
            shift 3; exec rethread "$@""#);
        place.program(
            "curl",
            r#"bin=$(dirname "$0"); PATH=${PATH/"$bin:"/}
            for word; do case "$word" in
                -N|-sN|-Ns|--no-buffer) curl --fail-with-body --max-time 2 "$@"; code=$?
                    [ $code = 28 ] && exit 0; exit $code ;;
            esac; done
            exec curl --fail-with-body "$@""#,
        );
        place
    }

    fn program(&self, name: &str, script: &str) {
        let path = format!("{}/{name}", self.bin);
        fs::write(&path, format!("#!/usr/bin/env bash\n{script}\n"))
            .expect("a file can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be run");
    }
}

fn script(name: &str, steps: &[Step], place: &Place) -> String {
    let mut script = format!(
        r#"set -eE -o pipefail
        at=
        trap 'echo "{name}:$at: failed: $BASH_COMMAND" >&2' ERR
        trap 'jobs=$(jobs -p); [ -z "$jobs" ] || kill $jobs 2>/dev/null || true' EXIT
        served() {{
            for _ in $(seq 600); do
                all=yes
                for said in {bin}/../served/*; do
                    grep -q listening "$said" 2>/dev/null || all=
                done
                [ -z "$all" ] || return 0
                sleep 0.05
            done
            echo "the server does not listen" >&2; return 1
        }}
        "#,
        bin = place.bin
    );
    for (number, step) in steps.iter().enumerate() {
        script += &format!("at={}\n{{\n", step.line);
        for line in step.script.lines() {
            script += line;
            script.push('\n');
            if line.contains(" serve") && line.trim_end().ends_with('&') {
                script += "served\n";
            }
        }
        script += &format!("}} > {}/{number}\n", place.printed);
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# One

```sh
curl a
```

```json
{\"a\":1}
```

## Two

```console
$ rethread x \\
> y
seven
$ true
```

```sh not-run: needs root
reboot
```
";

    #[test]
    fn blocks_become_steps_with_what_is_shown() {
        let document = Document::read("X.md", TEXT);
        let steps = document.steps();
        assert_eq!(steps.len(), 3);
        assert_eq!((steps[0].line, steps[0].script.as_str()), (3, "curl a\n"));
        assert_eq!(steps[0].shown, Shown::AnyOf(vec!["{\"a\":1}\n".into()]));
        assert_eq!(steps[1].script, "rethread x \\\ny\n");
        assert_eq!(steps[1].shown, Shown::Output("seven\n".into()));
        assert_eq!((steps[2].line, &steps[2].shown), (17, &Shown::Output(String::new())));
        assert_eq!(document.not_run().collect::<Vec<_>>(), [(20, "needs root")]);
    }

    #[test]
    fn a_command_that_fails_is_a_fault_with_its_line() {
        let ran = Document::read("X.md", "```sh\ntrue\n```\n\n```sh\nfalse\n```\n").run();
        assert_eq!(ran.faults.len(), 1);
        assert!(ran.faults[0].contains("X.md:5: failed: false"), "{:?}", ran.faults);
    }

    #[test]
    fn what_is_printed_and_not_shown_is_a_fault() {
        let ran = Document::read("X.md", "```console\n$ echo seven\neight\n```\n").run();
        assert!(ran.faults[0].starts_with("X.md:2: "), "{:?}", ran.faults);
        let ran = Document::read("X.md", "```console\n$ echo 'seven 17'\nseven 8\n```\n").run();
        assert!(ran.faults.is_empty(), "{:?}", ran.faults);
    }
}

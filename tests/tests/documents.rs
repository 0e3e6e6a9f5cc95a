//! The commands that README.md, PROTOCOL.md and docs/*.md tell people to type do what they say. How to
//! write a block so that it is run stands at the head of `tests/src/document.rs`.

use std::path::Path;

use rethread_tests::document::{Document, Ran};

/// How many blocks of all documents together may be left out.
const NOT_RUN_MAX: usize = 8;

fn read(path: &str) -> Document {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
    Document::read(path, &text)
}

/// The documents in `docs`.
fn others() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let files = std::fs::read_dir(folder).expect("the folder docs");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".md")).collect();
    names.sort();
    names.into_iter().map(|name| format!("docs/{name}")).collect()
}

fn run(path: &str) -> Ran {
    let ran = read(path).run();
    assert!(ran.faults.is_empty(), "{}\n{}", ran.faults.join("\n"), ran.printed);
    ran
}

#[test]
fn the_readme_publishes_a_run_and_reads_it_back() {
    let ran = run("README.md");
    assert!(ran.steps >= 2, "{ran:?}");
    assert!(ran.printed.contains(r#""text":"Hello.""#), "it is read back: {}", ran.printed);
    assert!(ran.printed.contains(r#""type":"agent_completed""#), "{}", ran.printed);
}

#[test]
fn the_protocols_commands_work_in_their_order() {
    let ran = run("PROTOCOL.md");
    assert!(ran.steps >= 6, "{ran:?}");
    for part in [
        r#""title":"Network drops""#,
        "_run_",
        r#""results":"#,
        r#""more":"#,
        "event: agent_started",
    ] {
        assert!(ran.printed.contains(part), "no {part} in {}", ran.printed);
    }
}

#[test]
fn the_commands_of_every_other_document_work() {
    let ran: Vec<_> = others().into_iter().map(|path| (read(&path).run(), path)).collect();
    let faults: Vec<_> = ran.iter().flat_map(|(ran, _)| &ran.faults).cloned().collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn few_blocks_are_not_run_and_each_says_why() {
    let mut left_out = Vec::new();
    for path in others().into_iter().chain(["README.md".into(), "PROTOCOL.md".into()]) {
        let document = read(&path);
        for (line, why) in document.not_run() {
            assert!(why.len() > 5, "{path}:{line}: say why it is not run");
            left_out.push(format!("{path}:{line}: {why}"));
        }
    }
    assert!(left_out.len() <= NOT_RUN_MAX, "{}", left_out.join("\n"));
}

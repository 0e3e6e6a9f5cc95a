//! What documents must name: others write clients from PROTOCOL.md alone, and newcomers start from
//! the README.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{Failure, source};
use crate::repo;

/// Finds names that are missing from the documents.
pub(super) fn check(failures: &mut Vec<Failure>) -> Result<()> {
    protocol(failures)?;
    let Some(readme) = read("README.md", failures) else { return Ok(()) };
    for command in ["cargo xtask demo", "cargo xtask test"] {
        if !readme.contains(command) {
            failures.push(Failure::new(
                "README.md",
                format!("the README names the two commands; `{command}` is missing"),
                "write it where a newcomer begins",
            ));
        }
    }
    Ok(())
}

fn protocol(failures: &mut Vec<Failure>) -> Result<()> {
    let Some(text) = read("PROTOCOL.md", failures) else { return Ok(()) };
    for (kind, names) in vocabulary()? {
        for name in names {
            if !is_named(&text, &name) {
                failures.push(Failure::new(
                    "PROTOCOL.md",
                    format!("the protocol's text names every {kind}; `{name}` is missing"),
                    "describe it: what it means, when it comes, what to do then",
                ));
            }
        }
    }
    Ok(())
}

/// True when the name stands somewhere as code or as JSON; words like "send" stand everywhere. A
/// number needs no quotes.
fn is_named(text: &str, name: &str) -> bool {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return source::names(text, name);
    }
    ["`", "\""].iter().any(|quote| {
        text.match_indices(&format!("{quote}{name}"))
            .map(|(at, found)| &text[at + found.len()..])
            .any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// Everything that a client of the protocol can meet, read from `shared`.
fn vocabulary() -> Result<Vec<(&'static str, Vec<String>)>> {
    let client = rust("shared/src/frame/client.rs")?;
    let server = rust("shared/src/frame/server.rs")?;
    let code = rust("shared/src/code.rs")?;
    let kind = rust("shared/src/event/kind.rs")?;
    let limits = rust("shared/src/limits.rs")?;
    let snake = |names: Vec<String>| names.iter().map(|name| source::snake_case(name)).collect();
    let mut events: Vec<String> = snake(source::members(&kind, "pub enum EventKind"));
    events.retain(|name| name != "other");
    let mut reasons: Vec<String> = snake(source::members(&server, "pub enum ResetReason"));
    reasons.retain(|name| name != "other");
    let errors = source::assigned_texts(&code, "error_codes! {\n    ///");
    let vocabulary = vec![
        ("op from a client", snake(source::members(&client, "pub enum ClientFrame"))),
        ("op from the server", snake(source::members(&server, "pub enum ServerFrame"))),
        ("event type", events),
        ("reason of a reset", reasons),
        ("error code", errors.into_iter().map(str::to_owned).collect()),
        ("close code", source::assigned_numbers(&code, "pub enum CloseCode")),
        ("announced limit", source::members(&limits, "pub struct Announced")),
    ];
    for (kind, names) in &vocabulary {
        ensure!(
            names.len() > 2,
            "tidy finds no {kind} in shared/src any more: its declaration has moved or changed; \
             mend xtask/src/tidy/documents.rs"
        );
    }
    Ok(vocabulary)
}

fn rust(path: &str) -> Result<String> {
    fs::read_to_string(repo::at(path)).with_context(|| format!("could not read {path}"))
}

fn read(name: &str, failures: &mut Vec<Failure>) -> Option<String> {
    let text = fs::read_to_string(repo::at(name));
    text.map_err(|error| {
        failures.push(Failure::new(name, format!("this document exists ({error})"), "write it"));
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_where_it_stands_as_code() {
        assert!(is_named("`send {req}`", "send") && is_named(r#"{"op":"send"}"#, "send"));
        assert!(!is_named("send it with `sender` or `un_send`", "send"));
    }

    #[test]
    fn the_vocabulary_is_found_in_the_sources() {
        let vocabulary = vocabulary().unwrap();
        let has = |kind: &str, name: &str| {
            vocabulary.iter().any(|(k, names)| *k == kind && names.iter().any(|n| n == name))
        };
        assert!(has("op from a client", "hello") && has("op from a client", "ping"));
        assert!(has("op from the server", "goodbye"));
        assert!(has("event type", "tool_executing"));
        assert!(has("error code", "bad_frame") && has("error code", "internal"));
        assert!(has("close code", "4000") && has("close code", "4501"));
        assert!(has("announced limit", "message_bytes"));
        assert!(has("reason of a reset", "retention"));
    }
}

//! PROTOCOL.md against the golden files and the code: its examples are golden entries, all of them
//! are in it, and its tables name every code, limit and kind.

mod common;

use rethread_shared::{ErrorCode, EventKind, code::CloseClass, limits::Announced};
use serde_json::Value;

const PROTOCOL: &str = include_str!("../../PROTOCOL.md");

/// Name and value of every golden entry.
fn golden() -> Vec<(String, Value)> {
    [
        ("events", common::events()),
        ("client_frames", common::client_frames()),
        ("server_frames", common::server_frames()),
        ("http", common::http()),
        ("view", common::view()),
    ]
    .into_iter()
    .flat_map(|(file, entries)| {
        entries.into_iter().map(move |(name, text)| {
            (format!("{file}: {name}"), serde_json::from_str(text.get()).unwrap())
        })
    })
    .collect()
}

/// The values in the blocks marked `json`; a block may hold several, one behind the other.
fn examples() -> Vec<Value> {
    let mut examples = Vec::new();
    for block in PROTOCOL.split("```json\n").skip(1) {
        let (text, _) = block.split_once("\n```").expect("a block ends");
        for value in serde_json::Deserializer::from_str(text).into_iter() {
            examples.push(value.unwrap_or_else(|e| panic!("{e} in {text}")));
        }
    }
    examples
}

#[test]
fn every_example_is_a_golden_entry() {
    let golden = golden();
    for example in examples() {
        assert!(golden.iter().any(|(_, value)| *value == example), "not golden: {example}");
    }
}

#[test]
fn every_golden_entry_is_an_example() {
    let examples = examples();
    for (name, value) in golden() {
        assert!(examples.contains(&value), "PROTOCOL.md does not show {name}");
    }
}

#[test]
fn every_error_code_has_its_row() {
    for code in ErrorCode::ALL {
        let retry = if code.is_transient() { "yes" } else { "no" };
        let row = format!("| `{code}` | {} | {retry} |", code.status());
        assert!(PROTOCOL.contains(&row), "no row {row}");
    }
}

#[test]
fn every_kind_is_described() {
    for kind in EventKind::KNOWN {
        assert!(PROTOCOL.contains(&format!("**`{kind}`**")), "{kind} is not described");
    }
}

#[test]
fn every_announced_limit_has_its_row() {
    let Value::Object(limits) = serde_json::to_value(Announced::default()).unwrap() else {
        panic!("limits are an object");
    };
    for (name, value) in limits {
        let bytes = value.as_u64().unwrap();
        let value = match bytes {
            1_048_576.. => format!("{} MiB", bytes >> 20),
            4_096.. => format!("{} KiB", bytes >> 10),
            1_000.. => format!("{},{:03}", bytes / 1_000, bytes % 1_000),
            _ => bytes.to_string(),
        };
        let row = format!("| {value} | `{name}` |");
        assert!(PROTOCOL.contains(&row), "no row with {row}");
    }
}

#[test]
fn every_close_code_stands_in_the_row_of_its_class() {
    use rethread_shared::CloseCode::{
        GoingAway, HelloTimeout, ProtocolError, Silent, SlowReader, TokenExpired, Unauthorized,
    };
    let rows: Vec<_> = PROTOCOL.lines().filter(|line| line.starts_with("| 4")).collect();
    for code in
        [GoingAway, SlowReader, Silent, HelloTimeout, TokenExpired, Unauthorized, ProtocolError]
    {
        let start = match CloseClass::of(code.number()) {
            CloseClass::Transient => "| 4000 to 4199 |",
            CloseClass::NewToken => "| 4200 to 4299 |",
            CloseClass::Terminal => "| 4500 to 4999 |",
        };
        let entry = format!("`{}` `{}`", code.number(), code.reason());
        let row = rows.iter().find(|row| row.starts_with(start)).expect(start);
        assert!(row.contains(&entry), "{entry} is not in {row}");
    }
}

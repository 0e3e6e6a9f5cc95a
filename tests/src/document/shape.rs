//! What a document shows, against what was printed: the same shape, other values.

use regex::Regex;
use serde_json::{Deserializer, Value};

/// The same shape: JSON by members and types, other text line by line.
pub(super) fn compare(shown: &str, printed: &str) -> Result<(), String> {
    if let (Some(shown), Some(printed)) = (json(shown), json(printed)) {
        if shown.len() != printed.len() {
            return Err(format!(
                "{} JSON values are shown, {} were printed",
                shown.len(),
                printed.len()
            ));
        }
        return shown
            .iter()
            .zip(&printed)
            .try_for_each(|(shown, printed)| like(shown, printed, "$"));
    }
    if pattern(shown).is_match(printed.trim_end()) {
        return Ok(());
    }
    Err(format!("shown is\n{shown}\nand printed was\n{printed}"))
}

/// Each JSON value that was printed has the shape of one that is shown. Where no JSON is shown, or none
/// was printed, all is well.
pub(super) fn is_among(shown: &[String], printed: &str) -> Result<(), String> {
    let shown: Vec<Value> = shown.iter().filter_map(|text| json(text)).flatten().collect();
    let Some(printed) = json(printed).filter(|_| !shown.is_empty()) else { return Ok(()) };
    for value in printed {
        let tried: Vec<_> = shown.iter().map(|shown| like(shown, &value, "$")).collect();
        if tried.iter().all(Result::is_err) {
            let tried: Vec<_> = tried.into_iter().filter_map(Result::err).collect();
            return Err(format!("{value}\nis like nothing that the section shows: {tried:?}"));
        }
    }
    Ok(())
}

/// The values one behind the other; `None` where it is something else.
fn json(text: &str) -> Option<Vec<Value>> {
    let values: Result<Vec<Value>, _> = Deserializer::from_str(text).into_iter().collect();
    let values = values.ok()?;
    let is_json = values.iter().any(|value| value.is_object() || value.is_array());
    is_json.then_some(values)
}

/// Members that hold whatever somebody wrote.
const FREE: [&str; 5] = ["data", "input", "output", "result", "figures"];
/// Members that an object may have or not.
const OPTIONAL: [&str; 10] = [
    "complete",
    "connections",
    "duplicate",
    "last_error",
    "reason",
    "retry_after_ms",
    "thread",
    "title",
    "token",
    "user",
];

fn like(shown: &Value, printed: &Value, at: &str) -> Result<(), String> {
    match (shown, printed) {
        (Value::Object(shown), Value::Object(printed)) => {
            let known = |name: &String| FREE.contains(&&**name) || OPTIONAL.contains(&&**name);
            if let Some(name) =
                shown.keys().find(|name| !printed.contains_key(*name) && !known(name))
            {
                return Err(format!("{at}.{name} is shown and was not printed"));
            }
            for (name, printed) in printed.iter().filter(|(name, _)| !FREE.contains(&&***name)) {
                match shown.get(name) {
                    Some(shown) => like(shown, printed, &format!("{at}.{name}"))?,
                    None if known(name) => {}
                    None => return Err(format!("{at}.{name} was printed and is not shown")),
                }
            }
            Ok(())
        }
        (Value::Array(shown), Value::Array(printed)) => printed.iter().try_for_each(|printed| {
            let mut last = Err(format!("{at} has elements, and none is shown"));
            for shown in shown {
                last = like(shown, printed, &format!("{at}[]"));
                if last.is_ok() {
                    break;
                }
            }
            last
        }),
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, Value::Null) => Ok(()),
        _ => Err(format!("{at} is shown as {shown} and was printed as {printed}")),
    }
}

fn pattern(shown: &str) -> Regex {
    let mut lines = Vec::new();
    for line in shown.trim_end().lines() {
        if line.trim() == "…" {
            lines.push(r"(?:[^\n]*\n)*?[^\n]*".to_owned());
            continue;
        }
        let words = line.split_whitespace().map(|word| {
            let parts =
                word.split('…').map(|part| match part.bytes().any(|b| b.is_ascii_digit()) {
                    true => r"[^\s]+".to_owned(),
                    false => regex::escape(part),
                });
            parts.collect::<Vec<_>>().join(r"[^\n]*")
        });
        lines.push(format!(r"[ \t]*{}[ \t]*", words.collect::<Vec<_>>().join(r"[ \t]+")));
    }
    Regex::new(&format!("^{}$", lines.join(r"\n"))).expect("escaped text is a pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_compared_by_members_and_types() {
        let shown = r#"{"thread":"thread_1","head":4,"events":[{"seq":1,"data":{"text":"…"}}]}"#;
        let other = r#"{"thread":"thread_x","head":0,"events":[]}"#;
        assert_eq!(compare(shown, other), Ok(()));
        let other = r#"{"thread":"thread_x","head":9,"events":[{"seq":3,"data":7}]}"#;
        assert_eq!(compare(shown, other), Ok(()));
        for wrong in [
            r#"{"thread":"thread_x","head":"0","events":[]}"#,
            r#"{"head":0,"thread":"thread_x"}"#,
            r#"{"thread":"thread_x","head":0,"events":[],"more":true}"#,
            r#"{"thread":"thread_x","head":9,"events":[{"at":3}]}"#,
            "no JSON",
        ] {
            assert!(compare(shown, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn text_is_compared_line_by_line() {
        let shown = "THREAD     EVENTS\nthread_42  17  …\n…\n3 threads\n";
        assert_eq!(
            compare(shown, "THREAD   EVENTS\nthread_9   2  a b c\nx\ny\n12 threads\n"),
            Ok(())
        );
        assert!(compare(shown, "THREAD   EVENTS\n12 threads\n").is_err());
        assert!(compare(shown, "THREADS   EVENTS\nthread_9   2  a\nx\n12 threads\n").is_err());
    }

    #[test]
    fn what_was_printed_is_among_what_the_section_shows() {
        let shown = ["{\"a\":1}\n{\"b\":\"x\"}".to_owned()];
        assert_eq!(is_among(&shown, "{\"b\":\"y\"}\n"), Ok(()));
        assert!(is_among(&shown, "{\"c\":1}").is_err());
        assert_eq!(is_among(&[], "{\"c\":1}"), Ok(()));
        assert_eq!(is_among(&shown, "id: 9f3a12bc:1\n"), Ok(()));
    }
}

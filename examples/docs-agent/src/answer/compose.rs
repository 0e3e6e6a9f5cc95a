//! The text of a quoted answer.

use super::{choose::Chosen, sentences::Snippet};
use crate::tools::{Hit, cut};

/// Lines of a passage that are quoted when it has no sentences.
const CODE_LINES_MAX: usize = 16;
/// Bytes of one of those lines.
const CODE_LINE_BYTES_MAX: usize = 200;

/// The answer: what says most first, the rest as a list, code, then the sources.
pub(super) fn compose(chosen: &[Chosen], snippet: Option<&Snippet>) -> String {
    let place = |chosen: &Chosen| format!("`{}:{}`", chosen.sentence.file, chosen.sentence.line);
    let mut answer = String::new();
    if let Some((lead, rest)) = chosen.split_first() {
        answer.push_str(&format!("{} ({})\n\n", balanced(&lead.sentence.text), place(lead)));
        let mut rest: Vec<_> = rest.iter().map(|chosen| (place(chosen), chosen)).collect();
        rest.sort_by_key(|(_, Chosen { sentence, .. })| {
            (sentence.file != lead.sentence.file, sentence.file.clone(), sentence.line)
        });
        for (place, chosen) in &rest {
            answer.push_str(&format!("- {} ({place})\n", balanced(&chosen.sentence.text)));
        }
        if !rest.is_empty() {
            answer.push('\n');
        }
    }
    if let Some(snippet) = snippet {
        answer.push_str(&snippet.text);
        answer.push_str("\n\n");
    }
    answer.push_str("**Sources**\n\n");
    let mut named = Vec::new();
    for chosen in chosen {
        let source = (&chosen.sentence.file, &chosen.sentence.heading);
        if named.contains(&source) {
            continue;
        }
        named.push(source);
        let (place, heading) = (place(chosen), &chosen.sentence.heading);
        let heading = if heading.is_empty() { String::new() } else { format!(", {heading}") };
        answer.push_str(&format!("- {place}{heading}\n"));
    }
    if let Some(snippet) = snippet {
        answer.push_str(&format!("- `{}:{}`, the code\n", snippet.file, snippet.line));
    }
    answer
}

/// A sentence out of its paragraph may have lost half of a pair of marks; the other half goes too.
fn balanced(text: &str) -> String {
    let mut text = text.to_owned();
    for mark in ["**", "`"] {
        if text.matches(mark).count() % 2 == 1 {
            text = text.replace(mark, "");
        }
    }
    text
}

/// A passage without sentences, as it is.
pub(super) fn quote_code(hit: &Hit) -> String {
    let lines: Vec<_> = hit.text.lines().take(CODE_LINES_MAX).collect();
    let to = hit.from + lines.len().saturating_sub(1);
    let fence = if hit.text.contains("```") { "~~~" } else { "```" };
    format!(
        "The passage that fits best is `{}:{}`:\n\n{fence}\n{}\n{fence}\n\n\
         **Sources**\n\n- `{0}:{1}`–{to}\n",
        hit.file,
        hit.from,
        lines.iter().map(|line| cut(line, CODE_LINE_BYTES_MAX)).collect::<Vec<_>>().join("\n")
    )
}

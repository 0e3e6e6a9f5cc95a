//! The sentences of a document, and its blocks of code, with their places.

use crate::{
    passage::{heading, is_fence},
    tools::{Read, cut},
};

/// Bytes of a sentence that is quoted; a longer one is cut.
const SENTENCE_BYTES_MAX: usize = 420;

/// One sentence, list item or table row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    pub(super) file: String,
    /// The line it begins in.
    pub(super) line: usize,
    /// The nearest heading above it within what was read.
    pub(super) heading: String,
    /// The paragraph, item or row that it is part of, counted within what was read.
    pub(super) block: usize,
    /// False for a comment in code.
    pub(super) prose: bool,
    pub(super) text: String,
}

/// The sentences of what was read: of paragraphs, list items, table rows and, in code, of comments.
/// Blocks of code are left out; `in_code` says that the text begins within one.
pub(super) fn sentences(read: &Read, prose: bool, mut in_code: bool) -> Vec<Sentence> {
    let mut reader = Reader {
        read,
        prose,
        heading: String::new(),
        block: Vec::new(),
        blocks: 0,
        out: Vec::new(),
    };
    for (line, text) in read.text.lines().enumerate().map(|(at, text)| (read.from + at, text)) {
        let text = if prose { Some(text) } else { comment(text) };
        let Some(text) = text else {
            reader.flush();
            continue;
        };
        if is_fence(text) {
            in_code = !in_code;
            reader.flush();
        } else if in_code {
        } else if let Some((_, title)) = heading(text) {
            reader.flush();
            title.clone_into(&mut reader.heading);
        } else if text.trim().is_empty() || is_rule(text) || text.trim_start().starts_with("![") {
            reader.flush();
        } else if let Some(row) = table_row(text) {
            reader.flush();
            reader.block.push((line, row));
            reader.flush();
        } else {
            let (opens, text) = unmark(text);
            if opens {
                reader.flush();
            }
            reader.block.push((line, text.to_owned()));
        }
    }
    reader.flush();
    reader.out
}

struct Reader<'a> {
    read: &'a Read,
    prose: bool,
    heading: String,
    /// The lines of the paragraph being read.
    block: Vec<(usize, String)>,
    blocks: usize,
    out: Vec<Sentence>,
}

impl Reader<'_> {
    /// Ends a paragraph: joins its lines and cuts them into sentences, each with its first line.
    fn flush(&mut self) {
        self.blocks += 1;
        let mut joined = String::new();
        let mut starts = Vec::new();
        for (line, text) in self.block.drain(..) {
            if !joined.is_empty() {
                joined.push(' ');
            }
            starts.push((joined.len(), line));
            joined.push_str(text.trim());
        }
        let mut from = 0;
        for to in ends(&joined) {
            let text = joined[from..to].trim();
            let at = from + (joined[from..to].len() - joined[from..to].trim_start().len());
            let line = starts.iter().rev().find(|(start, _)| *start <= at).map(|(_, line)| *line);
            if let Some(line) = line
                && !text.is_empty()
            {
                self.out.push(Sentence {
                    file: self.read.file.clone(),
                    line,
                    heading: self.heading.clone(),
                    block: self.blocks,
                    prose: self.prose,
                    text: shorten(text),
                });
            }
            from = to;
        }
    }
}

/// Where sentences end: after `.`, `!` or `?` and what closes quotes, before white space and a word
/// that may open a sentence. Not within `code`, and not after what is usually an abbreviation.
fn ends(text: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut in_code = false;
    let chars: Vec<_> = text.char_indices().collect();
    for (n, &(_, c)) in chars.iter().enumerate() {
        if c == '`' {
            in_code = !in_code;
        }
        if in_code || !matches!(c, '.' | '!' | '?') {
            continue;
        }
        let mut after = n + 1;
        while chars.get(after).is_some_and(|(_, c)| ")\"'*_”’".contains(*c)) {
            after += 1;
        }
        let Some(&(at, space)) = chars.get(after) else { continue };
        let opens = chars.get(after + 1).is_some_and(|(_, c)| {
            c.is_uppercase() || c.is_ascii_digit() || "`*_\"'“([".contains(*c)
        });
        let word = text[..chars[n].0].rsplit([' ', '(']).next().unwrap_or_default();
        // A label such as **Order.** belongs to what it is the label of.
        let from = ends.last().copied().unwrap_or_default();
        let label = text[from..at].trim_start().starts_with("**") && text[from..at].ends_with("**");
        let abbreviation = matches!(word, "e.g" | "i.e" | "etc" | "vs" | "cf" | "Dr" | "Mr");
        if space.is_whitespace() && opens && !abbreviation && !label {
            ends.push(at);
        }
    }
    ends.push(text.len());
    ends
}

/// The words of a comment in code, without its sign.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    ["//!", "///", "//", "# ", "* ", "-- "].iter().find_map(|sign| line.strip_prefix(sign))
}

fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.len() > 2 && line.chars().all(|c| "-=*_|: ".contains(c))
}

/// The cells of a table's row, as one sentence.
fn table_row(line: &str) -> Option<String> {
    let cells = line.trim().strip_prefix('|')?.trim_end_matches('|');
    let cells: Vec<_> = cells.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
    Some(cells.join(" — "))
}

/// A line without the sign of a list or a quote, and whether it opens an item.
fn unmark(line: &str) -> (bool, &str) {
    let line = line.trim_start();
    for sign in ["- ", "* ", "+ ", "> "] {
        if let Some(rest) = line.strip_prefix(sign) {
            return (sign != "> ", rest.trim_start());
        }
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    match line[digits..].strip_prefix(". ") {
        Some(rest) if (1..=3).contains(&digits) => (true, rest),
        _ => (false, line),
    }
}

fn shorten(text: &str) -> String {
    if text.len() <= SENTENCE_BYTES_MAX {
        return text.to_owned();
    }
    let short = cut(text, SENTENCE_BYTES_MAX);
    let short = short.rsplit_once(' ').map_or(short, |(words, _)| words);
    format!("{short} …")
}

/// A block of code in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snippet {
    pub(super) file: String,
    /// The line after the opening fence.
    pub(super) line: usize,
    /// With both fences.
    pub(super) text: String,
}

/// The blocks of code that stand whole in what was read.
pub(super) fn snippets(read: &Read, mut in_code: bool) -> Vec<Snippet> {
    let mut snippets = Vec::new();
    let mut open: Option<(usize, Vec<&str>)> = None;
    for (line, text) in read.text.lines().enumerate().map(|(at, text)| (read.from + at, text)) {
        if let Some((_, lines)) = &mut open {
            lines.push(text);
        }
        if !is_fence(text) {
            continue;
        }
        in_code = !in_code;
        match open.take() {
            None if in_code => open = Some((line + 1, vec![text])),
            None => {}
            Some((line, lines)) => {
                let (file, text) = (read.file.clone(), lines.join("\n"));
                snippets.push(Snippet { file, line, text });
            }
        }
    }
    snippets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Read {
        Read {
            file: "x.md".into(),
            from: 10,
            to: 10 + text.lines().count(),
            lines: 99,
            text: text.into(),
            truncated: false,
        }
    }

    #[test]
    fn sentences_know_their_lines_and_headings() {
        let text = "# Laws\n\nFirst one. Second\ngoes on, e.g. Here, and `a. B` too. Third!\n\n\
            - An item\n  in two lines.\n- Another.\n\n| word | meaning |\n|---|---|\n| run | one go |\n\
            ```\ncode. Here\n```\n1. Numbered.";
        let got: Vec<_> =
            sentences(&read(text), true, false).into_iter().map(|s| (s.line, s.text)).collect();
        let expected = [
            (12, "First one."),
            (12, "Second goes on, e.g. Here, and `a. B` too."),
            (13, "Third!"),
            (15, "An item in two lines."),
            (17, "Another."),
            (19, "word — meaning"),
            (21, "run — one go"),
            (25, "Numbered."),
        ];
        let expected: Vec<_> = expected.map(|(line, text)| (line, text.to_owned())).into();
        assert_eq!(got, expected);
        assert!(sentences(&read(text), true, false).iter().all(|s| s.heading == "Laws"));
    }

    #[test]
    fn code_is_left_out_of_the_sentences_and_found_as_snippets() {
        let text = "let a = 1;\n```\nWords here.\n```sh\nls -l\n```\nMore words.\n```\nopen";
        let got: Vec<_> = sentences(&read(text), true, true).into_iter().map(|s| s.text).collect();
        assert_eq!(got, ["Words here.", "More words."]);
        let got: Vec<_> =
            snippets(&read(text), true).into_iter().map(|s| (s.line, s.text)).collect();
        assert_eq!(got, [(14, "```sh\nls -l\n```".to_owned())]);
    }

    #[test]
    fn code_speaks_through_its_comments() {
        let text = "/// Splits a text. At blank lines.\nfn split() {\n    let a = 1; // no\n}\n";
        let got: Vec<_> =
            sentences(&read(text), false, false).into_iter().map(|s| s.text).collect();
        assert_eq!(got, ["Splits a text.", "At blank lines."]);
    }
}

//! Splitting a document into passages: what `search` finds.

use crate::limits::{PASSAGE_BYTES_MAX, PASSAGE_LINES_MAX};

/// A piece of a document that makes sense on its own: paragraphs under one heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// The document's path within the folder.
    pub(crate) file: String,
    /// The headings it stands under, outermost first, joined with ` > `; empty where there are none.
    pub(crate) heading: String,
    /// Its first line, from 1.
    pub(crate) from: usize,
    /// Its last line.
    pub(crate) to: usize,
    /// Its text, as it stands in the document.
    pub(crate) text: String,
    /// True for text written for people, false for code and data.
    pub(crate) prose: bool,
    /// True when it begins within a block of code that was too long for one passage.
    pub(crate) in_code: bool,
}

/// Splits a document at headings, and long sections at blank lines. A block of code stays whole as
/// far as the limits allow.
pub(crate) fn split(file: &str, text: &str, prose: bool) -> Vec<Passage> {
    let mut splitter = Splitter {
        file,
        prose,
        headings: Vec::new(),
        lines: Vec::new(),
        from: 1,
        begins_in_code: false,
        bytes: 0,
        passages: Vec::new(),
    };
    let mut in_code = false;
    for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        let was_in_code = in_code;
        if is_fence(line) {
            in_code = !in_code;
        }
        if prose
            && !in_code
            && let Some((level, title)) = heading(line)
        {
            splitter.flush();
            splitter.headings.retain(|(outer, _)| *outer < level);
            splitter.headings.push((level, title.to_owned()));
        } else if splitter.is_full(in_code, line) {
            splitter.flush();
        }
        splitter.push(at, line, was_in_code);
    }
    splitter.flush();
    splitter.passages
}

/// The level and title of a Markdown heading.
pub(crate) fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    let title = line[level..].strip_prefix(' ')?.trim_matches(['#', ' ']);
    ((1..=6).contains(&level) && !title.is_empty()).then_some((level, title))
}

/// True for the line that opens or closes a block of code in Markdown.
pub(crate) fn is_fence(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("```") || line.starts_with("~~~")
}

struct Splitter<'a> {
    file: &'a str,
    prose: bool,
    headings: Vec<(usize, String)>,
    lines: Vec<&'a str>,
    from: usize,
    begins_in_code: bool,
    bytes: usize,
    passages: Vec<Passage>,
}

impl<'a> Splitter<'a> {
    /// True where a passage should end before `line`: at a blank line once half of what is allowed
    /// has come, anywhere at the limit.
    fn is_full(&self, in_code: bool, line: &str) -> bool {
        let (lines, bytes) = (self.lines.len() + 1, self.bytes + line.len());
        let half = lines * 2 > PASSAGE_LINES_MAX || bytes * 2 > PASSAGE_BYTES_MAX;
        lines > PASSAGE_LINES_MAX
            || bytes > PASSAGE_BYTES_MAX
            || (half && !in_code && line.trim().is_empty())
    }

    fn push(&mut self, at: usize, line: &'a str, in_code: bool) {
        if self.lines.is_empty() {
            if line.trim().is_empty() {
                return;
            }
            (self.from, self.begins_in_code) = (at, in_code && self.prose);
        }
        self.bytes += line.len() + 1;
        self.lines.push(line);
    }

    fn flush(&mut self) {
        while self.lines.last().is_some_and(|line| line.trim().is_empty()) {
            self.lines.pop();
        }
        let only_heading = self.prose && self.lines.len() == 1 && heading(self.lines[0]).is_some();
        if !self.lines.is_empty() && !only_heading {
            let titles: Vec<_> = self.headings.iter().map(|(_, title)| title.as_str()).collect();
            self.add(Passage {
                file: self.file.to_owned(),
                heading: titles.join(" > "),
                from: self.from,
                to: self.from + self.lines.len() - 1,
                text: self.lines.join("\n"),
                prose: self.prose,
                in_code: self.begins_in_code,
            });
        }
        self.lines.clear();
        self.bytes = 0;
    }

    /// Adds a passage; the short end of a section goes to the passage before it, for a line or two
    /// on their own would rank above the text that they belong to.
    fn add(&mut self, passage: Passage) {
        let opens = heading(passage.text.lines().next().unwrap_or_default()).is_some();
        if let Some(last) = self.passages.last_mut()
            && last.heading == passage.heading
            && !(self.prose && opens)
            && passage.text.len() * 4 < PASSAGE_BYTES_MAX
            && passage.to - last.from < PASSAGE_LINES_MAX
            && last.text.len() + passage.text.len() + passage.from - last.to <= PASSAGE_BYTES_MAX
        {
            last.text.push_str(&"\n".repeat(passage.from - last.to));
            last.text.push_str(&passage.text);
            last.to = passage.to;
            return;
        }
        self.passages.push(passage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_headings_and_knows_its_lines() {
        let text =
            "# A\n\nOne.\nTwo.\n\n## B\nThree.\n\n```sh\n# no heading\n\nls\n```\n# C\n\n# D\nEnd.";
        let passages = split("x.md", text, true);
        let got: Vec<_> = passages.iter().map(|p| (p.heading.as_str(), p.from, p.to)).collect();
        assert_eq!(got, [("A", 1, 4), ("A > B", 6, 13), ("D", 16, 17)]);
        assert_eq!(passages[0].text, "# A\n\nOne.\nTwo.");
    }

    #[test]
    fn the_short_end_of_a_section_stays_with_it() {
        let paragraph = "Some words in a line.\n".repeat(PASSAGE_LINES_MAX * 3 / 4);
        let passages = split("x.md", &format!("# A\n{paragraph}\nThe end.\n# B\nOther.\n"), true);
        let got: Vec<_> = passages.iter().map(|p| (p.heading.as_str(), p.from, p.to)).collect();
        assert_eq!(got, [("A", 1, 33), ("B", 34, 35)]);
        assert_eq!(passages[0].text.lines().count(), 33);
    }

    #[test]
    fn a_long_block_of_code_says_where_it_goes_on() {
        let text = format!("Words.\n```\n{}```\nMore words.\n", "code\n".repeat(PASSAGE_LINES_MAX));
        let passages = split("x.md", &text, true);
        assert_eq!(passages.iter().map(|p| p.in_code).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_passage_keeps_to_its_limits_and_no_line_is_lost() {
        let line = "word ".repeat(20);
        let text: String = (0..300)
            .map(|n| if n % 7 == 6 { "\n".into() } else { format!("{line}{n}\n") })
            .collect();
        let passages = split("x.txt", &text, true);
        for passage in &passages {
            assert!(passage.text.len() <= PASSAGE_BYTES_MAX);
            assert!(passage.to - passage.from < PASSAGE_LINES_MAX);
        }
        let lines = |text: &str| {
            text.lines().map(str::to_owned).filter(|l| !l.is_empty()).collect::<Vec<_>>()
        };
        let joined: Vec<_> = passages.iter().flat_map(|p| lines(&p.text)).collect();
        assert_eq!(joined, lines(&text));
    }

    #[test]
    fn a_line_longer_than_a_passage_is_one() {
        let passages = split("x.json", &"a".repeat(PASSAGE_BYTES_MAX * 2), false);
        assert_eq!(passages.len(), 1);
    }
}

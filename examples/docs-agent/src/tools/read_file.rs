//! `read_file`: lines of one document.

use serde::{Deserialize, Serialize};

use super::{ToolError, cut};
use crate::{
    docs::Docs,
    limits::{READ_BYTES_MAX, READ_LINES_MAX},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadFile {
    path: String,
    from: Option<usize>,
    to: Option<usize>,
}

/// What `read_file` gives.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) file: String,
    /// First line, from 1.
    pub(crate) from: usize,
    /// Last line. Before `from` where the file is empty.
    pub(crate) to: usize,
    /// Lines of the whole file.
    pub(crate) lines: usize,
    pub(crate) text: String,
    /// True when a limit ended it before what was asked for.
    pub(crate) truncated: bool,
}

pub(super) fn run(docs: &Docs, input: ReadFile) -> Result<Read, ToolError> {
    let (file, text) = docs.read(&input.path).map_err(|error| ToolError(error.to_string()))?;
    let all: Vec<_> = text.lines().collect();
    let from = input.from.unwrap_or(1).max(1);
    let wanted = input.to.unwrap_or(all.len()).min(all.len());
    if from > all.len().max(1) {
        return Err(ToolError(format!("{file} has {} lines, {from} was asked for", all.len())));
    }
    if input.to.is_some_and(|to| to < from) {
        return Err(ToolError(format!("`to` must not be before `from` ({from})")));
    }
    let mut to = from - 1;
    let mut text = String::new();
    for line in &all[from - 1..wanted] {
        let first = text.is_empty() && to == from - 1;
        if to + 1 - from >= READ_LINES_MAX || (!first && text.len() + line.len() >= READ_BYTES_MAX)
        {
            break;
        }
        if !first {
            text.push('\n');
        }
        text.push_str(cut(line, READ_BYTES_MAX));
        to += 1;
    }
    let cut_line = all.get(from - 1).is_some_and(|line| line.len() > READ_BYTES_MAX);
    Ok(Read { file, from, to, lines: all.len(), text, truncated: to < wanted || cut_line })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        docs: &Docs,
        path: &str,
        from: Option<usize>,
        to: Option<usize>,
    ) -> Result<Read, String> {
        run(docs, ReadFile { path: path.into(), from, to }).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_the_lines_asked_for_within_its_limits() {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<_> = (1..=500).map(|n| format!("line {n}")).collect();
        std::fs::write(folder.path().join("long.txt"), lines.join("\n")).unwrap();
        std::fs::write(folder.path().join("wide.txt"), "x".repeat(READ_BYTES_MAX * 2)).unwrap();
        std::fs::write(
            folder.path().join("wider.txt"),
            format!("{}\n", "y".repeat(100)).repeat(190),
        )
        .unwrap();
        std::fs::write(folder.path().join("empty.txt"), "").unwrap();
        let docs = Docs::open(folder.path()).unwrap();

        let some = read(&docs, "long.txt", Some(3), Some(4)).unwrap();
        assert_eq!((some.text.as_str(), some.from, some.to), ("line 3\nline 4", 3, 4));
        assert!(!some.truncated);

        let all = read(&docs, "long.txt", None, None).unwrap();
        assert_eq!((all.to, all.lines, all.truncated), (READ_LINES_MAX, 500, true));
        let end = read(&docs, "long.txt", Some(499), Some(9_999)).unwrap();
        assert_eq!((end.to, end.truncated), (500, false));

        for path in ["wide.txt", "wider.txt"] {
            let wide = read(&docs, path, None, None).unwrap();
            assert!(wide.text.len() <= READ_BYTES_MAX && wide.truncated, "{path}");
        }
        let empty = read(&docs, "empty.txt", None, None).unwrap();
        assert_eq!((empty.text.as_str(), empty.to, empty.lines), ("", 0, 0));

        let error = read(&docs, "long.txt", Some(501), None).unwrap_err();
        assert!(error.contains("has 500 lines"), "{error}");
        let error = read(&docs, "long.txt", Some(5), Some(4)).unwrap_err();
        assert!(error.contains("must not be before"), "{error}");
    }
}

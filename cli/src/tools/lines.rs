//! Lines of a file or of standard input, each within a limit.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use anyhow::Context;

/// Reads lines that are not blank.
pub(crate) struct Lines {
    input: Box<dyn BufRead + Send>,
    max: usize,
    number: u64,
}

/// A line, with its number and how many bytes of the input it took.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    /// Its text, or what is wrong with it.
    pub(crate) text: Result<String, String>,
}

impl Lines {
    /// The lines of a file; `-` is standard input. `max` is what one may have, in bytes. Says how
    /// many bytes there are, where that is known.
    pub(crate) fn open(path: &Path, max: usize) -> anyhow::Result<(Self, Option<u64>)> {
        if path == Path::new("-") {
            return Ok((Self::new(BufReader::new(io::stdin()), max), None));
        }
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let whole = file.metadata().ok().filter(|file| file.is_file()).map(|file| file.len());
        Ok((Self::new(BufReader::new(file), max), whole))
    }

    pub(crate) fn new(input: impl BufRead + Send + 'static, max: usize) -> Self {
        Self { input: Box::new(input), max, number: 0 }
    }

    /// The next line that is not blank.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = 0;
        loop {
            let mut text = Vec::new();
            let limit = self.max as u64 + 1;
            let read = self.input.by_ref().take(limit).read_until(b'\n', &mut text)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            bytes += read as u64;
            let is_whole = text.last() == Some(&b'\n');
            if !is_whole && read as u64 == limit {
                bytes += self.skip()?;
                let text = Err(format!("the line has more than {} bytes", self.max));
                return Ok(Some(Line { number: self.number, bytes, text }));
            }
            let text = String::from_utf8(text)
                .map(|text| text.trim().to_owned())
                .map_err(|error| format!("the line is not UTF-8: {error}"));
            if text.as_ref().is_ok_and(String::is_empty) {
                continue;
            }
            return Ok(Some(Line { number: self.number, bytes, text }));
        }
    }

    /// Leaves out what remains of a line.
    fn skip(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(skipped);
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(buffer.len(), |end| end + 1);
            self.input.consume(taken);
            skipped += taken as u64;
            if end.is_some() {
                return Ok(skipped);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_held_to_their_limit() {
        let input = "one\n\n  \ntwo\nmuch too long\nlast";
        let mut lines = Lines::new(io::Cursor::new(input), 5);
        let mut read = Vec::new();
        let mut bytes = 0;
        while let Some(line) = lines.next().unwrap() {
            bytes += line.bytes;
            read.push((line.number, line.text.ok()));
        }
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read, [(1, text("one")), (4, text("two")), (5, None), (6, text("last"))]);
        assert_eq!(bytes, input.len() as u64);
    }

    #[test]
    fn what_is_not_utf_8_is_said() {
        let mut lines = Lines::new(io::Cursor::new(b"\xff\nfine\n".to_vec()), 100);
        assert!(lines.next().unwrap().unwrap().text.unwrap_err().contains("UTF-8"));
        assert_eq!(lines.next().unwrap().unwrap().text.unwrap(), "fine");
    }
}

//! What a person sees: text that is safe to print, colours where they are wanted, columns.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, StdoutLock, Write},
};

/// Standard output with colours, where a terminal shows it and `NO_COLOR` is not set.
pub(crate) struct Screen {
    out: io::BufWriter<StdoutLock<'static>>,
    paint: Paint,
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    is_on: bool,
}

/// What a colour says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tone {
    Plain,
    Faint,
    Strong,
    Good,
    Bad,
    Busy,
    Person,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let out = io::stdout();
        let paint = Paint { is_on: is_coloured(out.is_terminal()) };
        Self { out: io::BufWriter::new(out.lock()), paint }
    }

    pub(crate) fn paint(&self) -> Paint {
        self.paint
    }

    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")
    }

    /// Text without an end of line, shown at once.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Paint {
    /// For what is said on standard error.
    pub(crate) fn of_stderr() -> Self {
        Self { is_on: is_coloured(io::stderr().is_terminal()) }
    }

    pub(crate) fn tone<'a>(self, tone: Tone, text: &'a str) -> Cow<'a, str> {
        let code = match tone {
            Tone::Plain => return text.into(),
            _ if !self.is_on => return text.into(),
            Tone::Faint => "2",
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Busy => "33",
            Tone::Person => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m").into()
    }
}

/// See <https://no-color.org>.
fn is_coloured(is_terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    is_terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Text of others on one line: nothing in it moves the cursor or speaks to the terminal.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe.into()
}

/// As [`clean`], with its line breaks: for the text of an answer.
pub(crate) fn clean_lines(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c == '\n' || !is_unsafe(c)) {
        return text.into();
    }
    let lines: Vec<_> = text.split('\n').map(clean).collect();
    lines.join("\n").into()
}

/// Control characters, and those that turn the direction of text around.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Rows in columns, each as wide as its widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heads: &[&str]) -> Self {
        Self { rows: vec![heads.iter().map(|head| head.to_uppercase()).collect()] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| clean(&cell).into_owned()).collect());
    }

    pub(crate) fn print(&self, screen: &mut Screen) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for (place, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                let gap = width + 2 - cell.chars().count();
                line.extend(std::iter::repeat_n(' ', gap));
            }
            let tone = if place == 0 { Tone::Faint } else { Tone::Plain };
            let line = screen.paint().tone(tone, line.trim_end()).into_owned();
            screen.line(&line)?;
        }
        screen.flush()
    }
}

/// `1 thread`, `2 threads`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A time in milliseconds since 1970 as `2026-11-20T14:03:22Z`.
pub(crate) fn time(unix_ms: u64) -> String {
    let seconds = unix_ms / 1_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_others_speaks_to_the_terminal() {
        assert_eq!(clean("plain, schön, 日本"), "plain, schön, 日本");
        assert_eq!(clean("a\x1b]0;title\x07\nb\u{202e}"), r"a\u{1b}]0;title\u{7}\nb\u{202e}");
        assert_eq!(clean_lines("a\n\x1b[2Jb\n"), "a\n\\u{1b}[2Jb\n");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (unix_ms, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_756_919_162_904, "2025-09-03T17:06:02Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(time(unix_ms), shown);
        }
    }

    #[test]
    fn colours_are_only_where_they_are_on() {
        assert_eq!(Paint { is_on: false }.tone(Tone::Bad, "x"), "x");
        assert_eq!(Paint { is_on: true }.tone(Tone::Bad, "x"), "\x1b[31mx\x1b[0m");
    }
}

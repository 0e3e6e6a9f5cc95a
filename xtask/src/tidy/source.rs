//! Reading Rust sources as far as tidy needs to: code without comments and tests, and the names in
//! a declaration.

/// The lines of code with their numbers: without comments, and without the tests at the file's end.
pub(super) fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim().is_empty())
}

/// True when `line` has `word` as a whole path or name: `axum` is in `use axum::Router` and not in
/// `maxum`.
pub(super) fn names(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// The names of an enum's variants or a struct's public fields, as they stand one level inside the
/// declaration that begins with `head`.
pub(super) fn members(text: &str, head: &str) -> Vec<String> {
    let Some(start) = text.find(head) else { return Vec::new() };
    let inside = text[start..].lines().skip(1).take_while(|line| *line != "}");
    inside
        .filter_map(|line| line.strip_prefix("    "))
        .map(|line| line.strip_prefix("pub ").unwrap_or(line))
        .filter(|line| line.starts_with(char::is_alphabetic))
        .map(|line| line.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .collect()
}

/// `AgentStarted` as it travels: `agent_started`.
pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// The texts in quotes that stand directly behind `=` in lines like `Name = "text", …`.
pub(super) fn assigned_texts<'a>(text: &'a str, head: &str) -> Vec<&'a str> {
    let Some(start) = text.find(head) else { return Vec::new() };
    text[start..]
        .lines()
        .take_while(|line| *line != "}")
        .filter_map(|line| line.split_once(" = \"")?.1.split('"').next())
        .collect()
}

/// The numbers behind `=` in lines like `Name = 4000,`.
pub(super) fn assigned_numbers(text: &str, head: &str) -> Vec<String> {
    let Some(start) = text.find(head) else { return Vec::new() };
    text[start..]
        .lines()
        .take_while(|line| *line != "}")
        .filter_map(|line| line.split_once(" = ")?.1.strip_suffix(','))
        .filter(|value| value.chars().all(|c| c.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
/// axum in a comment
pub enum Frame<E> {
    /// First.
    Hello(Hello),
    Ping,
    Deep {
        inner: u8,
    },
}
pub struct Limits {
    /// Bytes.
    pub event_bytes: usize,
}
codes! {
    BadFrame = \"bad_frame\", 400;
    GoingAway = 4000,
}
#[cfg(test)]
mod tests { use axum; }
";

    #[test]
    fn code_is_without_comments_and_tests() {
        assert!(code(SOURCE).all(|(_, line)| !names(line, "axum")));
        assert_eq!(code(SOURCE).next(), Some((2, "pub enum Frame<E> {")));
    }

    #[test]
    fn names_are_whole_words() {
        assert!(names("use axum::Router;", "axum"));
        assert!(names("crate::log::Log", "crate::log"));
        assert!(!names("use axum_extra::x; maxum", "axum"));
    }

    #[test]
    fn declarations_give_their_names() {
        assert_eq!(members(SOURCE, "pub enum Frame"), ["Hello", "Ping", "Deep"]);
        assert_eq!(members(SOURCE, "pub struct Limits"), ["event_bytes"]);
        assert_eq!(assigned_texts(SOURCE, "codes! {"), ["bad_frame"]);
        assert_eq!(assigned_numbers(SOURCE, "codes! {"), ["4000"]);
        assert_eq!(snake_case("AgentStarted"), "agent_started");
        assert!(members(SOURCE, "pub enum Missing").is_empty());
    }
}

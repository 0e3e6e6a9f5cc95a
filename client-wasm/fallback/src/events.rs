//! Server-sent events out of bytes, wherever the network cuts them.

/// What has come and was not taken.
#[derive(Debug, Default)]
pub(crate) struct Events {
    bytes: Vec<u8>,
    /// Where the first line begins that was not read.
    at: usize,
    /// Up to where there is no end of a line from `at` on.
    seen: usize,
    event: Event,
    has_data: bool,
}

/// An event: its name, where it has one, and its data.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Events {
    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.seen -= self.at;
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event that has come whole.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            let Some(found) = self.bytes[self.seen..].iter().position(|byte| *byte == b'\n') else {
                self.seen = self.bytes.len();
                return None;
            };
            let end = self.seen + found;
            let line = String::from_utf8_lossy(&self.bytes[self.at..end]);
            let line = line.strip_suffix('\r').unwrap_or(&line);
            (self.at, self.seen) = (end + 1, end + 1);
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                if std::mem::take(&mut self.has_data) {
                    return Some(event);
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => self.event.name = value.to_owned(),
                "data" => {
                    if std::mem::replace(&mut self.has_data, true) {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(value);
                }
                // Comments, and fields of others.
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "event: open\ndata: {\"stream\":\"a\"}\n\n: beat\n\ndata: {\"text\":\"größe 🎈\"}\n\n\
                          data: {\ndata:  \"a\": 1}\r\n\r\nid: 7\ndata\n\n";

    fn expected() -> Vec<Event> {
        let event = |name: &str, data: &str| Event { name: name.into(), data: data.into() };
        vec![
            event("open", r#"{"stream":"a"}"#),
            event("", r#"{"text":"größe 🎈"}"#),
            event("", "{\n \"a\": 1}"),
            event("", ""),
        ]
    }

    #[test]
    fn events_are_the_same_wherever_they_are_cut() {
        let bytes = STREAM.as_bytes();
        for size in 1..=bytes.len() {
            let mut events = Events::default();
            let mut seen = Vec::new();
            for piece in bytes.chunks(size) {
                events.push(piece);
                seen.extend(std::iter::from_fn(|| events.next()));
            }
            assert_eq!(seen, expected(), "in pieces of {size}");
        }
    }

    #[test]
    fn what_has_not_ended_is_no_event() {
        let mut events = Events::default();
        events.push(b"data: {}\n");
        assert_eq!(events.next(), None);
        events.push(b"\n");
        assert_eq!(events.next().map(|event| event.data).as_deref(), Some("{}"));
    }
}

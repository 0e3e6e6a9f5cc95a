//! An object on its way to JavaScript: names and values in a row. A struct for each frame would bring
//! its own kilobyte of code.

use serde::{Serialize, Serializer, ser::SerializeMap};

/// The members of an object, in their order.
#[derive(Default)]
pub(super) struct Record<'a>(Vec<(&'static str, Value<'a>)>);

/// What a member can be.
pub(super) enum Value<'a> {
    Text(&'a str),
    Number(f64),
    Record(Record<'a>),
    Texts(&'a [String]),
}

impl<'a> Record<'a> {
    pub(super) fn put(&mut self, name: &'static str, value: Value<'a>) -> &mut Self {
        self.0.push((name, value));
        self
    }

    pub(super) fn text(&mut self, name: &'static str, text: &'a str) -> &mut Self {
        self.put(name, Value::Text(text))
    }

    /// Leaves the member out where there is no text.
    pub(super) fn text_if(&mut self, name: &'static str, text: Option<&'a str>) -> &mut Self {
        if let Some(text) = text {
            self.text(name, text);
        }
        self
    }

    /// JavaScript keeps numbers exactly up to 2^53, and nothing here is larger.
    pub(super) fn number(&mut self, name: &'static str, number: u64) -> &mut Self {
        self.put(name, Value::Number(number as f64))
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Record(record) => record.serialize(serializer),
            Self::Texts(texts) => serializer.collect_seq(*texts),
        }
    }
}

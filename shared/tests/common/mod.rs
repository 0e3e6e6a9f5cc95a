//! The golden files: name → JSON, kept as the text that stands in the file.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The entries of one golden file.
pub(crate) type Golden = BTreeMap<String, Box<RawValue>>;

macro_rules! golden {
    ($($name:ident = $file:literal;)+) => {
        $(#[allow(dead_code)]
        pub(crate) fn $name() -> Golden {
            serde_json::from_str(include_str!(concat!("../../golden/", $file)))
                .expect(concat!($file, " is an object of JSON values"))
        })+
    };
}

golden! {
    events = "events.json";
    client_frames = "client_frames.json";
    server_frames = "server_frames.json";
    http = "http.json";
    view = "view.json";
}

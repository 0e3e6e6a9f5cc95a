use serde::{Deserialize, Serialize};

use super::{Setting, settings};

settings! {
    /// What the server writes about itself, to standard error.
    pub struct Logs {
        /// How a line looks: text or json.
        format: LogFormat = LogFormat::Text;
        /// What is written: a level (error, warn, info, debug, trace), and levels for parts. RUST_LOG
        /// goes before it.
        level: String = "info,fjall=warn,lsm_tree=warn".to_owned();
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

impl Setting for LogFormat {
    const EXPECTED: &'static str = "text or json";
}

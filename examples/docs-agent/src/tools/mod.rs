//! The tools, as the agent and the model call them: by name, with JSON in and JSON out.

mod calculate;
mod read_file;
mod search;

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub(crate) use self::{
    calculate::evaluate,
    read_file::Read,
    search::{CODE_WEIGHT, Found, Hit, Index},
};
use crate::{docs::Docs, limits::TOOL_DEADLINE};

/// The tools over one folder. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    index: Arc<Index>,
}

/// Why a tool gave nothing, for a person and for a model: what came, what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ToolError(String);

impl From<String> for ToolError {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// What a model is told about a tool.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// The JSON schema of the input.
    pub(crate) input: Value,
}

impl Tools {
    pub(crate) fn new(docs: Docs) -> Self {
        Self { index: Arc::new(Index::new(docs)) }
    }

    /// What is searched.
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// What there is to call.
    pub(crate) fn specs() -> [Spec; 3] {
        [
            Spec {
                name: "search",
                description: "Finds the passages of the documents that fit a query best (BM25). \
                    Gives file, heading, lines, score and text of each.",
                input: json!({
                    "type": "object",
                    "properties": {
                        "query": { "type": "string", "description": "Words to look for" },
                        "limit": { "type": "integer", "description": "Passages, 1 to 20; default 6" },
                    },
                    "required": ["query"],
                }),
            },
            Spec {
                name: "read_file",
                description: "Reads lines of one document, at most 200 at a time.",
                input: json!({
                    "type": "object",
                    "properties": {
                        "path": { "type": "string", "description": "Path within the folder" },
                        "from": { "type": "integer", "description": "First line, from 1" },
                        "to": { "type": "integer", "description": "Last line" },
                    },
                    "required": ["path"],
                }),
            },
            Spec {
                name: "calculate",
                description: "Evaluates an arithmetic expression with + - * / ^ and parentheses, \
                    functions such as sqrt, ln, sin, round, min(a, b), and the constants PI and E.",
                input: json!({
                    "type": "object",
                    "properties": { "expression": { "type": "string" } },
                    "required": ["expression"],
                }),
            },
        ]
    }

    /// Calls a tool. Dropping the future abandons the call.
    ///
    /// # Errors
    /// For an unknown tool, an input of another shape, and what each tool refuses.
    pub(crate) async fn call(&self, tool: &str, input: Value) -> Result<Value, ToolError> {
        let (index, name) = (Arc::clone(&self.index), tool.to_owned());
        let work = tokio::task::spawn_blocking(move || call(&index, &name, input));
        match tokio::time::timeout(TOOL_DEADLINE, work).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ToolError(format!("{tool} broke down on this input; try another"))),
            Err(_) => Err(ToolError(format!("{tool} took longer than {TOOL_DEADLINE:?}"))),
        }
    }
}

fn call(index: &Index, tool: &str, input: Value) -> Result<Value, ToolError> {
    match tool {
        "search" => search::run(index, read_input(tool, input)?).and_then(output),
        "read_file" => read_file::run(index.docs(), read_input(tool, input)?).and_then(output),
        "calculate" => calculate::run(read_input(tool, input)?).and_then(output),
        _ => Err(ToolError(format!(
            "there is no tool {tool:?}; there are search, read_file and calculate"
        ))),
    }
}

fn read_input<T: DeserializeOwned>(tool: &str, input: Value) -> Result<T, ToolError> {
    serde_json::from_value(input).map_err(|error| {
        let spec = Tools::specs().into_iter().find(|spec| spec.name == tool);
        let expected = spec.map(|spec| spec.input["properties"].to_string()).unwrap_or_default();
        ToolError(format!("the input of {tool} is not as expected: {error}; expected {expected}"))
    })
}

fn output<T: Serialize>(output: T) -> Result<Value, ToolError> {
    serde_json::to_value(output).map_err(|error| ToolError(error.to_string()))
}

/// Cuts a text to at most `max` bytes, at a character's end.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[tokio::test]
    async fn an_unknown_tool_and_a_wrong_input_say_what_is_expected() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let tools = Tools::new(Docs::open(&here).unwrap());
        let error = tools.call("shell", json!({})).await.unwrap_err().to_string();
        assert!(error.contains("search, read_file and calculate"), "{error}");
        let error = tools.call("read_file", json!({ "file": "x" })).await.unwrap_err().to_string();
        assert!(error.contains("unknown field") && error.contains("\"path\""), "{error}");
        let error = tools.call("read_file", json!({ "path": "../Cargo.toml" })).await.unwrap_err();
        assert!(error.to_string().contains("leads out of"), "{error}");
    }

    #[test]
    fn cuts_at_a_characters_end() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 9), "aé");
    }
}

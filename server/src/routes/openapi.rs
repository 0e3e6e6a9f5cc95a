//! The endpoints as an OpenAPI document. Each handler says what it takes and answers
//! (`#[utoipa::path]`), and a router is made of those descriptions only, so that none can be missing;
//! what all of them share is added here: who may ask, the errors by their codes, groups.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use rethread_shared::ErrorCode;
use serde_json::{Map, Value, json};
use utoipa::openapi::{Components, OpenApi};

use crate::schema;

/// The document. `rethread_server::openapi()` gives it as text.
pub(super) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| complete(super::described()));
static TEXT: LazyLock<String> =
    LazyLock::new(|| serde_json::to_string(&*DOCUMENT).expect("a document is JSON"));

/// The endpoints of a server as an OpenAPI 3.1 document, JSON: what `GET /openapi.json` answers.
///
/// ```
/// assert!(rethread_server::openapi().contains("\"/v1/events\""));
/// ```
#[must_use]
pub fn openapi() -> &'static str {
    &TEXT
}

/// An example of the golden files, which Rust, TypeScript and PROTOCOL.md are held to.
pub(super) fn golden(name: &str) -> Value {
    static GOLDEN: LazyLock<Value> = LazyLock::new(|| {
        serde_json::from_str(include_str!("../../../shared/golden/http.json")).expect("it is JSON")
    });
    GOLDEN.get(name).unwrap_or_else(|| panic!("no golden example {name}")).clone()
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = schema::Any))
)]
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi()).into_response()
}

/// Member of an operation that lists the error codes it may answer with.
const CODES: &str = "x-error-codes";

fn complete(mut document: OpenApi) -> Value {
    document.components.get_or_insert_with(Components::new).schemas.extend(schema::unnamed());
    let mut document = serde_json::to_value(&document).expect("a document is JSON");
    document["info"] = json!({
        "title": "Rethread",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Carries the events of AI agents to the chat windows that wait for them: in \
            order, exactly once. This is its HTTP side; PROTOCOL.md has the WebSocket's, and all \
            that both share.",
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    // Relative to this document, so that it also holds below a path of another application.
    document["servers"] = json!([{ "url": "." }]);
    document["components"]["securitySchemes"] = json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "PROTOCOL.md, section 14. The scopes named are those of the token's claim \
                `scope`.",
        },
    });
    // Who writes a client reads first.
    let (operators, others) = GROUPS.split_first().expect("there are four");
    let groups = others.iter().chain([operators]);
    document["tags"] = groups
        .map(|(_, name, description)| json!({ "name": name, "description": description }))
        .collect();
    let paths = document["paths"].as_object_mut().expect("paths are an object");
    for (path, item) in paths {
        let operations = item.as_object_mut().expect("a path is an object");
        for (method, operation) in
            operations.iter_mut().filter(|(name, _)| METHODS.contains(&&***name))
        {
            describe(path, method, operation.as_object_mut().expect("an operation is an object"));
        }
    }
    without_null(&mut document);
    document
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Where a path begins, and what its group is; the first that fits counts.
const GROUPS: [(&str, &str, &str); 4] = [
    ("/v1/admin", "operators", "What operators ask: a token with the scope `admin`."),
    ("/v1/threads", "threads", "Conversations: make them, list them, read them."),
    ("/v1", "events", "Events in, the WebSocket, tokens for trying out."),
    ("/", "server", "The server itself."),
];

fn describe(path: &str, method: &str, operation: &mut Map<String, Value>) {
    let (_, group, _) =
        GROUPS.iter().find(|(start, ..)| path.starts_with(start)).expect("one is /");
    operation.insert("tags".into(), json!([group]));
    if let Some(Value::String(summary)) = operation.get_mut("summary") {
        *summary = summary.replace('\n', " ");
    }
    let words = path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty() && *word != "v1");
    let name = words.fold(method.to_owned(), |name, word| format!("{name}_{word}"));
    operation.insert("operationId".into(), name.into());
    if !operation.contains_key("security") {
        let scopes = if *group == "operators" { json!(["admin"]) } else { json!([]) };
        operation.insert("security".into(), json!([{ "token": scopes }]));
    }
    let needs = operation["security"].as_array().expect("security is a list");
    let is_public = needs.iter().any(|need| need.as_object().is_some_and(Map::is_empty));
    let mut codes: Vec<ErrorCode> = Vec::new();
    if let Some(Value::Array(listed)) = operation.remove(CODES) {
        codes.extend(listed.iter().map(|code| code.as_str().expect("codes are words").into()));
    }
    if !is_public {
        codes.extend([
            ErrorCode::Unauthorized,
            ErrorCode::TokenExpired,
            ErrorCode::TokenRevoked,
            ErrorCode::KeysUnavailable,
            ErrorCode::Forbidden,
        ]);
    }
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in codes {
        assert!(ErrorCode::ALL.contains(&code), "{method} {path}: no such code as {code}");
        by_status.entry(code.status()).or_default().push(code);
    }
    let responses = operation["responses"].as_object_mut().expect("responses are an object");
    for (status, codes) in by_status {
        let names: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
        let mut response = json!({
            "description": names.join(", "),
            "content": { "application/json": {
                "schema": { "$ref": "#/components/schemas/ErrorBody" },
            } },
        });
        if codes.iter().any(ErrorCode::is_transient) {
            response["headers"] = json!({ "Retry-After": {
                "description": "Seconds to wait before trying again.",
                "schema": { "type": "integer", "minimum": 0 },
            } });
        }
        responses.entry(status.to_string()).or_insert(response);
    }
}

/// A member without a value is left out, never `null`: so the schemas say it too.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    members.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("oneOf") {
                choices.retain(|choice| choice["type"] != "null");
                if let [Value::Object(only)] = &choices[..] {
                    let only = only.clone();
                    members.remove("oneOf");
                    members.extend(only);
                }
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(values) => values.iter_mut().for_each(without_null),
        _ => {}
    }
}

//! The OpenAPI document as a page for people: made once, on the server, without a script, a font or an
//! image, so that it works offline and under the strictest policy.

use std::{fmt::Write, sync::LazyLock};

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use super::openapi::DOCUMENT;

static PAGE: LazyLock<String> = LazyLock::new(|| page(&DOCUMENT));

/// This document as a page.
#[utoipa::path(
    get, path = "/docs", security(()),
    responses((status = 200, description = "HTML.", body = String, content_type = "text/html"))
)]
pub(super) async fn read() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, CSP),
    ];
    (headers, PAGE.as_str()).into_response()
}

/// Its own style, and nothing else.
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; \
     base-uri 'none'; form-action 'none'";

/// Text as HTML, with `code` marked.
fn text(text: &str) -> String {
    let mut html = String::new();
    for (place, piece) in text.split('`').enumerate() {
        match place % 2 {
            0 => html += &escape(piece),
            _ => write!(html, "<code>{}</code>", escape(piece)).expect("a String takes all"),
        }
    }
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn said<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn page(document: &Value) -> String {
    let (mut nav, mut body) = (String::new(), String::new());
    for group in document["tags"].as_array().into_iter().flatten() {
        let name = said(group, "name");
        nav += &format!("<h2>{name}</h2><ul>");
        body += &format!("<section><h2>{name}</h2><p>{}</p>", text(said(group, "description")));
        for (path, item) in members(&document["paths"]) {
            for (method, operation) in members(item) {
                if operation["tags"][0] != name {
                    continue;
                }
                let id = said(operation, "operationId");
                nav += &format!("<li><a href=\"#{id}\"><b>{method}</b> {}</a>", escape(path));
                body += &one(path, method, operation);
            }
        }
        nav += "</ul>";
        body += "</section>";
    }
    body += "<section><h2>schemas</h2><p>What the bodies are made of.</p>";
    nav += "<h2>schemas</h2><ul>";
    for (name, schema) in members(&document["components"]["schemas"]) {
        nav += &format!("<li><a href=\"#{name}\">{name}</a>");
        body += &format!("<article id=\"{name}\"><h3>{name}</h3>{}</article>", described(schema));
    }
    let info = &document["info"];
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}: HTTP</title>\
         <style>{STYLE}</style><nav><a href=\"#top\"><h1>{title}</h1></a>{nav}</ul></nav>\
         <main id=\"top\"><h1>{title} {version}: HTTP</h1><p>{about}</p>\
         <p>The same for programs: <a href=\"openapi.json\">openapi.json</a> (OpenAPI {openapi}). \
         Errors and tokens are explained in PROTOCOL.md, sections 10 and 14. A request carries \
         <code>Authorization: Bearer TOKEN</code> unless it says that it needs none.</p>{body}\
         </section></main></html>\n",
        title = said(info, "title"),
        version = said(info, "version"),
        about = text(said(info, "description")),
        openapi = said(document, "openapi"),
    )
}

fn one(path: &str, method: &str, operation: &Value) -> String {
    let id = said(operation, "operationId");
    let mut html = format!(
        "<article id=\"{id}\"><h3><b class=\"{method}\">{method}</b> <code>{}</code></h3>\
         <p><strong>{}</strong> {}</p><p class=\"needs\">{}</p>",
        escape(path),
        text(said(operation, "summary")),
        text(said(operation, "description")),
        needs(operation),
    );
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let rows: String = parameters
        .map(|parameter| {
            let optional = if parameter["required"] == true { "" } else { "?" };
            format!(
                "<tr><td><code>{}</code>{optional}<td>{}<td>{}<td>{}",
                said(parameter, "name"),
                said(parameter, "in"),
                kind(&parameter["schema"]),
                text(said(parameter, "description")),
            )
        })
        .collect();
    if !rows.is_empty() {
        html += &format!("<table>{rows}</table>");
    }
    for (media, content) in members(&operation["requestBody"]["content"]) {
        html += &format!("<h4>body, <code>{media}</code>: {}</h4>", kind(&content["schema"]));
        html += &example(content);
    }
    html += "<h4>answers</h4><table>";
    for (status, response) in members(&operation["responses"]) {
        let bodies: Vec<_> = members(&response["content"])
            .map(|(media, content)| format!("{} <small>{media}</small>", kind(&content["schema"])))
            .collect();
        html += &format!(
            "<tr><td><b>{status}</b><td>{}<td>{}",
            text(said(response, "description")),
            bodies.join("<br>"),
        );
    }
    html += "</table>";
    for (status, response) in members(&operation["responses"]) {
        for (_, content) in members(&response["content"]) {
            let example = example(content);
            if !example.is_empty() {
                html +=
                    &format!("<details><summary>{status}, an example</summary>{example}</details>");
            }
        }
    }
    html + "</article>"
}

/// Which token it takes.
fn needs(operation: &Value) -> String {
    let ways =
        operation["security"].as_array().into_iter().flatten().map(|way| match &way["token"] {
            Value::Array(scopes) if scopes.is_empty() => "any token".to_owned(),
            Value::Array(scopes) => {
                let scopes: Vec<_> = scopes.iter().filter_map(Value::as_str).collect();
                format!("a token with the scope <code>{}</code>", scopes.join("</code>, <code>"))
            }
            _ => "no token".to_owned(),
        });
    format!("Needs {}.", ways.collect::<Vec<_>>().join(", or "))
}

fn example(content: &Value) -> String {
    match content.get("example") {
        None => String::new(),
        Some(Value::String(example)) => format!("<pre>{}</pre>", escape(example)),
        Some(example) => {
            let example = serde_json::to_string_pretty(example).expect("an example is JSON");
            format!("<pre>{}</pre>", escape(&example))
        }
    }
}

/// A schema in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = said(schema, "$ref").rsplit('/').next().filter(|name| !name.is_empty()) {
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match said(schema, "type") {
        "" => "any JSON".to_owned(),
        "array" => format!("array of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("object of {}", kind(&schema["additionalProperties"]))
        }
        "string" if schema["enum"].is_array() => {
            let words = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
            words.map(|word| format!("<code>{word}</code>")).collect::<Vec<_>>().join(", ")
        }
        known => known.to_owned(),
    }
}

fn described(schema: &Value) -> String {
    let mut html = format!("<p>{}</p>", text(said(schema, "description")));
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    if properties.is_empty() {
        html += &format!("<p>{}</p>", kind(schema));
        for (member, words) in [("pattern", "of the form"), ("format", "format")] {
            if let Some(value) = schema[member].as_str() {
                html += &format!("<p>{words} <code>{}</code></p>", escape(value));
            }
        }
        return html;
    }
    html += "<table>";
    for (name, property) in properties {
        let required = schema["required"].as_array().into_iter().flatten();
        let optional = if required.into_iter().any(|other| other == name) { "" } else { "?" };
        html += &format!(
            "<tr><td><code>{}</code>{optional}<td>{}<td>{}",
            escape(name),
            kind(property),
            text(said(property, "description")),
        );
    }
    html + "</table>"
}

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8883; --soft: #8881; --link: #2563eb; }
@media (prefers-color-scheme: dark) { :root { --link: #8ab4ff; } }
body { margin: 0; font: 15px/1.55 system-ui, sans-serif; display: grid; grid-template-columns: 19rem 1fr; }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; box-sizing: border-box; padding: 1rem;
  border-right: 1px solid var(--line); font-size: 13px; }
nav h1 { font-size: 18px; margin: 0; } nav h2 { font-size: 13px; margin: 1rem 0 0.25rem; }
nav ul { list-style: none; margin: 0; padding: 0; } nav li { overflow-wrap: anywhere; padding: 1px 0; }
nav b { display: inline-block; min-width: 3.2rem; font-size: 11px; text-transform: uppercase; }
main { padding: 1.5rem 2rem 6rem; max-width: 60rem; min-width: 0; box-sizing: border-box; }
main > h1 { margin-top: 0; } section > h2 { margin-top: 3rem; text-transform: capitalize; }
a { color: var(--link); text-decoration: none; } a:hover { text-decoration: underline; }
nav a { color: inherit; }
article { border-top: 1px solid var(--line); padding: 0.5rem 0 1rem; }
article:target h3 { background: linear-gradient(90deg, #facc1544, transparent); }
h3 { font-size: 17px; margin: 0.75rem 0; } h3 b { font-size: 12px; text-transform: uppercase; color: #fff;
  background: #2563eb; border-radius: 4px; padding: 2px 7px; vertical-align: 1px; }
h3 b.post { background: #15803d; } h3 b.delete { background: #b91c1c; } h4 { margin: 1rem 0 0.25rem; }
.needs { font-size: 13px; opacity: 0.8; }
code { font: 0.92em ui-monospace, monospace; background: var(--soft); border-radius: 3px; padding: 0 3px; }
pre { font: 13px/1.45 ui-monospace, monospace; background: var(--soft); border-radius: 6px; padding: 0.75rem;
  overflow: auto; max-height: 24rem; }
table { border-collapse: collapse; width: 100%; } td { border-top: 1px solid var(--line); padding: 4px 10px 4px 0;
  vertical-align: top; overflow-wrap: anywhere; } td:first-child { white-space: nowrap; width: 1%; }
small { opacity: 0.65; } summary { cursor: pointer; margin-top: 0.5rem; }
@media (max-width: 800px) { body { display: block; } nav { position: static; height: auto; border: 0; } }
";

//! PROTOCOL.md, the OpenAPI document of a running server, and the golden JSON say the same.

use std::collections::{BTreeMap, BTreeSet};

use rethread_tests::server::Server;
use serde_json::{Map, Value, json};

const PROTOCOL: &str = include_str!("../../PROTOCOL.md");
const HTTP: &str = include_str!("../../shared/golden/http.json");
const EVENTS: &str = include_str!("../../shared/golden/events.json");

async fn document() -> Value {
    let answer = Server::start().api().get("/openapi.json").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

fn golden(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).expect("golden files are objects")
}

/// Checks against schemas of the document.
struct Schemas<'a>(&'a Value);

impl Schemas<'_> {
    /// What is wrong with a value, if anything.
    fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        // The references are to the document's own root.
        let mut root = schema.as_object().expect("a schema is an object").clone();
        root.insert("components".into(), self.0["components"].clone());
        let validator = jsonschema::draft202012::new(&Value::Object(root)).expect("a schema");
        validator.iter_errors(value).map(|e| format!("{e} at {}", e.instance_path())).collect()
    }

    #[track_caller]
    fn check(&self, name: &str, schema: &Value, value: &Value) {
        let faults = self.faults(schema, value);
        assert!(faults.is_empty(), "{name}: {faults:?}\n{value}\nis not {schema}");
    }

    fn named(name: &str) -> Value {
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }
}

/// Every operation: path, method, and what the document says of it.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("a path has methods");
        methods.iter().map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    operations.collect()
}

/// Every `content` of an operation: where it stands, its type, and its schema with its example.
fn contents(operation: &Value) -> Vec<(String, &str, &Value)> {
    let mut places = vec![("request".to_owned(), &operation["requestBody"])];
    let responses = operation["responses"].as_object().expect("responses");
    places.extend(responses.iter().map(|(status, response)| (status.clone(), response)));
    let contents = places.into_iter().flat_map(|(place, body)| {
        let content = body["content"].as_object().into_iter().flatten();
        content.map(move |(kind, content)| (place.clone(), kind.as_str(), content))
    });
    contents.collect()
}

#[tokio::test]
async fn every_golden_body_is_as_the_document_says() {
    let document = document().await;
    let schemas = Schemas(&document);
    let mut bodies = golden(HTTP);
    // Not a body: what a token says.
    bodies.remove("token_claims").expect("the claims of a token");
    // An example of the document is a golden body, and so says where that body travels.
    let mut travels: BTreeMap<String, usize> = BTreeMap::new();
    for (path, method, operation) in operations(&document) {
        for (place, kind, content) in contents(operation) {
            if kind != "application/json" {
                continue;
            }
            let name = format!("{method} {path} {place}");
            if let Some(example) = content.get("example") {
                schemas.check(&name, &content["schema"], example);
                for (golden, _) in bodies.iter().filter(|(_, body)| *body == example) {
                    *travels.entry(golden.clone()).or_default() += 1;
                }
            }
        }
    }
    schemas.check("error_body", &Schemas::named("ErrorBody"), &bodies["error_body"]);
    travels.insert("error_body".into(), 1);
    for name in bodies.keys() {
        assert!(
            travels.contains_key(name),
            "no endpoint has the golden body `{name}` as its example"
        );
    }
}

#[tokio::test]
async fn golden_events_and_their_data_are_as_the_document_says() {
    let document = document().await;
    let schemas = Schemas(&document);
    let mut described = BTreeSet::new();
    for (name, event) in golden(EVENTS) {
        schemas.check(&name, &Schemas::named("Event"), &event);
        let mut new = event.clone();
        new.as_object_mut().expect("an event is an object").remove("seq");
        schemas.check(&name, &Schemas::named("NewEvent"), &new);
        let words = event["type"].as_str().expect("a type").split('_');
        let data: String = words.map(|word| word[..1].to_uppercase() + &word[1..]).collect();
        if document["components"]["schemas"].get(&data).is_some() {
            schemas.check(&name, &Schemas::named(&data), &event["data"]);
            described.insert(data);
        }
    }
    assert_eq!(described.len(), 10, "each known type has its data described: {described:?}");
}

#[tokio::test]
async fn a_wrong_body_is_told_from_a_right_one() {
    let document = document().await;
    let schemas = Schemas(&document);
    let wrong = |schema: &str, value: Value| {
        let faults = schemas.faults(&Schemas::named(schema), &value);
        assert!(!faults.is_empty(), "{value} should be no {schema}");
    };
    let mut thread = golden(HTTP)["thread"].clone();
    thread["epoch"] = json!("9F3A12BC");
    wrong("Thread", thread);
    wrong("ErrorBody", json!({ "error": { "code": "no_such_code", "message": "…" } }));
    wrong("Outcome", json!({ "id": "0199108a-e8a1-71a1-9c11-5e2f7b11d43a" }));
    wrong("Event", json!({ "type": "custom" }));
}

#[tokio::test]
async fn the_document_is_whole() {
    let document = document().await;
    assert!(document["openapi"].as_str().expect("a version").starts_with("3.1"));
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().expect("it ends");
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let name = operation["operationId"].as_str().expect("a name");
        assert!(names.insert(name), "{name} names two operations");
        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty(), "{method} {path} says nothing of itself");
        assert!(operation["security"].is_array(), "{method} {path}: who may ask?");
        let asked = path.matches('{').count();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let named = parameters.filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(asked, named, "{method} {path}: the path's parameters");
    }
}

#[tokio::test]
async fn the_protocol_names_every_path_of_the_document_and_no_other() {
    let document = document().await;
    let paths: BTreeSet<&str> = operations(&document).into_iter().map(|(path, ..)| path).collect();
    // `GET /v1/x`, `/v1/x?query`, "$HOST/v1/x/thread_1/events?after=1"
    let mut named = BTreeSet::new();
    for piece in PROTOCOL.split(|c: char| c.is_whitespace() || "`\"'|,;()".contains(c)) {
        let at = piece.strip_prefix("$HOST").unwrap_or(piece);
        let path = at.split('?').next().expect("a part").trim_end_matches('.');
        let is_one = path.starts_with("/v1/")
            || (path.len() > 1 && path.starts_with('/') && paths.contains(path));
        let is_folder = !paths.contains(path)
            && paths.iter().any(|known| known.starts_with(&format!("{path}/")));
        if is_one && !is_folder && !path.contains('…') {
            let fits = paths.iter().find(|known| fits(known, path));
            named.insert(*fits.unwrap_or_else(|| panic!("{path} is not in the OpenAPI document")));
        }
    }
    for path in paths {
        assert!(named.contains(path), "PROTOCOL.md does not name {path}");
    }
}

#[tokio::test]
async fn the_page_for_people_has_every_operation_and_needs_nothing_else() {
    let server = Server::start();
    let document = server.api().get("/openapi.json").await.body;
    let request = server.api().request(reqwest::Method::GET, "/docs");
    let answer = request.send().await.expect("an answer");
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = answer.text().await.expect("a page");
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect("a name");
        for part in [format!("href=\"#{id}\""), format!("<article id=\"{id}\">")] {
            assert_eq!(page.matches(&part).count(), 1, "{method} {path}: {part}");
        }
    }
    for link in page.split("href=\"#").skip(1) {
        let name = link.split('"').next().expect("it ends");
        assert!(page.contains(&format!("id=\"{name}\"")), "#{name} leads nowhere");
    }
    for foreign in ["<script", "<img", "<link", "src=", "url(", "@import"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

/// True when a path has the form of one of the document: `/v1/threads/{thread}/runs`.
fn fits(known: &str, path: &str) -> bool {
    let (mut known, mut path) = (known.split('/'), path.split('/'));
    loop {
        match (known.next(), path.next()) {
            (None, None) => return true,
            (Some(word), Some(given)) if word == given => {}
            (Some(word), Some(given)) if word.starts_with('{') && !given.is_empty() => {}
            _ => return false,
        }
    }
}

//! Lists for operators, which come in pages.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::remote::Http;

/// Entries of a page; what a server gives at most.
const PAGE: usize = 500;

#[derive(Deserialize)]
struct Page {
    next: Option<Value>,
    #[serde(flatten)]
    members: Map<String, Value>,
}

/// Gives every entry of a list to `each`. `query` is put before the page's own.
pub(crate) async fn each(
    http: &Http,
    path: &str,
    query: &[(&str, String)],
    list: &str,
    mut each: impl FnMut(Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut after: Option<String> = None;
    loop {
        let mut query = query.to_vec();
        query.push(("limit", PAGE.to_string()));
        query.extend(after.iter().map(|after| ("after", after.clone())));
        let mut page: Page = http.get_with(path, &query).await?;
        let entries = page.members.get_mut(list).and_then(Value::as_array_mut).map(std::mem::take);
        for entry in entries.unwrap_or_default() {
            each(entry)?;
        }
        after = match page.next {
            Some(Value::String(next)) => Some(next),
            Some(next) => Some(next.to_string()),
            None => return Ok(()),
        };
    }
}

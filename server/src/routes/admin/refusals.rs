use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use serde::{Deserialize, Serialize};

use super::{
    super::{App, body::Params},
    page,
};
use crate::refusals::Refusal;

/// What was refused lately, and why.
const REFUSALS: &str = "/refusals";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route(REFUSALS, get(list))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    after: Option<u64>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Page {
    refusals: Vec<Arc<Refusal>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

async fn list(State(app): State<Arc<App>>, Params(ask): Params<Ask>) -> Json<Page> {
    let size = page::size(ask.limit);
    let refusals = app.shared.bridge.refusals().page(ask.after.unwrap_or(u64::MAX), size);
    let next = page::next(refusals.len(), size, refusals.last().map(|last| last.number));
    Json(Page { refusals, next })
}

#[cfg(test)]
#[test]
fn its_json_is_the_golden_one() {
    super::assert_golden::<Page>("admin_refusals");
}

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{App, body::Params, openapi::golden},
    page,
};
use crate::refusals::Refusal;

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Ask {
    /// Go on after this: `next` of the page before.
    #[param(minimum = 0)]
    after: Option<u64>,
    /// Entries of the page: at most 500, 100 where it is left out.
    #[param(minimum = 0)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Refusals {
    #[schema(value_type = Vec<Refusal>)]
    refusals: Vec<Arc<Refusal>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// What was refused lately, and why.
#[utoipa::path(
    get, path = "/refusals", params(Ask),
    responses((status = 200, description = "The newest first; so many are kept as the server remembers.", body = Refusals,
               example = json!(golden("admin_refusals")))),
    extensions(("x-error-codes" = json!(["bad_frame"])))
)]
async fn list(State(app): State<Arc<App>>, Params(ask): Params<Ask>) -> Json<Refusals> {
    let size = page::size(ask.limit);
    let refusals = app.shared.bridge.refusals().page(ask.after.unwrap_or(u64::MAX), size);
    let next = page::next(refusals.len(), size, refusals.last().map(|last| last.number));
    Json(Refusals { refusals, next })
}

#[cfg(test)]
#[test]
fn its_json_is_the_golden_one() {
    super::assert_golden::<Refusals>("admin_refusals");
}

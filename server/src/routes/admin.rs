//! What operators ask a server, below `/v1/admin`: one file for each subject, each with its part of the
//! router. Nothing here can be reached without a token that has the scope `admin`: the check stands once,
//! before all of it.

mod connections;
mod health;
mod me;
mod page;
mod refusals;
mod resolve;
mod revocations;
mod runs;
mod threads;

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use utoipa_axum::router::OpenApiRouter;

use super::{App, problem::Problem, token::Authorized};
use crate::auth::{Grant, Scope};

/// Where all of it lives.
pub(super) const ADMIN: &str = "/v1/admin";

/// Who asks: what the token of the request grants, with `admin` among it. Taken by a handler with
/// `Extension`.
#[derive(Clone, Debug)]
pub(super) struct Operator(pub(super) Arc<Grant>);

/// Everything below [`ADMIN`], behind the check.
pub(super) fn router(app: &Arc<App>) -> OpenApiRouter<Arc<App>> {
    endpoints().route_layer(middleware::from_fn_with_state(app.clone(), operators_only))
}

/// Each file's part: a handler with `#[utoipa::path]`, and `OpenApiRouter::new().routes(routes!(it))`.
/// Error codes of its own are listed in `x-error-codes`; those of the token are added to all. Ids and
/// errors in its bodies are described by those of [`crate::schema`].
pub(super) fn endpoints() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(connections::router())
        .merge(health::router())
        .merge(me::router())
        .merge(refusals::router())
        .merge(resolve::router())
        .merge(revocations::router())
        .merge(runs::router())
        .merge(threads::router())
}

/// 401 without a valid token, 403 without the scope.
async fn operators_only(
    State(_): State<Arc<App>>,
    Authorized(grant): Authorized,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    grant.require(Scope::Admin)?;
    request.extensions_mut().insert(Operator(grant));
    Ok(next.run(request).await)
}

/// Holds a body against the golden JSON that PROTOCOL.md shows.
#[cfg(test)]
fn assert_golden<T: serde::Serialize + serde::de::DeserializeOwned>(name: &str) {
    let golden = include_str!("../../../shared/golden/http.json");
    let golden: serde_json::Value = serde_json::from_str(golden).expect("golden JSON");
    let body: T = serde_json::from_value(golden[name].clone()).expect(name);
    assert_eq!(serde_json::to_value(&body).expect(name), golden[name]);
}

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use rethread_shared::{ErrorCode, WireError};

use super::{App, problem::Problem, token::Authorized};
use crate::{
    auth::Scope,
    metrics::{self, Access},
};

/// Everything counted, in Prometheus' text format.
///
/// The configuration says whether it is open, needs a token with the scope `admin`, or is off.
#[utoipa::path(
    get, path = super::METRICS, security((), ("token" = ["admin"])),
    responses((status = 200, description = "Prometheus' text format, version 0.0.4.", body = String,
               content_type = "text/plain")),
    extensions(("x-error-codes" = json!(["not_found", "unauthorized", "token_expired", "forbidden"])))
)]
pub(super) async fn text(
    State(app): State<Arc<App>>,
    token: Result<Authorized, Problem>,
) -> Result<Response, Problem> {
    match app.shared.metrics.access {
        Access::Open => {}
        Access::Admin => token?.0.require(Scope::Admin)?,
        Access::Off => {
            return Err(WireError::new(ErrorCode::NotFound, "there is nothing at /metrics").into());
        }
    }
    let text = metrics::install().text().ok_or_else(|| {
        WireError::new(
            ErrorCode::NotFound,
            "the metrics of this process go to the recorder of the application that the server is part of",
        )
    })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

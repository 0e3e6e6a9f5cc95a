//! The token of a request, and the tokens that dev mode hands out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderMap, header, request::Parts},
};
use rethread_shared::{ErrorCode, WireError, limits::DEV_TOKEN_TTL};
use serde::Serialize;
use utoipa::ToSchema;

use super::{App, openapi::golden, problem::Problem, request::Asking};
use crate::{
    auth::{Grant, Scope},
    origins::is_loopback,
};

/// What the request's token grants. A handler that takes this cannot be reached without one.
#[derive(Debug)]
pub(crate) struct Authorized(pub(crate) Arc<Grant>);

impl FromRequestParts<Arc<App>> for Authorized {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(|| {
                WireError::new(ErrorCode::Unauthorized, "the request has no token")
                    .with_expected("Authorization: Bearer JWT (make one with `rethread token`)")
            })?;
        let grant = app.shared.gate.check(token.trim()).await?;
        if let Some(asking) = parts.extensions.get::<Asking>() {
            asking.is_by(grant.user());
        }
        Ok(Self(grant))
    }
}

/// The user that dev tokens name.
const DEV_USER: &str = "dev";

/// A token for everything.
#[derive(Serialize, ToSchema)]
pub(super) struct DevToken {
    /// The JWT.
    token: String,
    /// The user that it names.
    user: &'static str,
}

/// A token for the chat page, only with `rethread serve --dev`, which listens on loopback only.
///
/// For everything but operating the server: what a page holds may leak into whatever runs in the page.
#[utoipa::path(
    get, path = super::DEV_TOKEN, security(()),
    responses((status = 200, description = "It is good for a day.", body = DevToken,
               example = json!(golden("dev_token")))),
    extensions(("x-error-codes" = json!(["forbidden", "not_found"])))
)]
pub(super) async fn dev(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Json<DevToken>, Problem> {
    // A name of somebody else's that was made to mean this machine makes their page one of ours.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_loopback) {
        let message = "tokens of --dev are for pages that were opened on this machine";
        let error = WireError::new(ErrorCode::Forbidden, message);
        return Err(error.with_expected("http://127.0.0.1 or http://localhost").into());
    }
    let scopes = Scope::ALL.iter().filter(|(_, scope)| *scope != Scope::Admin);
    let scope = scopes.map(|(word, _)| *word).collect::<Vec<_>>().join(" ");
    let token = app.shared.gate.keys().mint(DEV_USER, &scope, vec!["*".into()], DEV_TOKEN_TTL);
    let token = token.ok_or_else(|| {
        WireError::new(ErrorCode::NotFound, "this server has no secret of its own to sign with")
    })?;
    Ok(Json(DevToken { token, user: DEV_USER }))
}

//! Revoking access, and undoing it.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use rethread_shared::{ErrorCode, IdError, ThreadId, WireError, limits::NAME_BYTES_MAX};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        App,
        body::{Params, Text},
        openapi::golden,
        problem::Problem,
    },
    Operator,
};
use crate::{
    auth::{Revocation, Subject},
    schema,
};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(revoke)).routes(routes!(list, undo))
}

/// Whom to cut off: a user, one token, or everybody from a thread. One of the three.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// Every token of this user.
    #[schema(min_length = 1, max_length = 256)]
    user: Option<String>,
    /// The token of this name (`jti`).
    #[schema(min_length = 1, max_length = 256)]
    token: Option<String>,
    /// Every token's access to this thread, its owner's too.
    #[schema(value_type = Option<schema::ThreadId>)]
    thread: Option<String>,
    /// Why, for whoever reads the list.
    #[schema(max_length = 256)]
    reason: Option<String>,
}

const EXPECTED: &str =
    r#"{"user":"…"}, {"token":"…"} (its `jti`) or {"thread":"thread_{key}"}, and "reason"?:"…""#;

impl Ask {
    fn subject(&self) -> Result<Subject, WireError> {
        let name = |text: &str| {
            if text.is_empty() || text.len() > NAME_BYTES_MAX {
                let message = format!("a user or token is named with 1 to {NAME_BYTES_MAX} bytes");
                return Err(WireError::new(ErrorCode::BadFrame, message).with_expected(EXPECTED));
            }
            Ok(text.into())
        };
        match (&self.user, &self.token, &self.thread) {
            (Some(user), None, None) => Ok(Subject::User(name(user)?)),
            (None, Some(token), None) => Ok(Subject::Token(name(token)?)),
            (None, None, Some(thread)) => {
                let thread = thread.parse();
                Ok(Subject::Thread(thread.map_err(|error: IdError| WireError::from(error))?))
            }
            _ => Err(WireError::new(ErrorCode::BadFrame, "name a user, a token, or a thread")
                .with_expected(EXPECTED)),
        }
    }
}

/// A revocation in force.
#[derive(Serialize, ToSchema)]
struct Shown {
    /// The user whose tokens are revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    user: Option<Arc<str>>,
    /// The name of the token that is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    token: Option<Arc<str>>,
    /// The thread to which access is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::ThreadId>)]
    thread: Option<ThreadId>,
    /// When: tokens that were made until then are concerned. Seconds since 1970.
    at: u64,
    /// The operator who did it.
    #[schema(value_type = String)]
    by: Arc<str>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reason: Option<Arc<str>>,
    /// When it is forgotten: no token it concerns is good any more. Seconds since 1970.
    until: u64,
}

impl Shown {
    fn new(app: &App, revocation: Revocation) -> Self {
        let until = revocation.until(app.shared.gate.keys().lifetime_max());
        let Revocation { subject, at, by, reason } = revocation;
        let (mut user, mut token, mut thread) = (None, None, None);
        match subject {
            Subject::User(name) => user = Some(name),
            Subject::Token(id) => token = Some(id),
            Subject::Thread(id) => thread = Some(id),
        }
        Self { user, token, thread, at, by, reason, until }
    }
}

/// What was revoked, and what that did.
#[derive(Serialize, ToSchema)]
struct Revoked {
    #[serde(flatten)]
    shown: Shown,
    /// How many sockets and streams were told to look again at what they may have.
    connections: usize,
    /// True when all have; nothing more is written then to those that are cut off.
    complete: bool,
}

/// Cuts off a user, one token, or everybody from a thread: every token that was made until now.
///
/// When the answer comes, it is on disk, requests are refused, and sockets and streams have been cut.
#[utoipa::path(
    post, path = "/revoke",
    request_body(content = Ask, example = json!({ "user": "mallory", "reason": "lost her laptop" })),
    responses((status = 200, description = "It is in force.", body = Revoked,
               example = json!(golden("revoked")))),
    extensions(("x-error-codes" = json!([
        "bad_frame", "bad_id", "frame_too_large", "slow_down", "log_unavailable"
    ])))
)]
async fn revoke(
    State(app): State<Arc<App>>,
    Extension(Operator(operator)): Extension<Operator>,
    body: Text,
) -> Result<Json<Revoked>, Problem> {
    let ask: Ask = body.json(EXPECTED)?;
    let subject = ask.subject()?;
    if ask.reason.as_ref().is_some_and(|reason| reason.len() > NAME_BYTES_MAX) {
        let message = format!("a reason has at most {NAME_BYTES_MAX} bytes");
        return Err(WireError::new(ErrorCode::BadFrame, message).into());
    }
    let owner = match &subject {
        Subject::Thread(thread) => {
            let thread = app.shared.bridge.log().thread(thread).map_err(WireError::from)?;
            thread.map(|thread| thread.owner)
        }
        Subject::User(_) | Subject::Token(_) => None,
    };
    let reason = ask.reason.as_deref().map(Into::into);
    let gate = app.shared.gate.clone();
    let by = operator.user().clone();
    // A task of its own: it is carried to its end also when the operator does not wait for it.
    let revoking = tokio::spawn(async move {
        let owner = owner.as_deref().unwrap_or_default();
        gate.revoke(subject, &by, reason, owner).await
    });
    let cut = revoking.await.map_err(|error| {
        WireError::new(ErrorCode::Internal, format!("the revocation broke off: {error}"))
    })??;
    Ok(Json(Revoked {
        shown: Shown::new(&app, cut.revocation),
        connections: cut.connections,
        complete: cut.is_complete,
    }))
}

/// All revocations in force, the newest first.
#[derive(Serialize, ToSchema)]
struct List {
    revocations: Vec<Shown>,
}

/// The revocations in force, the newest first.
#[utoipa::path(
    get, path = "/revocations",
    responses((status = 200, description = "All of them.", body = List,
               example = json!(golden("revocations")))),
)]
async fn list(State(app): State<Arc<App>>) -> Json<List> {
    let all = app.shared.gate.revocations().all();
    Json(List { revocations: all.into_iter().map(|one| Shown::new(&app, one)).collect() })
}

/// Undoes a revocation: what it concerned counts again.
#[utoipa::path(
    delete, path = "/revocations",
    params(
        ("user" = Option<String>, Query, description = "Of this user. One of the three."),
        ("token" = Option<String>, Query, description = "Of the token of this name (`jti`)."),
        ("thread" = Option<schema::ThreadId>, Query, description = "Of this thread."),
    ),
    responses((status = 200, description = "It is undone; this is what it was.", body = Shown,
               example = json!(golden("revocation")))),
    extensions(("x-error-codes" = json!(["bad_frame", "bad_id", "not_found", "log_unavailable"])))
)]
async fn undo(
    State(app): State<Arc<App>>,
    Params(ask): Params<Ask>,
) -> Result<Json<Shown>, Problem> {
    let subject = ask.subject()?;
    match app.shared.gate.undo(&subject).await? {
        Some(revocation) => Ok(Json(Shown::new(&app, revocation))),
        None => Err(WireError::new(ErrorCode::NotFound, "no such revocation is in force").into()),
    }
}

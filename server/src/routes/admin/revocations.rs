//! Revoking access, and undoing it.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::State,
    routing::{get, post},
};
use rethread_shared::{ErrorCode, IdError, WireError, limits::NAME_BYTES_MAX};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        App,
        body::{Params, Text},
        problem::Problem,
    },
    Operator,
};
use crate::auth::{Revocation, Subject};

/// Revoke.
const REVOKE: &str = "/revoke";
/// What is revoked.
const REVOCATIONS: &str = "/revocations";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route(REVOKE, post(revoke)).route(REVOCATIONS, get(list).delete(undo))
}

/// One of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    user: Option<String>,
    token: Option<String>,
    thread: Option<String>,
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

/// A revocation as operators see it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    revocation: Revocation,
    /// When it is forgotten: no token it concerns is good any more. Seconds since 1970.
    until: u64,
}

impl Shown {
    fn new(app: &App, revocation: Revocation) -> Self {
        let until = revocation.until(app.shared.gate.keys().lifetime_max());
        Self { revocation, until }
    }
}

#[derive(Serialize)]
struct Revoked {
    #[serde(flatten)]
    shown: Shown,
    /// How many sockets and streams were told to look again at what they may have.
    connections: usize,
    /// True when all have; nothing more is written then to those that are cut off.
    complete: bool,
}

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

#[derive(Serialize)]
struct List {
    revocations: Vec<Shown>,
}

async fn list(State(app): State<Arc<App>>) -> Json<List> {
    let all = app.shared.gate.revocations().all();
    Json(List { revocations: all.into_iter().map(|one| Shown::new(&app, one)).collect() })
}

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

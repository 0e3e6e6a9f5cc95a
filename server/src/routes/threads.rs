use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use rethread_shared::{
    Epoch, ErrorCode, IdError, RunId, ThreadId, WireError,
    limits::{NAME_BYTES_MAX, THREADS_PAGE_MAX},
};
use serde::{Deserialize, Serialize};

use super::{
    App,
    body::{Text, ThreadPath},
    problem::Problem,
    token::Authorized,
};
use crate::{
    auth::{Grant, Scope},
    log::{NewThread, ThreadInfo},
    now,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateThread {
    thread: Option<String>,
    title: Option<String>,
}

/// Makes a thread that belongs to the token's user, or gives the one that does.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Authorized(grant): Authorized,
    body: Text,
) -> Result<(StatusCode, Json<ThreadInfo>), Problem> {
    grant.require_any(&[Scope::Send, Scope::Publish])?;
    let ask: CreateThread = body.json(r#"{"thread"?:"thread_{key}","title"?:"…"}"#)?;
    if ask.title.as_ref().is_some_and(|title| title.len() > NAME_BYTES_MAX) {
        return Err(WireError::new(
            ErrorCode::BadFrame,
            format!("a title has at most {NAME_BYTES_MAX} bytes"),
        )
        .into());
    }
    let thread = match &ask.thread {
        Some(text) => text.parse().map_err(|error: IdError| WireError::from(error))?,
        None => ThreadId::generate(now::random()),
    };
    let new = NewThread {
        thread: thread.clone(),
        owner: grant.user().to_string(),
        title: ask.title,
        created_at: now::unix_ms(),
        epoch: Epoch::generate(now::random()),
    };
    let created = app.shared.bridge.log().create(new).await.map_err(WireError::from)?;
    if !created.is_new && !grant.grants(&created.thread) {
        return Err(taken(&thread, &grant).into());
    }
    let status = if created.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(created.thread)))
}

/// Whoever names a thread's id when creating it learns that the name is taken; there is no way
/// around that. It learns no more: not whose it is, nor what is in it.
fn taken(thread: &ThreadId, grant: &Grant) -> WireError {
    WireError::new(
        ErrorCode::ThreadTaken,
        format!(
            "{thread} cannot be created for {}: choose another id, or leave `thread` out",
            grant.user()
        ),
    )
}

#[derive(Serialize)]
pub(super) struct Threads {
    threads: Vec<ThreadInfo>,
}

/// The threads that the token may use, the newest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Authorized(grant): Authorized,
) -> Result<Json<Threads>, Problem> {
    grant.require(Scope::Subscribe)?;
    let log = app.shared.bridge.log();
    let owner = (!grant.is_for_all_threads()).then(|| grant.user().as_ref());
    let mut threads = log.threads(owner, THREADS_PAGE_MAX).await.map_err(WireError::from)?;
    for listed in grant.listed() {
        if threads.iter().all(|thread| thread.thread != *listed) {
            threads.extend(log.thread(listed).map_err(WireError::from)?);
        }
    }
    threads.sort_by_key(|thread| std::cmp::Reverse(thread.created_at));
    threads.truncate(THREADS_PAGE_MAX);
    Ok(Json(Threads { threads }))
}

#[derive(Serialize)]
pub(super) struct Minted {
    run: RunId,
    thread: ThreadId,
}

/// Mints a run of a thread.
pub(super) async fn mint_run(
    State(app): State<Arc<App>>,
    Authorized(grant): Authorized,
    ThreadPath(thread): ThreadPath,
) -> Result<(StatusCode, Json<Minted>), Problem> {
    let run = app.shared.bridge.mint_run(&thread, &grant).await?;
    Ok((StatusCode::CREATED, Json(Minted { run, thread })))
}

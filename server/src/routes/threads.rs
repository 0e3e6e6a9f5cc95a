use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use rethread_shared::{
    IdError, RunId, ThreadId, WireError,
    limits::{THREADS_PAGE_MAX, THREADS_SCANNED_MAX},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    App,
    body::{Text, ThreadPath},
    openapi::golden,
    problem::Problem,
    token::Authorized,
};
use crate::{auth::Scope, log::ThreadInfo, now, schema};

/// A thread to make. Both may be left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateThread {
    /// Its id; without one the server makes it.
    #[schema(value_type = Option<schema::ThreadId>)]
    thread: Option<String>,
    /// What a list of threads shows for it.
    #[schema(max_length = 256)]
    title: Option<String>,
}

/// Makes a thread that belongs to the token's user, or gives the one that does.
#[utoipa::path(
    post, path = super::THREADS,
    security(("token" = ["send"]), ("token" = ["publish"])),
    request_body(content = CreateThread, example = json!(golden("create_thread"))),
    responses(
        (status = 201, description = "It was made.", body = schema::Thread,
         example = json!(golden("thread"))),
        (status = 200, description = "It is there, and yours.", body = schema::Thread,
         example = json!(golden("thread"))),
    ),
    extensions(("x-error-codes" = json!([
        "bad_frame", "bad_id", "frame_too_large", "thread_taken", "log_unavailable", "shutting_down"
    ])))
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Authorized(grant): Authorized,
    body: Text,
) -> Result<(StatusCode, Json<ThreadInfo>), Problem> {
    grant.require_any(&[Scope::Send, Scope::Publish])?;
    let ask: CreateThread = body.json(r#"{"thread"?:"thread_{key}","title"?:"…"}"#)?;
    let thread = match &ask.thread {
        Some(text) => text.parse().map_err(|error: IdError| WireError::from(error))?,
        None => ThreadId::generate(now::random()),
    };
    let created = app.shared.bridge.create(&thread, ask.title, &grant).await?;
    let status = if created.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(created.thread)))
}

/// Threads, the newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Threads {
    #[schema(value_type = Vec<schema::Thread>)]
    threads: Vec<ThreadInfo>,
}

/// The threads that the token may use, the newest first.
#[utoipa::path(
    get, path = super::THREADS,
    security(("token" = ["subscribe"])),
    responses((status = 200, description = "At most 1,000.", body = Threads,
               example = json!(golden("threads")))),
    extensions(("x-error-codes" = json!(["log_unavailable"])))
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Authorized(grant): Authorized,
) -> Result<Json<Threads>, Problem> {
    grant.require(Scope::Subscribe)?;
    let log = app.shared.bridge.log();
    let owner = (!grant.is_for_all_threads()).then(|| grant.user().as_ref());
    let mut threads = log.threads(owner, THREADS_PAGE_MAX).await.map_err(WireError::from)?;
    if grant.has_prefixes() {
        let newest = log.threads(None, THREADS_SCANNED_MAX).await.map_err(WireError::from)?;
        let fits = |thread: &ThreadInfo| thread.owner != *grant.user() && grant.grants(thread);
        threads.extend(newest.into_iter().filter(fits));
    }
    // A thread of one's own may be revoked too.
    threads.retain(|thread| grant.grants(thread));
    for listed in grant.listed() {
        if threads.iter().all(|thread| thread.thread != *listed) {
            let listed = log.thread(listed).map_err(WireError::from)?;
            threads.extend(listed.filter(|thread| grant.grants(thread)));
        }
    }
    threads.sort_by_key(|thread| std::cmp::Reverse(thread.created_at));
    threads.truncate(THREADS_PAGE_MAX);
    Ok(Json(Threads { threads }))
}

/// A run that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct Minted {
    #[schema(value_type = schema::RunId)]
    run: RunId,
    #[schema(value_type = schema::ThreadId)]
    thread: ThreadId,
}

/// Makes a run of a thread, remembered by the registry.
#[utoipa::path(
    post, path = super::RUNS,
    security(("token" = ["publish"])),
    params(("thread" = schema::ThreadId, Path, description = "The thread.")),
    responses((status = 201, description = "It was made.", body = Minted,
               example = json!(golden("run")))),
    extensions(("x-error-codes" = json!([
        "bad_id", "thread_not_found", "log_unavailable", "shutting_down"
    ])))
)]
pub(super) async fn mint_run(
    State(app): State<Arc<App>>,
    Authorized(grant): Authorized,
    ThreadPath(thread): ThreadPath,
) -> Result<(StatusCode, Json<Minted>), Problem> {
    let run = app.shared.bridge.mint_run(&thread, &grant).await?;
    Ok((StatusCode::CREATED, Json(Minted { run, thread })))
}

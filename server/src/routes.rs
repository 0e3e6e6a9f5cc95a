//! Every address of the server, and the few lines behind each.

mod admin;
mod body;
mod events;
mod health;
mod metrics;
mod page;
mod problem;
mod stream;
mod threads;
mod token;
mod ws;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
    serve::ListenerExt,
};
use rethread_shared::{ErrorCode, WireError, frame::SOCKET_PATH, limits::HTTP_BODY_BYTES_MAX};

use tokio::net::TcpListener;

use crate::socket::Shared;
use problem::Problem;

/// Threads: make one, list them.
const THREADS: &str = "/v1/threads";
/// Runs of a thread: mint one.
const RUNS: &str = "/v1/threads/{thread}/runs";
/// A thread's events: a page, or a stream.
const THREAD_EVENTS: &str = "/v1/threads/{thread}/events";
/// Publish.
const EVENTS: &str = "/v1/events";
/// A token for the page, in dev mode.
const DEV_TOKEN: &str = "/v1/dev/token";
/// Is the process alive?
const HEALTHZ: &str = "/healthz";
/// Should it be sent traffic?
const READYZ: &str = "/readyz";
/// What the server counts and measures.
const METRICS: &str = "/metrics";

/// What every handler shares.
#[derive(Clone, Debug)]
pub(crate) struct App {
    shared: Shared,
}

/// The routes of a server. With `dev`, tokens are handed out to whoever asks.
pub fn router(shared: Shared, dev: bool) -> Router {
    let mut router = Router::new()
        .route(SOCKET_PATH, get(ws::upgrade))
        .route(THREADS, post(threads::create).get(threads::list))
        .route(RUNS, post(threads::mint_run))
        .route(THREAD_EVENTS, get(events::read))
        .route(EVENTS, post(events::publish))
        .route(HEALTHZ, get(health::alive))
        .route(READYZ, get(health::ready))
        .route(METRICS, get(metrics::text));
    if dev {
        router = router.route(DEV_TOKEN, get(token::dev));
    }
    let app = Arc::new(App { shared });
    router
        .nest(admin::ADMIN, admin::router(&app))
        .fallback(page::serve)
        .method_not_allowed_fallback(not_allowed)
        .layer(axum::extract::DefaultBodyLimit::max(HTTP_BODY_BYTES_MAX))
        .with_state(app)
}

/// Answers requests on `listener` until `shutdown` completes, and then those that are under way.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(
    listener: TcpListener,
    shared: Shared,
    dev: bool,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // Without it a small frame waits for the answer to the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
    });
    axum::serve(listener, router(shared, dev)).with_graceful_shutdown(shutdown).await
}

async fn not_allowed(method: axum::http::Method, uri: axum::http::Uri) -> Problem {
    let error = WireError::new(
        ErrorCode::NotFound,
        format!("{} does not take {method}; see PROTOCOL.md for the endpoints", uri.path()),
    );
    Problem::with_status(error, axum::http::StatusCode::METHOD_NOT_ALLOWED)
}

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
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use rethread_shared::{ErrorCode, WireError, frame::SOCKET_PATH, limits::HTTP_BODY_BYTES_MAX};
use tower_http::compression::CompressionLayer;

use crate::{guard::Peer, server::Server, socket::Shared};
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

/// The endpoints of a server, to be mounted in an application's own: at its root, or nested below a
/// path, which then is part of the address that clients are given (`https://example.com/rethread`).
/// Layers of the application, such as its own log-in, stand before it.
///
/// Without the chat page, and without tokens for whoever asks, also when `config.dev` is set: what is
/// not an endpoint is answered with 404 and an error as JSON.
///
/// ```no_run
/// # async fn example(server: rethread_server::Server) -> std::io::Result<()> {
/// let app = axum::Router::new()
///     .route("/", axum::routing::get(|| async { "the application's own" }))
///     .nest("/rethread", rethread_server::router(&server));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// let stopping = server.clone();
/// let signal = async move {
///     let _ = tokio::signal::ctrl_c().await;
///     stopping.stop();
/// };
/// axum::serve(listener, app).with_graceful_shutdown(signal).await?;
/// server.close().await;
/// # Ok(())
/// # }
/// ```
pub fn router(server: &Server) -> Router {
    finish(endpoints().fallback(nothing), server.shared.clone())
}

/// The routes of a server of its own: the endpoints and the chat page. With `dev`, tokens are handed
/// out to whoever asks.
pub(crate) fn with_page(shared: Shared, dev: bool) -> Router {
    let mut router = endpoints();
    if dev {
        router = router.route(DEV_TOKEN, get(token::dev));
    }
    // Never events as they happen: a compressor would hold them back. Its defaults leave them out.
    finish(router.fallback(page::serve), shared).layer(CompressionLayer::new())
}

fn endpoints() -> Router<Arc<App>> {
    Router::new()
        .route(SOCKET_PATH, get(ws::upgrade))
        .route(THREADS, post(threads::create).get(threads::list))
        .route(RUNS, post(threads::mint_run))
        .route(THREAD_EVENTS, get(events::read))
        .route(EVENTS, post(events::publish))
        .route(HEALTHZ, get(health::alive))
        .route(READYZ, get(health::ready))
        .route(METRICS, get(metrics::text))
}

fn finish(router: Router<Arc<App>>, shared: Shared) -> Router {
    let app = Arc::new(App { shared });
    router
        .nest(admin::ADMIN, admin::router(&app))
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(app.clone(), guarded))
        .layer(axum::extract::DefaultBodyLimit::max(HTTP_BODY_BYTES_MAX))
        .with_state(app)
}

/// Lets a request pass that its address may make, and notes whose it is. What came to another
/// program's listener has no peer here, and is that program's to limit.
async fn guarded(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if let Some(peer) = request.extensions().get::<Peer>() {
        let client = app.shared.guard.request(*peer, request.headers())?;
        request.extensions_mut().insert(client);
    }
    Ok(next.run(request).await)
}

async fn nothing(uri: axum::http::Uri) -> Problem {
    let message = format!("nothing is at {}; see PROTOCOL.md for the endpoints", uri.path());
    WireError::new(ErrorCode::NotFound, message).into()
}

async fn not_allowed(method: axum::http::Method, uri: axum::http::Uri) -> Problem {
    let error = WireError::new(
        ErrorCode::NotFound,
        format!("{} does not take {method}; see PROTOCOL.md for the endpoints", uri.path()),
    );
    Problem::with_status(error, axum::http::StatusCode::METHOD_NOT_ALLOWED)
}

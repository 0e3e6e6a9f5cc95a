//! Every address of the server, and the few lines behind each.

mod admin;
mod body;
mod docs;
mod events;
mod health;
mod metrics;
mod openapi;
mod page;
mod problem;
mod request;
mod stream;
mod threads;
mod token;
mod ws;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderName, Method, header},
};
use rethread_shared::{
    ErrorCode, WireError,
    limits::{HTTP_BODY_BYTES_MAX, PREFLIGHT_AGE},
};
use tower_http::{
    compression::CompressionLayer,
    cors::{AllowOrigin, CorsLayer},
};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use openapi::openapi;

use crate::{origins::Origins, server::Server, socket::Shared};
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
    let app = App { shared: server.shared.clone() };
    finish(endpoints().fallback(nothing), app)
}

/// The routes of a server of its own: the endpoints and the chat page. With `dev`, tokens are handed
/// out to whoever asks.
pub(crate) fn with_page(shared: Shared, dev: bool) -> Router {
    let mut router = endpoints();
    if dev {
        router = router.routes(routes!(token::dev));
    }
    // Never events as they happen: a compressor would hold them back. Its defaults leave them out.
    finish(router.fallback(page::serve), App { shared }).layer(CompressionLayer::new())
}

/// Every endpoint, each with its description: a handler that has none cannot be added.
fn endpoints() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(ws::upgrade))
        .routes(routes!(threads::create, threads::list))
        .routes(routes!(threads::mint_run))
        .routes(routes!(events::read))
        .routes(routes!(events::publish))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::text))
        .routes(routes!(openapi::document))
        .routes(routes!(docs::read))
}

/// The descriptions of all of them, with those that not every server has.
fn described() -> OpenApi {
    endpoints().routes(routes!(token::dev)).nest(admin::ADMIN, admin::endpoints()).into_openapi()
}

fn finish(router: OpenApiRouter<Arc<App>>, app: App) -> Router {
    let app = Arc::new(app);
    let router: Router<Arc<App>> = router.nest(admin::ADMIN, admin::router(&app)).into();
    router
        .method_not_allowed_fallback(not_allowed)
        .layer(axum::extract::DefaultBodyLimit::max(HTTP_BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(app.clone(), request::follow))
        .layer(cross_origin(app.shared.origins.clone()))
        .with_state(app)
}

/// Lets pages of the origins that may come ask, and read the answers.
fn cross_origin(origins: Arc<Origins>) -> CorsLayer {
    let allowed = AllowOrigin::predicate(move |origin, parts| {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        origin.to_str().is_ok_and(|origin| origins.allow(origin, host))
    });
    let request_id = HeaderName::from_static("x-request-id");
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("last-event-id"),
            request_id.clone(),
        ])
        .expose_headers([header::RETRY_AFTER, request_id])
        .max_age(PREFLIGHT_AGE)
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

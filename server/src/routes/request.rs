//! The way of every HTTP request: it gets a name, a span in the logs, and where it is refused an entry
//! among the refusals.

use std::sync::{Arc, OnceLock};

use axum::{
    extract::{self, FromRequestParts, State},
    http::{HeaderName, HeaderValue, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use rethread_shared::{WireError, limits::ASKED_CHARS_MAX, mask_tokens};
use tracing::Instrument;

use super::{App, problem::Problem};
use crate::{
    auth::Parting,
    guard::{Client, Guard, Peer},
    metrics::meters::Transport,
    refusals::Asker,
    request::Request,
};

/// Names a request through all logs; in the answer it is the one that was used.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known of the request that a handler answers.
#[derive(Clone, Debug)]
pub(super) struct Asking(Arc<Known>);

#[derive(Debug)]
struct Known {
    request: Request,
    /// `None` where another program listens: then its limits are that program's.
    client: Option<Client>,
    parting: Parting,
    user: OnceLock<Arc<str>>,
}

impl Asking {
    pub(super) fn request(&self) -> &Request {
        &self.0.request
    }

    pub(super) fn client(&self) -> Option<Client> {
        self.0.client
    }

    pub(super) fn address(&self) -> Option<std::net::IpAddr> {
        self.0.client.map(|client| client.address)
    }

    /// Ends its connection, where this server listens.
    pub(super) fn parting(&self) -> Parting {
        self.0.parting.clone()
    }

    /// Its token was good and names this user.
    pub(super) fn is_by(&self, user: &Arc<str>) {
        let _ = self.0.user.set(user.clone());
    }
}

impl<S: Sync> FromRequestParts<S> for Asking {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self::new(parts, None)))
    }
}

impl Asking {
    fn new(parts: &Parts, guard: Option<&Guard>) -> Self {
        let name = parts.headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let request = name.and_then(|name| Request::named(name, Transport::Http));
        let peer = parts.extensions.get::<Peer>().copied();
        Self(Arc::new(Known {
            request: request.unwrap_or_else(|| Request::new(Transport::Http)),
            client: peer.zip(guard).map(|(peer, guard)| guard.client(peer, &parts.headers)),
            parting: parts.extensions.get::<Parting>().cloned().unwrap_or_default(),
            user: OnceLock::new(),
        }))
    }
}

/// Marks an answer as a refusal that nobody has noted yet.
#[derive(Clone, Debug)]
pub(super) struct Refused(pub(super) Arc<WireError>);

/// Takes a request on its way.
pub(super) async fn follow(
    State(app): State<Arc<App>>,
    request: extract::Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let asking = Asking::new(&parts, Some(&app.shared.guard));
    let path: String = parts.uri.path().chars().take(ASKED_CHARS_MAX).collect();
    let asked = mask_tokens(format!("{} {path}", parts.method));
    parts.extensions.insert(asking.clone());
    let id = &asking.request().id;
    let span = tracing::info_span!("request", %id, asked);
    let request = extract::Request::from_parts(parts, body);
    let mut response = match app.shared.guard.admit(asking.client()) {
        Ok(()) => next.run(request).instrument(span).await,
        Err(error) => Problem::from(error).into_response(),
    };
    if let Some(Refused(error)) = response.extensions_mut().remove::<Refused>() {
        let user = asking.0.user.get();
        let asker = Asker { request: asking.request(), asked: &asked, user };
        app.shared.bridge.refusals().note(asker, &error);
    }
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

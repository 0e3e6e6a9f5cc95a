//! The bodies and parameters of requests, read with errors that say what was expected.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use rethread_shared::{ErrorCode, IdError, ThreadId, WireError, limits::HTTP_BODY_BYTES_MAX};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::listener::Late;

/// A body as UTF-8 text.
pub(super) struct Text(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Problem> {
        let bytes = match Bytes::from_request(request, state).await {
            Ok(bytes) => bytes,
            Err(cause) if cause.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let limit = format!("the body is larger than {HTTP_BODY_BYTES_MAX} bytes");
                return Err(WireError::new(ErrorCode::FrameTooLarge, limit).into());
            }
            Err(cause) => {
                let is_late = Late::is_behind(&cause);
                let message = format!("the body did not arrive whole: {}", cause.body_text());
                let error = WireError::new(ErrorCode::BadFrame, message);
                let status = if is_late { StatusCode::REQUEST_TIMEOUT } else { cause.status() };
                return Err(Problem::with_status(error, status));
            }
        };
        String::from_utf8(bytes.into()).map(Self).map_err(|cause| {
            WireError::new(ErrorCode::BadFrame, format!("the body is not UTF-8: {cause}")).into()
        })
    }
}

impl Text {
    /// The body as JSON; an empty one stands for `{}`.
    pub(super) fn json<T: DeserializeOwned>(&self, expected: &str) -> Result<T, WireError> {
        let text = if self.0.trim().is_empty() { "{}" } else { &self.0 };
        serde_json::from_str(text).map_err(|cause| {
            WireError::new(ErrorCode::BadFrame, format!("the body is not as expected: {cause}"))
                .with_expected(expected)
                .with_received(&self.0)
        })
    }
}

/// The thread in a request's path.
pub(super) struct ThreadPath(pub(super) ThreadId);

impl<S: Send + Sync> FromRequestParts<S> for ThreadPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|cause| {
                WireError::new(ErrorCode::BadId, format!("the path cannot be read: {cause}"))
            })?;
        Ok(Self(text.parse().map_err(|error: IdError| WireError::from(error))?))
    }
}

/// A request's query parameters.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(params) =
            Query::<T>::from_request_parts(parts, state).await.map_err(|cause| {
                WireError::new(ErrorCode::BadFrame, format!("the query cannot be read: {cause}"))
            })?;
        Ok(Self(params))
    }
}

//! Errors as HTTP answers.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rethread_shared::{ErrorCode, WireError};
use serde::Serialize;

/// An error as an HTTP answer: the status of its code, and `{"error":{…}}`.
#[derive(Debug)]
pub(crate) struct Problem {
    error: WireError,
    status: StatusCode,
}

#[derive(Serialize)]
struct Body {
    error: WireError,
}

impl Problem {
    pub(super) fn with_status(error: WireError, status: StatusCode) -> Self {
        Self { error, status }
    }
}

/// The HTTP status of a code.
pub(super) fn status(code: &ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl From<WireError> for Problem {
    fn from(error: WireError) -> Self {
        let status = status(&error.code);
        Self { error, status }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let retry = self.error.retry_after_ms;
        let mut response = (self.status, Json(Body { error: self.error })).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(ms) = retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
        }
        response
    }
}

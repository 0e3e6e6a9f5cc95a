//! Errors as HTTP answers.

use std::sync::Arc;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rethread_shared::{ErrorCode, WireError};
use serde::Serialize;

use super::request::Refused;

/// An error as an HTTP answer: the status of its code, and `{"error":{…}}`.
#[derive(Debug)]
pub(crate) struct Problem {
    error: Arc<WireError>,
    status: StatusCode,
    is_noted: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a WireError,
}

impl Problem {
    pub(super) fn with_status(error: WireError, status: StatusCode) -> Self {
        Self { error: Arc::new(error), status, is_noted: false }
    }

    /// A refusal that stands among the refusals already.
    pub(super) fn noted(error: WireError) -> Self {
        Self { is_noted: true, ..Self::from(error) }
    }
}

/// The HTTP status of a code.
pub(super) fn status(code: &ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl From<WireError> for Problem {
    fn from(error: WireError) -> Self {
        let status = status(&error.code);
        Self::with_status(error, status)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let retry = self.error.retry_after_ms;
        let mut response = (self.status, Json(Body { error: &self.error })).into_response();
        if !self.is_noted {
            response.extensions_mut().insert(Refused(self.error));
        }
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

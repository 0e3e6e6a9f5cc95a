//! The chat page, inside the binary.

use axum::{
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rethread_shared::{ErrorCode, WireError};

use super::problem::Problem;

#[derive(rust_embed::RustEmbed)]
#[folder = "../www/dist"]
#[allow_missing = true]
struct Page;

const INDEX: &str = "index.html";
/// Names below here contain a hash of the content.
const HASHED: &str = "assets/";

pub(super) async fn serve(uri: Uri) -> Result<Response, Problem> {
    let path = uri.path().trim_start_matches('/');
    let path = if path.is_empty() { INDEX } else { path };
    let Some(file) = Page::get(path) else {
        let message = if path == INDEX {
            "this binary was built without its page; build it with `cargo xtask demo`".to_owned()
        } else {
            format!("nothing is at {}; see PROTOCOL.md for the endpoints", uri.path())
        };
        return Err(WireError::new(ErrorCode::NotFound, message).into());
    };
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let cache =
        if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, kind.as_ref()),
        (header::CACHE_CONTROL, cache),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, CSP),
    ];
    Ok((StatusCode::OK, headers, file.data).into_response())
}

/// The page's own files, its WebAssembly, and this server; nothing else.
const CSP: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

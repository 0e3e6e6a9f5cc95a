//! The application's own: a page, a log-in by cookie, and orders. What a customer may do with Rethread
//! follows from the shop's log-in, and from nothing else.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use parking_lot::Mutex;
use rethread_server::{Server, auth::Scope};
use rethread_shared::{ThreadId, WireError};
use serde::{Deserialize, Serialize};

use crate::warehouse;

const TOKEN_TTL: Duration = Duration::from_secs(15 * 60);
const NAME_BYTES_MAX: usize = 64;
const ITEM_BYTES_MAX: usize = 200;
/// In memory, and so bounded; a real shop has a database.
const SESSIONS_MAX: usize = 10_000;
const ORDERS_MAX: usize = 100;

/// What the shop's handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    server: Server,
    sessions: Arc<Mutex<HashMap<String, Customer>>>,
    orders: Arc<Mutex<HashMap<ThreadId, Vec<String>>>>,
}

/// Who has logged in, and the conversation with them.
#[derive(Clone, Debug)]
struct Customer {
    name: String,
    thread: ThreadId,
}

impl Shop {
    pub(crate) fn new(server: Server) -> Self {
        Self { server, sessions: Arc::default(), orders: Arc::default() }
    }

    /// What has been ordered in a conversation.
    pub(crate) fn orders(&self, thread: &ThreadId) -> Vec<String> {
        self.orders.lock().get(thread).cloned().unwrap_or_default()
    }
}

pub(crate) fn routes(shop: Shop) -> Router {
    let customers_only = middleware::from_fn_with_state(shop.clone(), customers_only);
    Router::new()
        .route("/orders", post(order))
        .route("/token", get(token))
        .route_layer(customers_only)
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/login", post(log_in))
        .with_state(shop)
}

#[derive(Deserialize)]
struct LogIn {
    name: String,
}

/// Anybody may be anybody: this is an example.
async fn log_in(State(shop): State<Shop>, Json(ask): Json<LogIn>) -> Result<Response, Refusal> {
    let name = ask.name;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_name || name.len() > NAME_BYTES_MAX {
        return Err(Refusal(
            StatusCode::UNPROCESSABLE_ENTITY,
            "a name has letters and digits".into(),
        ));
    }
    let thread: ThreadId = format!("thread_shop.{name}").parse().map_err(Refusal::internal)?;
    // It is made once, and belongs to the customer: a token for them is a token for it.
    shop.server.trusted(&name).create_thread(Some(&thread), Some("The shop")).await?;
    let session = format!("{:032x}", rand::random::<u128>());
    let mut sessions = shop.sessions.lock();
    if sessions.len() >= SESSIONS_MAX {
        return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "the shop is full".into()));
    }
    sessions.insert(session.clone(), Customer { name, thread });
    let cookie = format!("session={session}; HttpOnly; SameSite=Strict; Path=/");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// The shop's own layer: it knows cookies, and nothing of tokens.
async fn customers_only(
    State(shop): State<Shop>,
    headers: HeaderMap,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let cookies = headers.get(header::COOKIE).and_then(|value| value.to_str().ok());
    let session = cookies
        .into_iter()
        .flat_map(|cookies| cookies.split("; "))
        .find_map(|cookie| cookie.strip_prefix("session="));
    let customer = session.and_then(|session| shop.sessions.lock().get(session).cloned());
    let Some(customer) = customer else {
        return Err(Refusal(StatusCode::UNAUTHORIZED, "log in first".into()));
    };
    request.extensions_mut().insert(customer);
    Ok(next.run(request).await)
}

#[derive(Serialize)]
struct Access {
    token: String,
    thread: ThreadId,
}

/// What the page connects to Rethread with.
async fn token(
    State(shop): State<Shop>,
    Extension(customer): Extension<Customer>,
) -> Result<Json<Access>, Refusal> {
    let scopes = [Scope::Subscribe, Scope::Send];
    let token = shop.server.token(&customer.name, &scopes, TOKEN_TTL);
    let token = token.ok_or_else(|| Refusal::internal("the shop has no secret to sign with"))?;
    Ok(Json(Access { token, thread: customer.thread }))
}

#[derive(Deserialize)]
struct Order {
    item: String,
}

/// Takes an order; the warehouse packs it, and the customer watches.
async fn order(
    State(shop): State<Shop>,
    Extension(customer): Extension<Customer>,
    Json(order): Json<Order>,
) -> Result<StatusCode, Refusal> {
    if order.item.trim().is_empty() || order.item.len() > ITEM_BYTES_MAX {
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, "order something".into()));
    }
    {
        let mut orders = shop.orders.lock();
        let orders = orders.entry(customer.thread.clone()).or_default();
        if orders.len() >= ORDERS_MAX {
            return Err(Refusal(StatusCode::TOO_MANY_REQUESTS, "that is enough for today".into()));
        }
        orders.push(order.item.clone());
    }
    let warehouse = shop.server.trusted("warehouse");
    let run = warehouse.mint_run(&customer.thread).await?;
    tokio::spawn(async move {
        if let Err(error) = warehouse::pack(&warehouse, &run, &order.item).await {
            tracing::error!(%run, %error, "the order was not packed");
        }
    });
    Ok(StatusCode::ACCEPTED)
}

/// An answer that is none.
struct Refusal(StatusCode, String);

impl Refusal {
    fn internal(error: impl ToString) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

/// Errors of the bridge have their HTTP status.
impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        let status = StatusCode::from_u16(error.code.status());
        Self(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error.message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

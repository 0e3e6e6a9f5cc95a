//! The listener: from a TCP connection to a request, with a time and a size for everything that a
//! client may take of either.
//!
//! - [`io`]: a connection's bytes, plain or by TLS; a reader that takes nothing is noticed here, for
//!   sockets, streams and answers alike;
//! - [`tls`]: certificates, and how new ones are taken up;
//! - `body`: a request's body, which must come within its time.
//!
//! A task serves a connection until it closes or becomes a WebSocket, which then has a task of its own.

mod body;
mod io;
pub mod tls;

use std::{
    convert::Infallible, error::Error, net::SocketAddr, pin::pin, sync::Arc, time::Duration,
};

use bytes::Bytes;
use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rethread_shared::limits::{
    ACCEPT_PAUSE_MAX, ACCEPT_PAUSE_MIN, PARTING_DEADLINE, REQUEST_HEAD_BYTES_MAX,
    REQUEST_HEADERS_MAX, UNSENT_BYTES_MAX,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt};

use crate::{
    auth::Parting,
    config::Http,
    guard::{Guard, Peer},
};
pub use body::{Late, Timed};
use io::Io;
use tls::Tls;

/// A listener and what it needs to serve.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub tcp: TcpListener,
    /// Certificates, where it speaks TLS.
    pub tls: Option<Arc<Tls>>,
    /// Times and sizes.
    pub http: Http,
    /// Who may have how many connections.
    pub guard: Arc<Guard>,
}

/// What connections share.
struct Serving<S> {
    service: S,
    tls: Option<Arc<Tls>>,
    http: Http,
    guard: Arc<Guard>,
    stopping: CancellationToken,
}

impl Listener {
    /// Answers requests with `service` until `stopping`; then takes no more connections, and returns
    /// when the requests that are under way have their answer. The peer's address is with each request
    /// as an extension, [`Peer`].
    pub async fn serve<S, B>(self, service: S, stopping: CancellationToken)
    where
        S: Service<Request<Timed<Incoming>>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Self { tcp, tls, http, guard } = self;
        let serving = Arc::new(Serving { service, tls, http, guard, stopping: stopping.clone() });
        let tasks = TaskTracker::new();
        let mut pause = Duration::ZERO;
        while let Some(accepted) = stopping.run_until_cancelled(tcp.accept()).await {
            match accepted {
                Ok((stream, address)) => {
                    pause = Duration::ZERO;
                    tasks.spawn(serving.clone().connection(stream, address));
                }
                // The other side gave up before it was taken; nothing is wrong here.
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    pause = (pause * 2).clamp(ACCEPT_PAUSE_MIN, ACCEPT_PAUSE_MAX);
                    metrics::counter!(crate::metrics::ACCEPT_FAILURES).increment(1);
                    tracing::error!(
                        %error, ?pause,
                        "no connection can be taken; is the limit of open files too low?"
                    );
                    let _ = stopping.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
        drop(tcp);
        tasks.close();
        tasks.wait().await;
    }
}

impl<S, B> Serving<S>
where
    S: Service<Request<Timed<Incoming>>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn connection(self: Arc<Self>, stream: TcpStream, address: SocketAddr) {
        prepare(&stream);
        let Some(peer) = self.guard.accept(address.ip()) else {
            tracing::debug!(%address, "closed at once: far more connections than its address may have");
            return;
        };
        let (peer, seat) = peer;
        let stall = self.http.write_stall.get();
        let opening = tokio::time::Instant::now() + self.http.opening.get();
        let io = match &self.tls {
            None => Io::plain(stream, stall, seat),
            Some(tls) => match tokio::time::timeout_at(opening, tls.accept(stream)).await {
                Ok(Ok(stream)) => Io::tls(stream, stall, seat),
                Ok(Err(error)) => return tracing::debug!(%address, %error, "no TLS handshake"),
                Err(_) => return tracing::debug!(%address, "the TLS handshake took too long"),
            },
        };
        // Boxed, and gone when the connection becomes a WebSocket: an idle socket pays nothing for it.
        Box::pin(self.requests(io, peer, opening)).await;
    }

    async fn requests(self: Arc<Self>, io: Io, peer: Peer, opening: tokio::time::Instant) {
        let opened = CancellationToken::new();
        let parting = Parting::default();
        let body_timeout = self.http.body_timeout.get();
        let answer = service_fn(|request: Request<Incoming>| {
            opened.cancel();
            let mut request = request.map(|body| Timed::new(body, body_timeout));
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(parting.clone());
            self.service.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.http.idle_timeout.get())
            .max_headers(REQUEST_HEADERS_MAX)
            .max_header_size(REQUEST_HEAD_BYTES_MAX)
            .max_buf_size(REQUEST_HEAD_BYTES_MAX * 2)
            .serve_connection(TokioIo::new(io), answer)
            .with_upgrades();
        let mut connection = pin!(connection);
        let first = async {
            if opened.run_until_cancelled(tokio::time::sleep_until(opening)).await.is_none() {
                std::future::pending::<()>().await;
            }
        };
        let cut = async {
            parting.asked().await;
            tokio::time::sleep(PARTING_DEADLINE).await;
        };
        let (mut first, mut stop) = (pin!(first), pin!(self.stopping.cancelled()));
        let (mut asked, mut cut) = (pin!(parting.asked()), pin!(cut));
        let (mut is_stopping, mut is_parting) = (false, false);
        let ended = loop {
            tokio::select! {
                ended = connection.as_mut() => break ended,
                () = &mut first => return tracing::debug!(?peer, "no request came in time"),
                () = &mut cut => return tracing::debug!(?peer, "cut off, with what it had not taken"),
                () = &mut asked, if !is_parting => {
                    is_parting = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = &mut stop, if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(?peer, %error, "a connection broke");
        }
    }
}

fn prepare(stream: &TcpStream) {
    // Without it a small frame waits for the answer to the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
        tracing::debug!(%error, "TCP_NOTSENT_LOWAT");
    }
}

fn is_of_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

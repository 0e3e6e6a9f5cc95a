use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt, stream::SplitSink, stream::SplitStream};
use rethread_shared::frame::{SOCKET_PATH, SUBPROTOCOL};
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, Uri, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use super::Error;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long a connection that was given up may take to say goodbye.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// Room for reading; a client holds one connection, a load generator thousands.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// An open WebSocket. Writing is a task of its own, so that reading never waits for it; what waits
/// to be written is bounded by the outbox.
#[derive(Debug)]
pub(super) struct Socket {
    incoming: SplitStream<Stream>,
    outgoing: mpsc::UnboundedSender<Message>,
    writer: JoinHandle<()>,
}

/// What came from a socket.
#[derive(Debug)]
pub(super) enum Incoming {
    Text(tungstenite::Utf8Bytes),
    /// A WebSocket ping or the like.
    Control,
    /// It is gone, with the code of the close frame if there was one.
    Closed(Option<u16>),
}

impl Socket {
    /// Opens a socket to an address from [`endpoint`].
    pub(super) async fn open(endpoint: &Uri) -> Result<Self, tungstenite::Error> {
        let mut request = endpoint.clone().into_client_request()?;
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let connector = match endpoint.scheme_str() {
            Some("wss") => Connector::Rustls(tls()),
            _ => Connector::Plain,
        };
        let (stream, _) = tokio_tungstenite::connect_async_tls_with_config(
            request,
            Some(config),
            true,
            Some(connector),
        )
        .await?;
        let (sink, incoming) = stream.split();
        let (outgoing, queue) = mpsc::unbounded_channel();
        Ok(Self { incoming, outgoing, writer: tokio::spawn(write(sink, queue)) })
    }

    pub(super) async fn next(&mut self) -> Incoming {
        match self.incoming.next().await {
            Some(Ok(Message::Text(text))) => Incoming::Text(text),
            Some(Ok(Message::Close(frame))) => {
                Incoming::Closed(frame.map(|frame| frame.code.into()))
            }
            Some(Ok(_)) => Incoming::Control,
            Some(Err(error)) => {
                tracing::debug!(%error, "the socket broke");
                Incoming::Closed(None)
            }
            None => Incoming::Closed(None),
        }
    }

    pub(super) fn send(&self, text: String) {
        // A writer that has stopped means a broken socket, which the reader finds too.
        self.outgoing.send(Message::text(text)).ok();
    }

    /// Says goodbye in the background and lets go.
    pub(super) fn close(self, code: Option<u16>) {
        let Self { incoming, outgoing, mut writer } = self;
        let code = code.unwrap_or(1000).into();
        let frame = CloseFrame { code, reason: Default::default() };
        outgoing.send(Message::Close(Some(frame))).ok();
        drop((outgoing, incoming));
        tokio::spawn(async move {
            if tokio::time::timeout(CLOSE_DEADLINE, &mut writer).await.is_err() {
                writer.abort();
            }
        });
    }
}

/// Writes what queues, one flush for all that is there.
async fn write(mut sink: SplitSink<Stream, Message>, mut queue: mpsc::UnboundedReceiver<Message>) {
    while let Some(message) = queue.recv().await {
        let mut next = Some(message);
        while let Some(message) = next {
            if sink.feed(message).await.is_err() {
                return;
            }
            next = queue.try_recv().ok();
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
}

/// The address of the WebSocket endpoint of a server's address.
pub(super) fn endpoint(url: &str) -> Result<Uri, Error> {
    let bad = || Error::BadUrl(url.to_owned());
    let (scheme, rest) = url.trim().split_once("://").ok_or_else(bad)?;
    let scheme = match scheme {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        _ => return Err(bad()),
    };
    let rest = rest.trim_end_matches('/');
    let path = if rest.ends_with(SOCKET_PATH) { "" } else { SOCKET_PATH };
    format!("{scheme}://{rest}{path}").parse().map_err(|_| bad())
}

/// TLS with the roots that browsers trust.
fn tls() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    let roots: rustls::RootCertStore = roots;
    Arc::new(
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

#[cfg(test)]
mod tests {
    use super::{endpoint, tls};

    #[test]
    fn tls_trusts_what_browsers_trust_and_needs_no_installed_provider() {
        assert_eq!(tls().crypto_provider().kx_groups.len(), 3);
    }

    #[test]
    fn every_form_of_address_leads_to_the_endpoint() {
        for (url, expected) in [
            ("http://127.0.0.1:4242", "ws://127.0.0.1:4242/v1/ws"),
            ("https://chat.example/", "wss://chat.example/v1/ws"),
            ("ws://h:1/v1/ws", "ws://h:1/v1/ws"),
            ("wss://h/under/a/path", "wss://h/under/a/path/v1/ws"),
        ] {
            assert_eq!(endpoint(url).unwrap().to_string(), expected);
        }
        for url in ["h:1", "ftp://h", "http://", ""] {
            assert!(endpoint(url).is_err(), "{url:?} is no address");
        }
    }
}

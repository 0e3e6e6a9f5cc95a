//! TLS with a certificate authority of the test's own: https, wss, and a new certificate while it runs.

use std::{path::Path, sync::Arc, time::SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rethread_shared::frame::{SOCKET_PATH, SUBPROTOCOL};
use rethread_tests::{server::Server, until, within};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, http::HeaderValue};

/// An authority that a client trusts.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Puts a new certificate for localhost and its key into a folder.
    fn issue(&self, folder: &Path) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    }

    /// Connects as a client that trusts this authority only.
    async fn connect(&self, server: &Server) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// The certificate that the server shows.
    async fn shown(&self, server: &Server) -> Option<CertificateDer<'static>> {
        let stream = self.connect(server).await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?.first()?.clone().into_owned())
    }
}

fn serve(folder: &Path, more: &[&str]) -> Server {
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (file("cert.pem"), file("key.pem"));
    let mut args = vec!["--tls-certificate", &certificate, "--tls-key", &key];
    args.extend(more);
    Server::start_with(&args)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_and_wss_with_a_certificate() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.issue(folder.path());
    let server = serve(folder.path(), &["--http-opening", "500ms"]);
    let _ = ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .add_root_certificate(reqwest::Certificate::from_der(authority.0.der()).unwrap())
        .build()
        .unwrap();
    let url = |path: &str| format!("https://localhost:{}{path}", server.port());
    let alive = http.get(url("/healthz")).send().await.unwrap();
    assert_eq!(alive.status(), 200);

    let stream = authority.connect(&server).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let address = format!("wss://localhost:{}{SOCKET_PATH}", server.port());
    let mut request = address.into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let hello = format!(r#"{{"op":"hello","token":"{}"}}"#, server.token());
    use futures_util::{SinkExt, StreamExt};
    socket.send(Message::text(hello)).await.unwrap();
    let welcome = within("a welcome", socket.next()).await.unwrap().unwrap();
    assert!(welcome.to_text().unwrap().contains("welcome"), "{welcome}");

    // Whoever does not trust the authority goes no further, and plain HTTP is no TLS.
    assert!(Authority::new().connect(&server).await.is_err());
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(plain.get(format!("http://localhost:{}/healthz", server.port())).send().await.is_err());
    // A handshake that does not go on ends.
    let mut silent = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    let mut nothing = [0];
    use tokio::io::AsyncReadExt;
    let read = within("the end of a handshake", silent.read(&mut nothing)).await;
    assert_eq!(read.unwrap_or(0), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_taken_up_and_a_bad_one_is_not() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.issue(folder.path());
    let server = serve(folder.path(), &["--tls-check-every", "24h"]);
    let hangup = || {
        let pid = server.pid().to_string();
        let status = std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap();
        assert!(status.success());
    };
    let first = authority.shown(&server).await.unwrap();

    // SIGHUP reads them at once.
    authority.issue(folder.path());
    assert_eq!(authority.shown(&server).await.unwrap(), first, "not before it is asked");
    hangup();
    let changed = |before: CertificateDer<'static>| {
        let (authority, server) = (&authority, &server);
        async move {
            until("the new certificate", || async {
                authority.shown(server).await.filter(|shown| *shown != before)
            })
            .await
        }
    };
    let second = changed(first).await;

    // Files that cannot be used leave the one in use, and say so.
    std::fs::write(folder.path().join("cert.pem"), "no certificate").unwrap();
    hangup();
    until("word of it in the log", || async {
        server.log().contains("the one before stays in use").then_some(())
    })
    .await;
    assert_eq!(authority.shown(&server).await.unwrap(), second);
    authority.issue(folder.path());
    hangup();
    changed(second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_files_are_noticed_without_being_told() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.issue(folder.path());
    let server = serve(folder.path(), &["--tls-check-every", "100ms"]);
    let first = authority.shown(&server).await.unwrap();
    authority.issue(folder.path());
    // Clocks of file systems are coarse.
    let later = SystemTime::now() + std::time::Duration::from_secs(5);
    let file = std::fs::File::options().append(true).open(folder.path().join("cert.pem")).unwrap();
    file.set_modified(later).unwrap();
    until("the new certificate", || async {
        authority.shown(&server).await.filter(|shown| *shown != first)
    })
    .await;
}

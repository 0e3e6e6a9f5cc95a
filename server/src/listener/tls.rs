//! TLS: the certificate, and how a new one is taken up while the server runs.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    net::TcpStream,
    signal::unix::{SignalKind, signal},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::config::{Span, settings};

settings! {
    /// TLS. Without a certificate the server speaks plain HTTP, for use behind a proxy.
    pub struct Settings {
        /// The file with the certificate, and those between it and the root, in PEM.
        certificate: Option<PathBuf> = None;
        /// The file with the certificate's private key, in PEM.
        key: Option<PathBuf> = None;
        /// How often the two files are looked at for a change. SIGHUP reads them at once.
        check_every: Span = Span::secs(30), in Span::ms(50)..=Span::secs(86_400);
    }
}

/// The certificate in use.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    every: Duration,
    current: ArcSwap<ServerConfig>,
    /// As the files were just before they were first read.
    opened: Stamp,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What shows that a file is another than before.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// Reads the certificate, if one is set.
    ///
    /// # Errors
    /// When only one of the two files is set, or they cannot be used.
    pub fn open(settings: &Settings) -> anyhow::Result<Option<Arc<Self>>> {
        let files = match (&settings.certificate, &settings.key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => {
                Files { certificate: certificate.clone(), key: key.clone() }
            }
            (Some(_), None) => bail!("tls.certificate is set and tls.key is not; expected both"),
            (None, Some(_)) => bail!("tls.key is set and tls.certificate is not; expected both"),
        };
        let opened = files.stamp();
        let current = ArcSwap::from(files.read()?);
        let every = settings.check_every.get();
        Ok(Some(Arc::new(Self { files, every, current, opened })))
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.current.load_full()).accept(stream).await
    }

    /// Takes up new files as they come, for ever. Files that cannot be used are reported, and what was
    /// in use stays so.
    ///
    /// # Errors
    /// When SIGHUP cannot be listened for.
    pub async fn watch(&self) -> io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut seen = self.opened;
        let mut last_error = None;
        loop {
            let asked = tokio::time::timeout(self.every, hangup.recv()).await.is_ok();
            let stamp = self.files.stamp();
            if !asked && stamp == seen {
                continue;
            }
            match self.files.read() {
                Ok(read) => {
                    (seen, last_error) = (stamp, None);
                    self.current.store(read);
                    metrics::counter!(crate::metrics::TLS_RELOADS, "outcome" => "ok").increment(1);
                    tracing::info!(file = %self.files.certificate.display(), "the certificate was read anew");
                }
                // Tried again each time, whatever the files' times say: what was wrong may not be in them.
                Err(error) => {
                    metrics::counter!(crate::metrics::TLS_RELOADS, "outcome" => "failed")
                        .increment(1);
                    let error = format!("{error:#}");
                    if asked || last_error.as_ref() != Some(&error) {
                        tracing::error!(
                            error,
                            "the new certificate cannot be used; the one before stays in use"
                        );
                    }
                    last_error = Some(error);
                }
            }
        }
    }
}

impl Files {
    fn read(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let (file, key) = (&self.certificate, &self.key);
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_file_iter(file).and_then(Iterator::collect).with_context(|| {
                format!("tls.certificate, {}: expected certificates in PEM", file.display())
            })?;
        if chain.is_empty() {
            bail!("tls.certificate, {}: expected certificates in PEM, found none", file.display());
        }
        let private = PrivateKeyDer::from_pem_file(key).with_context(|| {
            format!("tls.key, {}: expected a private key in PEM", key.display())
        })?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .with_context(|| {
                format!("{} and {} do not go together", file.display(), key.display())
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn stamp(&self) -> Stamp {
        let of = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        [of(&self.certificate), of(&self.key)]
    }
}

//! What the server writes about itself, and with the feature `otel`, what it tells a collector.

use anyhow::Context;
use rethread_server::config::{LogFormat, Logs};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Keeps what is on its way out; dropped when all is over.
#[derive(Debug)]
pub(crate) struct Logging {
    #[cfg(feature = "otel")]
    traces: Option<crate::traces::Traces>,
}

/// Begins to log, to standard error.
///
/// # Errors
/// When the settings name a level that is none.
pub(crate) fn start(logs: &Logs) -> anyhow::Result<Logging> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => filter,
        _ => logs.level.clone(),
    };
    let filter: EnvFilter = filter.parse().with_context(|| {
        format!("logs.level is {filter:?}; expected such as `info,rethread_server=debug`")
    })?;
    // It would write out whole frames, and tokens with them.
    let filter = filter.add_directive("tungstenite=info".parse().expect("a directive"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match logs.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    #[cfg(feature = "otel")]
    {
        let (layer, traces) = crate::traces::start()?;
        tracing_subscriber::registry()
            .with(vec![lines].into_iter().chain(layer).collect::<Vec<_>>())
            .init();
        Ok(Logging { traces })
    }
    #[cfg(not(feature = "otel"))]
    {
        tracing_subscriber::registry().with(lines).init();
        Ok(Logging {})
    }
}

impl Logging {
    /// Sends what has not been sent. Blocks until it has, or a deadline has passed.
    pub(crate) fn end(self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            traces.end();
        }
    }
}

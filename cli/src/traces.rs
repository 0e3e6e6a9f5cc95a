//! Traces for an OpenTelemetry collector: what the server does for a request, from its publish to the
//! group commit that made it durable.
//!
//! Configured as OpenTelemetry has it: `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) says where
//! the collector takes OTLP over HTTP; where neither is set, nothing is sent. `OTEL_SERVICE_NAME`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER` and the others count too.

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// The spans that are sent: the server's own.
const SPANS: &str = "warn,rethread_server=debug";
/// What a collector must be named by.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The way to the collector.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// A layer that sends spans to the collector, where one is named.
pub(crate) fn start() -> anyhow::Result<(Option<BoxedLayer>, Option<Traces>)> {
    if !ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
        return Ok((None, None));
    }
    // Of two that could be meant, the one that the server's own TLS uses.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .build()
        .context("the OpenTelemetry collector of OTEL_EXPORTER_OTLP_ENDPOINT")?;
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("rethread");
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("rethread"));
    let filter: EnvFilter = SPANS.parse().expect("a filter");
    Ok((Some(layer.with_filter(filter).boxed()), Some(Traces(provider))))
}

impl Traces {
    /// Sends what is left. A collector that does not answer is given up after the exporter's own time.
    pub(crate) fn end(self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "not all traces were sent");
        }
    }
}

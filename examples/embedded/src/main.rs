//! A shop with Rethread inside it: its own pages, its own log-in, and two agents in the same process.
//! `docs/embedding.md` goes through it.
#![forbid(unsafe_code)]

mod clerk;
mod shop;
mod warehouse;

use std::{net::SocketAddr, path::PathBuf};

use axum::Router;
use clap::Parser;
use rethread_server::{Server, config::Config};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use shop::Shop;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// Where to listen. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The folder that holds the log; made when it is not there.
    #[arg(long, default_value = "data/embedded")]
    data: PathBuf,
    /// The secret that tokens are signed with, at least 32 bytes.
    #[arg(long, env = "SHOP_SECRET", hide_env_values = true)]
    secret: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();

    let server = Server::open(Config::new(arguments.data, arguments.secret)).await?;
    let shop = Shop::new(server.clone());
    tokio::spawn(clerk::work(server.trusted("clerk"), shop.clone()));
    let app =
        Router::new().merge(shop::routes(shop)).nest("/rethread", rethread_server::router(&server));

    let listener = TcpListener::bind(arguments.listen).await?;
    println!("the shop is open: http://{}", listener.local_addr()?);
    let stopping = server.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    let closing = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        // Sockets and streams do not end by themselves, and axum waits for them.
        stopping.stop();
    };
    axum::serve(listener, app).with_graceful_shutdown(closing).await?;
    server.close().await;
    Ok(())
}

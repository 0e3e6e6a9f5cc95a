//! A TCP proxy that can cut every connection, and stall without a word.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
};

/// A proxy. Gone when dropped, with all its connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
}

/// What the proxy does to its connections.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    stalled: bool,
    /// Each connection ends when this is another number than at its beginning.
    cuts: u64,
}

impl Proxy {
    /// Starts a proxy to a port of this machine.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port to listen on");
        let port = listener.local_addr().expect("an address").port();
        let (weather, seen) = watch::channel(Weather::default());
        tokio::spawn(accept(listener, target, seen));
        Self { port, weather }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends every connection there is now. New ones pass.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// From now on nothing gets through, on old connections and new ones; none is closed.
    pub fn stall(&self) {
        self.weather.send_modify(|weather| weather.stalled = true);
    }

    /// Lets everything through again, also what has waited.
    pub fn resume(&self) {
        self.weather.send_modify(|weather| weather.stalled = false);
    }
}

async fn accept(listener: TcpListener, target: u16, mut weather: watch::Receiver<Weather>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((near, _)) = accepted else { return };
                tokio::spawn(join(near, target, weather.clone()));
            }
            gone = closed(&mut weather) => return gone,
        }
    }
}

async fn closed(weather: &mut watch::Receiver<Weather>) {
    while weather.changed().await.is_ok() {}
}

async fn join(near: TcpStream, target: u16, weather: watch::Receiver<Weather>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let cuts = weather.borrow().cuts;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    // Either direction's end ends both, so that a cut is seen on both sides.
    tokio::select! {
        _ = pump(near_read, far_write, weather.clone(), cuts) => {}
        _ = pump(far_read, near_write, weather.clone(), cuts) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    cuts: u64,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let now = *weather.borrow_and_update();
        if now.cuts != cuts {
            return Ok(());
        }
        tokio::select! {
            changed = weather.changed() => if changed.is_err() { return Ok(()) },
            read = from.read(&mut buffer), if !now.stalled => match read? {
                0 => return Ok(()),
                count => to.write_all(&buffer[..count]).await?,
            },
        }
    }
}

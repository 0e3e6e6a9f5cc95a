//! Ctrl-C: what has been measured until then is reported, and no server stays behind.

use std::{
    process::exit,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context, Result, bail};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// From here on Ctrl-C (and a polite kill) asks to stop. The second time it stops at once.
///
/// # Errors
/// When the system refuses.
pub(crate) fn listen() -> Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let signals = {
        let _inside = runtime.enter();
        [SignalKind::interrupt(), SignalKind::terminate()].map(signal)
    };
    let [interrupt, terminate] = signals;
    let (mut interrupt, mut terminate) = (
        interrupt.context("signals cannot be listened to")?,
        terminate.context("signals cannot be listened to")?,
    );
    // It sleeps until there is one.
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if IS_ASKED.swap(true, Ordering::Relaxed) {
                    exit(130);
                }
            }
        });
    });
    Ok(())
}

/// True when this was asked to stop.
pub(crate) fn is_asked() -> bool {
    IS_ASKED.load(Ordering::Relaxed)
}

/// Fails when this was asked to stop, for what would go on for long.
///
/// # Errors
/// Then.
pub(crate) fn look() -> Result<()> {
    if is_asked() {
        bail!("interrupted");
    }
    Ok(())
}

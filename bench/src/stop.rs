//! Ctrl-C: what has been measured until then is reported, and no server stays behind.

use std::{
    process::exit,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result, bail};

static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// From here on Ctrl-C (and a polite kill) asks to stop. The second time it stops at once.
///
/// # Errors
/// When the system refuses.
pub(crate) fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        if IS_ASKED.swap(true, Ordering::Relaxed) {
            exit(130);
        }
    })
    .context("signals cannot be listened to")
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

//! The runtime of a command that speaks to a server, and how Ctrl-C ends it.

use super::exit::Exit;

/// Runs a command's work on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A read of standard input that waits must not keep the command from its end.
    runtime.shutdown_background();
    done
}

/// As [`block_on`]; Ctrl-C ends it.
pub(crate) fn until_interrupted(
    work: impl Future<Output = anyhow::Result<Exit>>,
) -> anyhow::Result<Exit> {
    block_on(async {
        tokio::select! {
            done = work => done,
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted.map(|()| Exit::Interrupted)?),
        }
    })
}

use std::path::PathBuf;

use rethread_shared::limits::LOG_RESERVE_BYTES;

use super::{Size, settings};

settings! {
    /// The durable log.
    pub struct Log {
        /// The data folder, which holds the log; made when it is not there.
        data: PathBuf = PathBuf::from("data"), short "data";
        /// Bytes that must be free in the data folder for events to be taken.
        reserve: Size = Size(LOG_RESERVE_BYTES);
    }
}

use std::path::PathBuf;

use super::settings;

settings! {
    /// The durable log.
    pub struct Log {
        /// The data folder, which holds the log; made when it is not there.
        data: PathBuf = PathBuf::from("data"), short "data";
    }
}

use super::{Secret, settings};

settings! {
    /// Who may do what.
    pub struct Auth {
        /// The secret that tokens are signed with (HS256), at least 32 bytes, such as
        /// `openssl rand -hex 32` prints. Better given in the environment than in a file or a flag.
        secret: Option<Secret> = None, short "secret";
        /// For trying out: makes a secret of its own and gives a token to whoever asks. Loopback only.
        dev: bool = false, short "dev";
    }
}

//! Where an engine comes from: opened at the start, and again when a write has failed.

use std::{fmt, sync::Arc};

use super::{Engine, EngineError, memory::MemoryEngine};

/// A place that holds a log. Blocking, like the engine.
pub trait Store: Send + Sync + 'static {
    /// Opens it. What was durable is there. The engine of before must be gone.
    ///
    /// # Errors
    /// With what is in the way.
    fn open(&self) -> Result<Arc<dyn Engine>, StoreError>;

    /// Whether it can be written at all, without touching what it holds: asked before an engine that
    /// can still be read is given up.
    ///
    /// # Errors
    /// With what is in the way.
    fn check(&self) -> Result<(), StoreError>;

    /// Bytes that are free for it, where that can be told.
    fn free_bytes(&self) -> Option<u64>;
}

/// Why a store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What kind of trouble it is.
    pub cause: Cause,
    /// What was seen, in the words of who saw it.
    pub message: String,
}

/// What is in the way of a store, as far as it matters for what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No room.
    Full,
    /// It can be read only.
    ReadOnly,
    /// Its owner does not let this process write it.
    Denied,
    /// Something else has it open.
    InUse,
    /// What is there cannot be read as a log. Trying again helps nothing.
    Broken,
    /// It can be opened once only.
    Spent,
    /// Anything else.
    Other,
}

impl Cause {
    /// What whoever runs the server must do.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Full => "make room in the data folder; the log goes on by itself then",
            Self::ReadOnly => {
                "the data folder's file system is read-only: see to the disk and remount it; the log \
                 goes on by itself then"
            }
            Self::Denied => "let the server's user write the data folder",
            Self::InUse => "stop the process that has the data folder open",
            Self::Broken => {
                "the data is damaged: stop the server, keep a copy of the folder, put back a backup \
                 and say so with `rethread restored`"
            }
            Self::Spent => "restart the server",
            Self::Other => "see to the disk; the log is tried again by itself",
        }
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn may_pass(self) -> bool {
        !matches!(self, Self::Broken | Self::Spent)
    }

    /// Whether a server that starts waits for it to pass: a mistake in how it was started does not.
    #[must_use]
    pub fn is_waited_for(self) -> bool {
        matches!(self, Self::Full | Self::ReadOnly)
    }

    /// The cause of an error of the operating system.
    #[must_use]
    pub fn of(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Other,
        }
    }
}

impl StoreError {
    /// An error with its cause.
    #[must_use]
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into() }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::new(Cause::of(&error), error.to_string())
    }
}

impl From<EngineError> for StoreError {
    fn from(error: EngineError) -> Self {
        Self::new(Cause::Other, error.0)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.cause.remedy())
    }
}

impl std::error::Error for StoreError {}

/// An engine that was given open and cannot be opened again: once it has failed, it stays so.
pub struct Given(pub Arc<dyn Engine>);

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").finish_non_exhaustive()
    }
}

impl Store for Given {
    fn open(&self) -> Result<Arc<dyn Engine>, StoreError> {
        Ok(self.0.clone())
    }

    fn check(&self) -> Result<(), StoreError> {
        Err(StoreError::new(Cause::Spent, "the engine was given open, and cannot be opened again"))
    }

    fn free_bytes(&self) -> Option<u64> {
        None
    }
}

/// Memory that outlives its engine, for tests of what happens when it is opened again.
impl Store for Arc<MemoryEngine> {
    fn open(&self) -> Result<Arc<dyn Engine>, StoreError> {
        self.check()?;
        Ok(Arc::new(self.as_ref().clone()))
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.fault() {
            Some(fault) => Err(StoreError::new(Cause::Full, fault)),
            None => Ok(()),
        }
    }

    fn free_bytes(&self) -> Option<u64> {
        self.free()
    }
}

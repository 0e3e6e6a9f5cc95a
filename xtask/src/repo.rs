//! Where things are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The folder that holds the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// A path from the root.
pub(crate) fn at(path: &str) -> PathBuf {
    root().join(path)
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| at("target"), |path| root().join(path))
}

/// A binary of the `dev` profile: the one build that the demo, the tests and the browser tests use.
pub(crate) fn binary(name: &str) -> PathBuf {
    target().join("debug").join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

/// A path as shown to a person: from the root where it lies within.
pub(crate) fn show(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

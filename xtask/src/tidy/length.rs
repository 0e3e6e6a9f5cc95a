//! No source file outgrows what a reader holds in their head.

use anyhow::Result;

use super::Failure;
use crate::{repo, stamp};

const LINES_MAX: usize = 600;
const KINDS: &[&str] = &["rs", "ts", "tsx", "js", "mjs", "jsx", "css"];

/// Finds source files that are too long.
pub(super) fn check(failures: &mut Vec<Failure>) -> Result<()> {
    for path in stamp::files(repo::root())? {
        let kind = path.extension().unwrap_or_default().to_string_lossy();
        if !KINDS.contains(&kind.as_ref()) {
            continue;
        }
        let lines = std::fs::read_to_string(&path)?.lines().count();
        failures.extend(judge(&repo::show(&path), lines));
    }
    Ok(())
}

fn judge(place: &str, lines: usize) -> Option<Failure> {
    (lines > LINES_MAX).then(|| {
        Failure::new(
            place,
            format!("a source file has at most {LINES_MAX} lines; this one has {lines}"),
            "move one of the things it does into a file of its own",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_longer_is_named() {
        assert_eq!(judge("a.rs", LINES_MAX), None);
        assert!(judge("a.rs", LINES_MAX + 1).is_some_and(|f| f.rule.contains("601")));
    }
}

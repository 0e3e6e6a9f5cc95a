//! Pages of lists for operators: bounded, with a cursor.

use rethread_shared::limits::{ADMIN_PAGE_DEFAULT, ADMIN_PAGE_MAX};

/// How many entries a page has, given what the request asks for.
pub(super) fn size(limit: Option<usize>) -> usize {
    limit.unwrap_or(ADMIN_PAGE_DEFAULT).clamp(1, ADMIN_PAGE_MAX)
}

/// The cursor of what comes after a page: none where the page is not full.
pub(super) fn next<C>(found: usize, size: usize, last: Option<C>) -> Option<C> {
    last.filter(|_| found == size)
}

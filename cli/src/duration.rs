//! A length of time as an argument: `90`, `15m`, `24h`.

use std::time::Duration;

/// Reads a number of seconds, or a number with a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        other => return Err(format!("unknown unit {other:?}; expected s, m, h or d")),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a number such as 90, 15m or 24h")?;
    let seconds = number.checked_mul(unit).ok_or("that is longer than can be counted")?;
    Ok(Duration::from_secs(seconds))
}

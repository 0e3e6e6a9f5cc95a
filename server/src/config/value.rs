//! The types of settings.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Setting;

macro_rules! kinds {
    ($($kind:ty: $expected:literal;)+) => {
        $(impl Setting for $kind { const EXPECTED: &'static str = $expected; })+
    };
}

kinds! {
    u16: "a whole number";
    u32: "a whole number";
    u64: "a whole number";
    usize: "a whole number";
    f64: "a number";
    String: "text";
    PathBuf: "a path";
    SocketAddr: "an address with its port, such as 127.0.0.1:4242";
    Span: "a duration such as 500ms, 90s, 15m, 24h or 7d";
    Size: "a size such as 512B, 64KiB, 4MiB or 1GiB";
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";
    const IS_SWITCH: bool = true;
}

impl Setting for Secret {
    const EXPECTED: &'static str = "text that is kept secret";
    const IS_SECRET: bool = true;
}

impl<T: Setting> Setting for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const IS_SECRET: bool = T::IS_SECRET;
    const IS_SWITCH: bool = T::IS_SWITCH;
}

impl<T: Setting> Setting for Vec<T> {
    const EXPECTED: &'static str = "a list: [\"a\", \"b\"], or a,b in a flag or a variable";
    const IS_SECRET: bool = T::IS_SECRET;
}

/// A duration as people write it: `90s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    const UNITS: [(&'static str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

    /// So many milliseconds.
    #[must_use]
    pub const fn ms(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// So many seconds.
    #[must_use]
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// As the standard library has it.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// In milliseconds.
    #[must_use]
    pub fn as_ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        measured(text, &Self::UNITS).map(Self::ms)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_measured(f, self.as_ms(), &Self::UNITS, "s")
    }
}

/// A number of bytes as people write it: `64MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    const UNITS: [(&'static str, u64); 4] =
        [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

    /// So many bytes.
    #[must_use]
    pub const fn bytes(bytes: usize) -> Self {
        Self(bytes as u64)
    }

    /// In bytes; as many as can be addressed.
    #[must_use]
    pub fn get(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        measured(text, &Self::UNITS).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_measured(f, self.0, &Self::UNITS, "B")
    }
}

/// A whole number with a unit.
fn measured(text: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = &text[..text.len() - unit.len()];
    let known = || units.iter().rev().map(|(unit, _)| *unit).collect::<Vec<_>>().join(", ");
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit.trim()) else {
        return Err(format!("{text:?} has no unit that is known; known are {}", known()));
    };
    let number: u64 =
        number.parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    number.checked_mul(*factor).ok_or_else(|| format!("{text} is more than can be counted"))
}

/// In the largest unit that leaves no fraction.
fn write_measured(
    f: &mut fmt::Formatter<'_>,
    amount: u64,
    units: &[(&str, u64)],
    of_nothing: &str,
) -> fmt::Result {
    match units.iter().find(|(_, factor)| amount > 0 && amount.is_multiple_of(*factor)) {
        Some((unit, factor)) => write!(f, "{}{unit}", amount / factor),
        None => write!(f, "0{of_nothing}"),
    }
}

macro_rules! as_text {
    ($($kind:ty),+) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )+};
}
as_text!(Span, Size);

/// Text that is not shown, neither in logs nor in print-outs.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Serialize for Secret {
    /// As it is shown: not at all.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

//! How settings are declared, and what is known of each.

use std::{fmt::Display, ops::RangeInclusive};

use serde::{Serialize, de::DeserializeOwned};
use toml::Value;

/// A type that a setting may have.
pub trait Setting: Serialize + DeserializeOwned {
    /// What is expected, for errors and for help: "a duration such as 90s".
    const EXPECTED: &'static str;
    /// True to never show the value.
    const IS_SECRET: bool = false;
    /// True where a flag without a value means `true`.
    const IS_SWITCH: bool = false;
}

/// A group of settings: a table of the file.
#[derive(Debug)]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Its settings, in the order of their declaration.
    pub fields: &'static [Field],
}

/// One setting.
#[derive(Debug)]
pub struct Field {
    /// Its name in its group.
    pub key: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its short name as a flag, and with `RETHREAD_` in the environment.
    pub short: Option<&'static str>,
    /// True to never show the value.
    pub is_secret: bool,
    /// True where a flag without a value means `true`.
    pub is_switch: bool,
    pub(crate) kind: &'static str,
    pub(crate) range: fn() -> Option<(Value, Value)>,
    pub(crate) default: fn() -> Option<Value>,
    pub(crate) check: Check,
}

/// Reads a value; gives it as it is shown.
pub(crate) type Check = fn(Value) -> Result<Option<Value>, String>;

/// A setting and the group it is in.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The group.
    pub group: &'static Group,
    /// The setting.
    pub field: &'static Field,
}

impl Entry {
    /// Its name in the file: `http.listen`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.group.name, self.field.key)
    }

    /// Its flag without the dashes: `http-listen`.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("{}-{}", self.group.name, self.field.key).replace('_', "-")
    }

    /// The flag that people use: the short one where there is one.
    #[must_use]
    pub fn usual_flag(&self) -> String {
        self.field.short.map_or_else(|| self.flag(), str::to_owned)
    }

    /// Its name in the environment: `RETHREAD_HTTP_LISTEN`.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(&self.flag())
    }

    /// Its short name in the environment, where it has one: `RETHREAD_LISTEN`.
    #[must_use]
    pub fn short_variable(&self) -> Option<String> {
        self.field.short.map(variable)
    }
}

fn variable(flag: &str) -> String {
    format!("RETHREAD_{}", flag.replace('-', "_").to_ascii_uppercase())
}

impl Field {
    /// What it expects: "a duration such as 90s, from 50ms to 5m".
    #[must_use]
    pub fn expected(&self) -> String {
        match (self.range)() {
            None => self.kind.to_owned(),
            Some((least, most)) => {
                format!("{}, from {} to {}", self.kind, bare(&least), bare(&most))
            }
        }
    }

    /// The default, as it is written in the file; none where the setting is not set.
    #[must_use]
    pub fn default(&self) -> Option<Value> {
        (self.default)()
    }

    /// Reads text from a flag or a variable: as it stands, else as a TOML value (`true`, `["a", "b"]`),
    /// else as a list separated by commas. Gives the value, and how it is shown.
    pub(super) fn read(&self, text: &str) -> Result<(Value, Option<Value>), String> {
        let list = || text.split(',').map(|part| Value::String(part.trim().to_owned())).collect();
        let readings =
            [Some(Value::String(text.to_owned())), text.parse().ok(), Some(Value::Array(list()))];
        let mut wrong = None;
        for value in readings.into_iter().flatten() {
            match (self.check)(value.clone()) {
                Ok(shown) => return Ok((value, shown)),
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        Err(wrong.expect("text was read as text at least"))
    }
}

/// A value without the quotes of TOML, for sentences.
pub(super) fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(crate) fn read<T: Setting>(value: Value) -> Result<T, String> {
    value.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

/// How a value is written in the file; none for one that is not set.
pub(crate) fn written<T: Setting>(value: &T) -> Option<Value> {
    Value::try_from(value).ok()
}

pub(crate) fn within<T: PartialOrd + Display>(
    value: &T,
    range: &RangeInclusive<T>,
) -> Result<(), String> {
    if range.contains(value) {
        return Ok(());
    }
    Err(format!("{value} is not from {} to {}", range.start(), range.end()))
}

pub(crate) const fn optional(short: &[&'static str]) -> Option<&'static str> {
    match short {
        [] => None,
        [first, ..] => Some(first),
    }
}

/// Declares a group: a struct with public fields, its defaults, and what is known of each setting.
///
/// ```text
/// settings! {
///     /// What the group is about.
///     pub struct Limits {
///         /// What the setting does. Beyond: what happens.
///         connections: usize = CONNECTIONS_MAX;
///         /// With bounds, and short names: `--heartbeat`, `RETHREAD_HEARTBEAT`.
///         heartbeat: Span = Span::from(HEARTBEAT), in Span::ms(50)..=Span::secs(300), short "heartbeat";
///     }
/// }
/// ```
macro_rules! settings {
    ($(#[doc = $about:literal])+ pub struct $name:ident {
        $(
            $(#[doc = $doc:literal])+
            $key:ident: $kind:ty = $default:expr
                $(, in $range:expr)?
                $(, short $short:literal)?;
        )+
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $key: $kind,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $name {
            pub(crate) const FIELDS: &'static [$crate::config::Field] = &[$(
                $crate::config::Field {
                    key: stringify!($key),
                    about: concat!($($doc, "\n"),+),
                    short: $crate::config::setting::optional(&[$($short)?]),
                    is_secret: <$kind as $crate::config::Setting>::IS_SECRET,
                    is_switch: <$kind as $crate::config::Setting>::IS_SWITCH,
                    kind: <$kind as $crate::config::Setting>::EXPECTED,
                    range: || {
                        let mut _range = None;
                        $(
                            let range: std::ops::RangeInclusive<$kind> = $range;
                            _range = $crate::config::setting::written(range.start())
                                .zip($crate::config::setting::written(range.end()));
                        )?
                        _range
                    },
                    default: || {
                        let value: $kind = $default;
                        $crate::config::setting::written(&value)
                    },
                    check: |value| {
                        let value: $kind = $crate::config::setting::read(value)?;
                        $($crate::config::setting::within(&value, &$range)?;)?
                        Ok($crate::config::setting::written(&value))
                    },
                },
            )+];
        }
    };
}
pub(crate) use settings;

/// Declares the struct of all groups.
macro_rules! groups {
    ($(#[doc = $about:literal])+ pub struct $name:ident {
        $($(#[doc = $doc:literal])+ $key:ident: $kind:ty,)+
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, Default, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $key: $kind,)+
        }

        impl $name {
            /// Its groups.
            pub const GROUPS: &'static [Group] = &[$(
                Group {
                    name: stringify!($key),
                    about: concat!($($doc, "\n"),+),
                    fields: <$kind>::FIELDS,
                },
            )+];

            /// All settings, group by group.
            pub fn entries() -> impl Iterator<Item = Entry> {
                Self::GROUPS
                    .iter()
                    .flat_map(|group| group.fields.iter().map(move |field| Entry { group, field }))
            }
        }
    };
}
pub(super) use groups;

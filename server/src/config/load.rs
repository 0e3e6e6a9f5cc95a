//! From the sources to the settings in force.

use std::{collections::HashMap, ffi::OsString, fmt, path::PathBuf};

use toml::{Table, Value, de::DeTable};

use super::{Config, Entry, setting::bare};

/// Where settings are read from.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file, where there is one.
    pub file: Option<PathBuf>,
    /// The environment; of it, what begins with `RETHREAD_`.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags, with the text they were given.
    pub flags: Vec<(Entry, String)>,
}

/// The settings in force, and where each came from.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Each of them, group by group.
    pub in_force: Vec<InForce>,
}

/// A setting that is in force.
#[derive(Debug)]
pub struct InForce {
    /// Which one.
    pub entry: Entry,
    /// Its value as it is shown; none where it is not set.
    pub shown: Option<Value>,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The file, at this line.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// This variable of the environment.
    Variable(String),
    /// This flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "{name} in the environment"),
            Self::Flag(flag) => write!(f, "--{flag}"),
        }
    }
}

/// Everything that is wrong with the settings, one a line.
#[derive(Debug)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// A setting's value, how it is shown, and where it is from.
type Given = (Value, Option<Value>, Origin);

#[derive(Default)]
struct Loading {
    given: HashMap<String, Given>,
    wrong: Vec<String>,
}

impl Sources {
    /// Reads them all. A later source wins: file, environment, flags.
    ///
    /// # Errors
    /// Everything that is wrong: names that are unknown, values that do not fit, a file that cannot
    /// be read.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let mut loading = Loading::default();
        loading.read_file(self);
        loading.read_environment(self);
        for (entry, text) in &self.flags {
            loading.read_text(*entry, text, Origin::Flag(entry.usual_flag()));
        }
        loading.finish()
    }
}

impl Loading {
    fn read_file(&mut self, sources: &Sources) {
        let Some(path) = &sources.file else { return };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let path = path.display();
                return self
                    .wrong
                    .push(format!("the configuration file {path} cannot be read: {error}"));
            }
        };
        let (table, places) = match (text.parse::<Table>(), DeTable::parse(&text)) {
            (Ok(table), Ok(places)) => (table, places.into_inner()),
            (Err(error), _) | (_, Err(error)) => {
                return self.wrong.push(format!("{} is not TOML: {error}", path.display()));
            }
        };
        let origin = |at: usize| {
            let line = text[..at].matches('\n').count() + 1;
            Origin::File { path: path.clone(), line }
        };
        for (name, settings) in places {
            let at = origin(name.span().start);
            let name = name.into_inner();
            let Some(group) = Config::GROUPS.iter().find(|group| group.name == name) else {
                let known = Config::GROUPS.iter().map(|group| group.name.to_owned());
                self.wrong.push(unknown(&format!("[{name}]"), "group", &name, known, &at));
                continue;
            };
            let Some(settings) = settings.get_ref().as_table() else {
                let expected = format!("expected a table: [{name}] and its settings below it");
                self.wrong.push(format!("{name} ({at}): {expected}"));
                continue;
            };
            for key in settings.keys() {
                let (at, key) = (origin(key.span().start), key.get_ref().as_ref());
                let Some(field) = group.fields.iter().find(|field| field.key == key) else {
                    let known = group.fields.iter().map(|field| format!("{name}.{}", field.key));
                    let path = format!("{name}.{key}");
                    self.wrong.push(unknown(&path, "setting", &path, known, &at));
                    continue;
                };
                let (entry, value) = (Entry { group, field }, table[&*name][key].clone());
                match (field.check)(value.clone()) {
                    Ok(shown) => drop(self.given.insert(entry.path(), (value, shown, at))),
                    Err(error) => self.refuse(entry, &at, &bare(&value), &error),
                }
            }
        }
    }

    fn read_environment(&mut self, sources: &Sources) {
        let mut names = HashMap::new();
        for entry in Config::entries() {
            names.insert(entry.variable(), entry);
            names.extend(entry.short_variable().map(|short| (short, entry)));
        }
        let mut seen: HashMap<String, (String, String)> = HashMap::new();
        for (name, text) in &sources.environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with("RETHREAD_")) else {
                continue;
            };
            let origin = Origin::Variable(name.to_owned());
            let Some(entry) = names.get(name) else {
                let value = text.to_str().unwrap_or_default();
                if is_meant_for_us(name, &names) && !is_service_link(name, value) {
                    let known = names.keys().cloned();
                    self.wrong.push(unknown(name, "setting", name, known, &origin));
                }
                continue;
            };
            let Some(text) = text.to_str() else {
                self.refuse(*entry, &origin, "bytes that are not UTF-8", "it is not UTF-8");
                continue;
            };
            // How a variable is taken back in a unit file or a compose file.
            if text.is_empty() {
                continue;
            }
            let other = seen.insert(entry.path(), (name.to_owned(), text.to_owned()));
            if let Some((other, said)) = other
                && said != text
            {
                self.wrong.push(format!("{name} and {other} both set {}; set one", entry.path()));
            }
            self.read_text(*entry, text, origin);
        }
    }

    fn read_text(&mut self, entry: Entry, text: &str, origin: Origin) {
        match entry.field.read(text) {
            Ok((value, shown)) => drop(self.given.insert(entry.path(), (value, shown, origin))),
            Err(error) => self.refuse(entry, &origin, text, &error),
        }
    }

    fn refuse(&mut self, entry: Entry, origin: &Origin, received: &str, error: &str) {
        let (path, expected) = (entry.path(), entry.field.expected());
        // A parser's error may repeat what it read.
        let received = match entry.field.is_secret {
            true => "(hidden)".to_owned(),
            false => format!("{received:?}: {error}"),
        };
        self.wrong.push(format!("{path} ({origin}): expected {expected}; received {received}"));
    }

    fn finish(mut self) -> Result<Loaded, ConfigError> {
        if !self.wrong.is_empty() {
            return Err(ConfigError(self.wrong));
        }
        let mut table = Table::new();
        let mut in_force = Vec::new();
        for entry in Config::entries() {
            let (shown, origin) = match self.given.remove(&entry.path()) {
                None => (entry.field.default(), Origin::Default),
                Some((value, shown, origin)) => {
                    let group = table.entry(entry.group.name).or_insert(Value::Table(Table::new()));
                    let group = group.as_table_mut().expect("a group is a table");
                    group.insert(entry.field.key.to_owned(), value);
                    (shown, origin)
                }
            };
            in_force.push(InForce { entry, shown, origin });
        }
        match table.try_into() {
            Ok(config) => Ok(Loaded { config, in_force }),
            Err(error) => Err(ConfigError(vec![error.to_string()])),
        }
    }
}

/// Orchestrators put variables of their own into a container (`RETHREAD_PORT_4242_TCP` for a service of
/// that name), and the tools have theirs. What names one of our groups, or nearly a setting, is ours.
fn is_meant_for_us(name: &str, names: &HashMap<String, Entry>) -> bool {
    let rest = name.trim_start_matches("RETHREAD_").to_ascii_lowercase();
    Config::GROUPS.iter().any(|group| rest.starts_with(&format!("{}_", group.name)))
        || names.keys().any(|known| distance(name, known) <= 2)
}

/// True for what Kubernetes tells each container of a service: of one named `rethread-metrics`,
/// `RETHREAD_METRICS_SERVICE_HOST`, `RETHREAD_METRICS_PORT=tcp://…` and others.
fn is_service_link(name: &str, value: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|c| c.is_ascii_digit());
    let is_protocol = |word: &str| matches!(word, "TCP" | "UDP" | "SCTP");
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|begin| value.starts_with(begin));
    match words.as_slice() {
        [.., "PORT"] if is_address => true,
        [.., "SERVICE", "HOST" | "PORT"] => true,
        words => {
            words.windows(2).any(|pair| pair == ["SERVICE", "PORT"])
                || words
                    .windows(3)
                    .any(|three| three[0] == "PORT" && is_number(three[1]) && is_protocol(three[2]))
        }
    }
}

fn unknown(
    name: &str,
    kind: &str,
    path: &str,
    known: impl Iterator<Item = String>,
    origin: &Origin,
) -> String {
    let mut known: Vec<_> = known.collect();
    known.sort_by_cached_key(|known| (distance(path, known), known.clone()));
    let place = match origin {
        Origin::Variable(_) => "in the environment".to_owned(),
        origin => origin.to_string(),
    };
    match known.first() {
        Some(nearest) if distance(path, nearest) <= path.len().max(nearest.len()) / 2 => {
            format!("{name} ({place}): there is no such {kind}; the nearest is {nearest}")
        }
        _ => {
            known.sort();
            format!("{name} ({place}): there is no such {kind}; known are {}", known.join(", "))
        }
    }
}

/// How many characters must be added, removed or changed.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let changed = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[row.len() - 1]
}

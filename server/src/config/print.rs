//! Settings as text: what is in force, and an example with everything.

use std::fmt::{self, Write};

use super::{Config, Entry, Field, Loaded};

impl fmt::Display for Loaded {
    /// As a file of TOML, with the origin of each value beside it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut group = "";
        for setting in &self.in_force {
            let Entry { group: at, field } = setting.entry;
            if at.name != group {
                let gap = if group.is_empty() { "" } else { "\n" };
                writeln!(f, "{gap}[{}]", at.name)?;
                group = at.name;
            }
            let line = match &setting.shown {
                Some(value) => format!("{} = {value}", field.key),
                None => format!("# {} is not set", field.key),
            };
            writeln!(f, "{line:<40} # {}", setting.origin)?;
        }
        Ok(())
    }
}

/// A configuration file that has every setting, with its default, commented out.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(
        "# Every setting of `rethread serve`, with its default. Printed by `rethread config --example`.\n\
         # Given by `--config FILE` or RETHREAD_CONFIG. A variable of the environment wins over the file,\n\
         # a flag over both.\n",
    );
    for group in Config::GROUPS {
        let _ = writeln!(text);
        comment(&mut text, group.about);
        let _ = writeln!(text, "[{}]", group.name);
        for field in group.fields {
            let entry = Entry { group, field };
            let _ = writeln!(text);
            comment(&mut text, field.about);
            let _ = writeln!(text, "# Takes {}. {}", field.expected(), names(entry));
            let _ = writeln!(text, "{}", assignment(field));
        }
    }
    text
}

fn comment(text: &mut String, about: &str) {
    for line in about.lines() {
        let _ = writeln!(text, "# {}", line.trim());
    }
}

/// How it is given otherwise.
fn names(entry: Entry) -> String {
    match (entry.field.short, entry.short_variable()) {
        (Some(short), Some(variable)) => format!("--{short}, {variable}"),
        _ => format!("--{}, {}", entry.flag(), entry.variable()),
    }
}

fn assignment(field: &Field) -> String {
    match field.default() {
        Some(value) => format!("#{} = {value}", field.key),
        None => format!("#{} =", field.key),
    }
}

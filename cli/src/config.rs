//! Settings on the command line: a flag for each, and `rethread config`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use rethread_server::config::{Config, Loaded, Sources, example};

/// `rethread config`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Print a file with every setting, its default and what it does, instead.
    #[arg(long)]
    example: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Prints the settings that are in force and where each came from, or an example.
pub(crate) fn run(args: &Show) -> anyhow::Result<()> {
    if args.example {
        print!("{}", example());
    } else {
        print!("{}", args.settings.load()?);
    }
    Ok(())
}

/// A flag for every setting, and `--config`.
#[derive(Debug)]
pub(crate) struct Settings(Sources);

impl Settings {
    /// What is in force by file, environment and flags.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn load(&self) -> anyhow::Result<Loaded> {
        Ok(self.0.load()?)
    }
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .env("RETHREAD_CONFIG")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The configuration file (TOML)");
        let mut command = command.arg(file);
        for entry in Config::entries() {
            let field = entry.field;
            let about = field.about.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            let default = match field.default() {
                Some(value) if !field.is_switch => format!(" [default: {value}]"),
                _ => String::new(),
            };
            let variable = entry.short_variable().unwrap_or_else(|| entry.variable());
            let mut arg = Arg::new(entry.path())
                .long(entry.usual_flag())
                .value_name(field.key.to_ascii_uppercase())
                .action(ArgAction::Set)
                .help_heading(format!(
                    "[{}] {}",
                    entry.group.name,
                    entry.group.about.trim().trim_end_matches('.')
                ))
                .help(format!("{about}{default} [env: {variable}]"));
            if field.short.is_some() {
                arg = arg.visible_alias(entry.flag());
            }
            if field.is_switch {
                arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
            }
            command = command.arg(arg);
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |entry: &rethread_server::config::Entry| {
            matches.get_one::<String>(&entry.path()).cloned()
        };
        Ok(Self(Sources {
            file: matches.get_one::<PathBuf>("config").cloned(),
            environment: std::env::vars_os().collect(),
            flags: Config::entries().filter_map(|entry| Some((entry, given(&entry)?))).collect(),
        }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

use std::io::Write;

use super::*;

fn load(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Loaded, String> {
    let mut written = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    written.write_all(file.as_bytes()).unwrap();
    let entry = |path: &str| Config::entries().find(|entry| entry.path() == path).unwrap();
    let sources = Sources {
        file: Some(written.path().to_owned()),
        environment: environment.iter().map(|(name, text)| (name.into(), text.into())).collect(),
        flags: flags.iter().map(|(path, text)| (entry(path), (*text).to_owned())).collect(),
    };
    let place = written.path().display().to_string();
    sources.load().map_err(|error| error.to_string().replace(&place, "FILE"))
}

fn wrong(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> String {
    load(file, environment, flags).unwrap_err()
}

fn origin(loaded: &Loaded, path: &str) -> Origin {
    let found = loaded.in_force.iter().find(|setting| setting.entry.path() == path);
    found.unwrap().origin.clone()
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "[http]\nheartbeat = \"1s\"\n\n[agents]\ngrace = \"1s\"\nstart = \"1s\"\n";
    let environment = [("RETHREAD_HTTP_HEARTBEAT", "2s"), ("RETHREAD_AGENT_GRACE", "2s")];
    let loaded = load(file, &environment, &[("http.heartbeat", "3s")]).unwrap();
    let Config { http, agents, .. } = &loaded.config;
    assert_eq!(
        (http.heartbeat, agents.grace, agents.start),
        (Span::secs(3), Span::secs(2), Span::secs(1))
    );
    assert_eq!(http.listen.port(), 4242);
    assert_eq!(origin(&loaded, "http.heartbeat"), Origin::Flag("heartbeat".into()));
    assert_eq!(origin(&loaded, "agents.grace"), Origin::Variable("RETHREAD_AGENT_GRACE".into()));
    assert!(matches!(origin(&loaded, "agents.start"), Origin::File { line: 6, .. }));
    assert_eq!(origin(&loaded, "http.listen"), Origin::Default);
}

#[test]
fn every_setting_can_be_given_in_all_three_ways() {
    for entry in Config::entries() {
        let Some(value) = entry.field.default() else { continue };
        let path = entry.path();
        let file = format!("[{}]\n{} = {value}\n", entry.group.name, entry.field.key);
        let text = setting::bare(&value);
        assert!(
            matches!(origin(&load(&file, &[], &[]).unwrap(), &path), Origin::File { .. }),
            "{path}"
        );
        // An empty variable is one that is not set.
        if !text.is_empty() {
            let loaded = load("", &[(&entry.variable(), &text)], &[]).unwrap();
            assert_eq!(origin(&loaded, &path), Origin::Variable(entry.variable()));
        }
        let loaded = load("", &[], &[(&path, &text)]).unwrap();
        assert_eq!(origin(&loaded, &path), Origin::Flag(entry.usual_flag()));
        let shown = loaded.in_force.iter().find(|setting| setting.entry.path() == path).unwrap();
        assert_eq!(shown.shown, Some(value), "{path} reads as it is written");
    }
}

#[test]
fn what_is_unknown_is_refused_with_the_nearest_that_is_known() {
    assert_eq!(
        wrong("[http]\nlisten = \"127.0.0.1:1\"\nheartbeet = \"1s\"\n[htpp]\nx = 1\n", &[], &[]),
        "[htpp] (FILE:4): there is no such group; the nearest is http\n\
         http.heartbeet (FILE:3): there is no such setting; the nearest is http.heartbeat"
    );
    assert_eq!(
        wrong("", &[("RETHREAD_HTTP_LISTN", "1")], &[]),
        "RETHREAD_HTTP_LISTN (in the environment): there is no such setting; \
         the nearest is RETHREAD_HTTP_LISTEN"
    );
    assert!(wrong("", &[("RETHREAD_SECRT", "x")], &[]).contains("RETHREAD_SECRET"));
    let far = wrong("[http]\nentirely_different_thing = 1\n", &[], &[]);
    assert!(far.contains("known are http.body_timeout, "), "{far}");
}

#[test]
fn what_others_put_into_the_environment_is_left_alone() {
    let environment = [
        ("RETHREAD_SERVICE_HOST", "10.0.0.1"),
        ("RETHREAD_PORT_4242_TCP", "tcp://10.0.0.1:4242"),
        ("RETHREAD_METRICS_SERVICE_HOST", "10.0.0.1"),
        ("RETHREAD_METRICS_SERVICE_PORT", "9090"),
        ("RETHREAD_METRICS_SERVICE_PORT_WEB_UI", "9090"),
        ("RETHREAD_HTTP_PORT", "tcp://10.0.0.1:80"),
        ("RETHREAD_HTTP_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("RETHREAD_HTTP_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("RETHREAD_LOG_PORT_53_UDP_PROTO", "udp"),
        ("RETHREAD_CONFIG", "/etc/rethread.toml"),
        ("RETHREAD_LISTEN", ""),
        ("PATH", "/bin"),
    ];
    let loaded = load("", &environment, &[]).unwrap();
    assert!(loaded.in_force.iter().all(|setting| setting.origin == Origin::Default));
}

#[test]
fn what_only_looks_like_a_service_is_not_left_alone() {
    for name in ["RETHREAD_HTTP_PORT", "RETHREAD_HTTP_SERVICE", "RETHREAD_HTTP_PORT_80"] {
        assert!(load("", &[(name, "80")], &[]).is_err(), "{name}");
    }
}

#[test]
fn a_wrong_value_names_the_setting_its_source_and_what_was_expected() {
    assert_eq!(
        wrong(
            "[http]\nheartbeat = 15\n",
            &[("RETHREAD_DEV", "perhaps")],
            &[("http.listen", "here")]
        ),
        "http.heartbeat (FILE:2): expected a duration such as 500ms, 90s, 15m, 24h or 7d, \
         from 50ms to 5m; received \"15\": invalid type: integer `15`, expected a string\n\
         auth.dev (RETHREAD_DEV in the environment): expected true or false; \
         received \"perhaps\": invalid type: string \"perhaps\", expected a boolean\n\
         http.listen (--listen): expected an address with its port, such as 127.0.0.1:4242; \
         received \"here\": invalid socket address syntax"
    );
    let range = wrong("", &[], &[("http.heartbeat", "10m")]);
    assert!(range.contains("10m is not from 50ms to 5m"), "{range}");
    let both = wrong(
        "",
        &[("RETHREAD_LISTEN", "127.0.0.1:1"), ("RETHREAD_HTTP_LISTEN", "127.0.0.1:2")],
        &[],
    );
    assert!(both.contains("both set http.listen; set one"), "{both}");
    assert!(wrong("[http\n", &[], &[]).contains("is not TOML"));
    assert!(wrong("http = 1\n", &[], &[]).contains("expected a table"));
}

#[test]
fn a_secret_is_never_shown() {
    let given = "correct horse battery staple, and some more";
    let loaded = load("", &[("RETHREAD_SECRET", given)], &[]).unwrap();
    assert_eq!(loaded.config.auth.secret.as_ref().unwrap().reveal(), given);
    for text in [loaded.to_string(), format!("{loaded:?}")] {
        assert!(!text.contains("horse"), "{text}");
    }
    assert!(loaded.to_string().contains("secret = \"(hidden)\""));
    let refused = wrong("[auth]\nsecret = [\"correct horse\"]\n", &[], &[]);
    assert!(refused.contains("(hidden)") && !refused.contains("horse"), "{refused}");
}

#[test]
fn what_is_printed_can_be_read_again() {
    let loaded = load("[agents]\ngrace = \"90s\"\n", &[], &[("auth.dev", "true")]).unwrap();
    let again = load(&loaded.to_string(), &[], &[]).unwrap();
    assert_eq!(again.config.agents.grace, Span::secs(90));
    assert!(again.config.auth.dev);
    let uncommented: String = example()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(set) if !set.starts_with(' ') && !set.ends_with('=') => format!("{set}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let all = load(&uncommented, &[], &[]).unwrap();
    for setting in all.in_force {
        let is_set = setting.entry.field.default().is_some();
        assert_eq!(
            matches!(setting.origin, Origin::File { .. }),
            is_set,
            "{}",
            setting.entry.path()
        );
    }
}

#[test]
fn the_example_in_the_documents_is_the_one_that_is_printed() {
    let document = include_str!("../../../docs/rethread.toml");
    assert!(
        document == example(),
        "docs/rethread.toml is out of date: cargo run -q -- config --example > docs/rethread.toml"
    );
}

#[test]
fn durations_and_sizes_are_read_as_people_write_them() {
    for (text, ms, shown) in [
        ("500ms", 500, "500ms"),
        ("90s", 90_000, "90s"),
        ("120s", 120_000, "2m"),
        ("24h", 86_400_000, "1d"),
        ("7 d", 604_800_000, "7d"),
        ("0s", 0, "0s"),
    ] {
        let span: Span = text.parse().unwrap();
        assert_eq!((span.as_ms(), span.to_string()), (ms, shown.to_owned()));
    }
    for (text, bytes, shown) in
        [("64KiB", 65_536, "64KiB"), ("1024KiB", 1 << 20, "1MiB"), ("7B", 7, "7B")]
    {
        let size: Size = text.parse().unwrap();
        assert_eq!((size.get(), size.to_string()), (bytes, shown.to_owned()));
    }
    for text in ["", "5", "s", "-5s", "5 parsecs", "1.5h", "99999999999999999999s", "999999999999d"]
    {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
}

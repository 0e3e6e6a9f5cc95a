//! Who may know whom, from the crates' dependencies and from what their sources name.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Failure, source};
use crate::{process, repo, stamp};

/// Each crate, and the crates of this workspace that it may know. Tests may see all.
const KNOWS: &[(&str, &[&str])] = &[
    ("rethread-shared", &[]),
    ("rethread-client", &["rethread-shared"]),
    ("rethread-client-wasm", &["rethread-client", "rethread-shared"]),
    ("rethread-client-wasm-view", &["rethread-shared"]),
    ("rethread-server", &["rethread-shared"]),
    ("rethread", &["rethread-client", "rethread-server", "rethread-shared"]),
    ("docs-agent", &["rethread-client", "rethread-shared"]),
    ("embedded", &["rethread-server", "rethread-shared"]),
    ("rethread-bench", &["rethread-client", "rethread-shared"]),
    ("xtask", &[]),
    ("xtask-wasm", &[]),
];

/// Crates that stay pure, and what would bring I/O, a clock or chance into them. Optional
/// dependencies are theirs to have: no one gets them who does not ask.
const PURE: &[&str] = &["rethread-shared", "rethread-client"];
const IMPURE_CRATES: &[&str] = &[
    "axum",
    "chrono",
    "fjall",
    "getrandom",
    "gloo-net",
    "gloo-timers",
    "hyper",
    "js-sys",
    "rand",
    "reqwest",
    "time",
    "tokio",
    "tokio-tungstenite",
    "tracing",
    "wasm-bindgen",
    "web-sys",
];

/// Words that may not stand in the code below a path, except below the paths excepted.
struct Ban {
    below: &'static str,
    except: &'static [&'static str],
    words: &'static [&'static str],
    rule: &'static str,
    advice: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        below: "shared/src",
        except: &[],
        words: IMPURE_WORDS,
        rule: "shared is pure: no I/O, clock, chance or globals",
        advice: "take it as an argument, or do it in the server or in a driver",
    },
    Ban {
        below: "client/src",
        except: &["client/src/native"],
        words: IMPURE_WORDS,
        rule: "the session is pure: no I/O, clock, chance or globals",
        advice: "take it as an argument, or do it in a driver (client/src/native, client-wasm)",
    },
    Ban {
        below: "server/src",
        except: &["server/src/routes", "server/src/socket", "server/src/lib.rs"],
        words: &["axum"],
        rule: "only the routes and the socket loop know axum",
        advice: "give the answer as a value of your own and turn it into HTTP in routes",
    },
    Ban {
        below: "server/src/routes",
        except: &[],
        words: &["routing"],
        rule: "every endpoint describes itself",
        advice: "give the handler `#[utoipa::path]` and add it with `routes!` to an OpenApiRouter",
    },
    Ban {
        below: "server/src/log",
        except: &[],
        words: &[
            "crate::bridge",
            "crate::feed",
            "crate::registry",
            "crate::routes",
            "crate::socket",
            "crate::auth",
        ],
        rule: "the log is the lowest layer: bytes and positions",
        advice: "pass what the log needs as an argument",
    },
    Ban {
        below: "server/src/bridge",
        except: &[],
        words: &["crate::feed", "crate::routes", "crate::socket"],
        rule: "routes know the bridge, never the other way round",
        advice: "return it from the bridge instead",
    },
    Ban {
        below: "server/src/feed",
        except: &[],
        words: &["crate::bridge", "crate::routes", "crate::socket"],
        rule: "routes know the feeds, never the other way round; a feed knows the log only",
        advice: "return it from the feed instead",
    },
    Ban {
        below: "www/src",
        except: &[],
        words: &["WebSocket", "EventSource", "client-wasm", "rethread_bg"],
        rule: "the page follows threads through the package @rethread/client only",
        advice: "import it from \"@rethread/client\"; what is missing there belongs there",
    },
];

const IMPURE_WORDS: &[&str] = &[
    "tokio",
    "web_sys",
    "js_sys",
    "wasm_bindgen",
    "Instant::now",
    "SystemTime",
    "getrandom",
    "rand::rng",
    "std::fs",
    "std::net",
    "std::thread",
    "thread_local",
    "static mut",
    "OnceLock",
    "LazyLock",
];

/// Finds what knows more than it may.
pub(super) fn check(failures: &mut Vec<Failure>) -> Result<()> {
    let metadata = process::output(&mut process::cargo(
        "metadata --no-deps --format-version 1 --offline --quiet",
    ))?;
    let metadata = serde_json::from_str(&metadata).context("cargo metadata gave no JSON")?;
    dependencies(&metadata, failures);
    for ban in BANS {
        for path in sources(&repo::at(ban.below))? {
            let place = repo::show(&path);
            if ban.except.iter().any(|except| place.starts_with(except)) {
                continue;
            }
            judge(ban, &place, &std::fs::read_to_string(&path)?, failures);
        }
    }
    Ok(())
}

fn dependencies(metadata: &Value, failures: &mut Vec<Failure>) {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let place = package["manifest_path"].as_str().unwrap_or_default();
        let place = repo::show(Path::new(place));
        let known = KNOWS.iter().find(|(known, _)| *known == name).map(|(_, knows)| *knows);
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let other = dependency["name"].as_str().unwrap_or_default();
            if dependency["kind"] == "dev" {
                continue;
            }
            let is_ours = dependency["path"].is_string();
            if is_ours && known.is_some_and(|knows| !knows.contains(&other)) {
                failures.push(Failure::new(
                    &place,
                    format!("{name} does not know {other}"),
                    "what both need belongs in shared",
                ));
            }
            let is_optional = dependency["optional"] == true;
            if PURE.contains(&name) && IMPURE_CRATES.contains(&other) && !is_optional {
                failures.push(Failure::new(
                    &place,
                    format!("{name} is pure and does without {other}"),
                    "make it optional, behind the feature `native` of client, or do without it",
                ));
            }
        }
    }
}

/// The files of a folder, and the file beside it that is its root: `log` and `log.rs`.
fn sources(below: &Path) -> Result<Vec<std::path::PathBuf>> {
    let beside = below.with_extension("rs");
    let mut found = if below.is_dir() { stamp::files(below)? } else { Vec::new() };
    if beside.is_file() {
        found.push(beside);
    }
    Ok(found)
}

fn judge(ban: &Ban, place: &str, text: &str, failures: &mut Vec<Failure>) {
    let mut in_group = false;
    for (number, line) in source::code(text) {
        in_group |= line.contains("use crate::{");
        let is_named = |word: &str| {
            let inside = word.strip_prefix("crate::").filter(|_| in_group);
            source::names(line, word) || inside.is_some_and(|word| source::names(line, word))
        };
        for word in ban.words.iter().filter(|word| is_named(word)) {
            failures.push(Failure::new(
                format!("{place}:{number}"),
                format!("{}; `{word}` stands here", ban.rule),
                ban.advice,
            ));
        }
        in_group &= !line.ends_with("};");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_dependency_upwards_is_found() {
        let metadata = json!({"packages": [{
            "name": "rethread-shared",
            "manifest_path": "shared/Cargo.toml",
            "dependencies": [
                {"name": "rethread-client", "path": "/client", "optional": false},
                {"name": "tokio", "optional": false},
                {"name": "rand", "optional": false, "kind": "dev"},
                {"name": "reqwest", "optional": true},
                {"name": "serde", "optional": false},
            ],
        }]});
        let mut failures = Vec::new();
        dependencies(&metadata, &mut failures);
        let rules: Vec<_> = failures.iter().map(|failure| failure.rule.as_str()).collect();
        assert_eq!(
            rules,
            [
                "rethread-shared does not know rethread-client",
                "rethread-shared is pure and does without tokio"
            ]
        );
    }

    #[test]
    fn a_word_that_may_not_stand_there_is_found_with_its_line() {
        let ban = BANS.iter().find(|ban| ban.below == "server/src/log").unwrap();
        let mut failures = Vec::new();
        let text = "// crate::routes is far above\nuse crate::{\n    head,\n};\nuse crate::routes::X;\n\
                    use crate::{a, bridge::Y};";
        judge(ban, "server/src/log/disk.rs", text, &mut failures);
        let places: Vec<_> = failures.iter().map(|failure| failure.place.as_str()).collect();
        assert_eq!(places, ["server/src/log/disk.rs:5", "server/src/log/disk.rs:6"]);
    }

    #[test]
    fn every_rule_is_about_a_place_that_exists() {
        for ban in BANS {
            let found = sources(&repo::at(ban.below)).unwrap();
            assert!(!found.is_empty(), "{}: nothing there; the rule guards nothing", ban.below);
        }
    }
}

//! Which web pages may come: a browser says where the page that asks is from, and a page of somebody
//! else's must not act with what it finds in a user's browser. What is no browser says nothing and passes.

/// The origins that may come, beside the server's own.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    listed: Vec<String>,
    any: bool,
    loopback: bool,
}

/// What stands for every origin.
const ANY: &str = "*";

impl Origins {
    /// From the settings: origins such as `https://chat.example.com`, or `*`. With `loopback`, every
    /// origin on this machine too: a front end that is being made, on a port of its own.
    ///
    /// # Errors
    /// When one is no origin.
    pub fn new(listed: &[String], loopback: bool) -> Result<Self, String> {
        let mut origins = Self { loopback, ..Self::default() };
        for text in listed {
            if text == ANY {
                origins.any = true;
                continue;
            }
            let parsed = text.parse::<reqwest::Url>().ok().filter(|url| {
                let is_bare =
                    url.path() == "/" && url.query().is_none() && url.fragment().is_none();
                url.has_host() && url.username().is_empty() && is_bare
            });
            let Some(url) = parsed else {
                return Err(format!(
                    "{text:?} is no origin; expected a scheme, a host and perhaps a port, such as \
                     https://chat.example.com, or \"*\" for all"
                ));
            };
            origins.listed.push(url.origin().ascii_serialization());
        }
        Ok(origins)
    }

    /// True when a page of this origin may ask a server that it knows as `host`.
    #[must_use]
    pub fn allow(&self, origin: &str, host: Option<&str>) -> bool {
        if self.any || self.listed.iter().any(|listed| listed == origin) {
            return true;
        }
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        // The server's own page. Its scheme is not known behind a proxy; the host is.
        let is_own = host.is_some_and(|host| without_port(scheme, host) == authority);
        is_own || (self.loopback && is_loopback(authority))
    }
}

/// A browser leaves the port of a scheme out of an origin, but somebody may have typed it.
fn without_port<'a>(scheme: &str, host: &'a str) -> &'a str {
    let port = if scheme == "https" { ":443" } else { ":80" };
    host.strip_suffix(port).unwrap_or(host)
}

/// True for a name or address of this machine, with or without a port.
#[must_use]
pub fn is_loopback(authority: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let host = authority.rsplit_once(':').filter(|(_, port)| is_port(port));
    let host = host.map_or(authority, |(host, _)| host);
    let ip = host.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(host);
    host == "localhost"
        || host.ends_with(".localhost")
        || ip.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_come_from_here_or_from_what_is_listed() {
        let listed = ["https://chat.example.com/".to_owned(), "http://10.0.0.7:3000".to_owned()];
        let origins = Origins::new(&listed, false).unwrap();
        let host = Some("rethread.example.com");
        for (origin, is_allowed) in [
            ("https://chat.example.com", true),
            ("http://10.0.0.7:3000", true),
            ("https://rethread.example.com", true),
            ("http://rethread.example.com", true),
            ("http://chat.example.com", false),
            ("https://chat.example.com:8443", false),
            ("https://chat.example.com.evil.com", false),
            ("https://rethread.example.com.evil.com", false),
            ("https://rethread.example.com:8443", false),
            ("http://localhost:5173", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(origins.allow(origin, host), is_allowed, "{origin}");
        }
        assert!(!origins.allow("https://rethread.example.com", None));
        assert!(origins.allow("http://a.example", Some("a.example:80")));
        assert!(origins.allow("http://127.0.0.1:4242", Some("127.0.0.1:4242")));
        assert!(Origins::new(&["*".to_owned()], false).unwrap().allow("null", None));
    }

    #[test]
    fn development_lets_pages_of_this_machine_come() {
        let origins = Origins::new(&[], true).unwrap();
        for (origin, is_allowed) in [
            ("http://localhost:5173", true),
            ("http://127.0.0.1:3000", true),
            ("http://[::1]:3000", true),
            ("http://app.localhost", true),
            ("https://localhost.evil.com", false),
            ("https://127.0.0.1.evil.com", false),
            ("https://evil.com:4242", false),
        ] {
            assert_eq!(origins.allow(origin, Some("127.0.0.1:4242")), is_allowed, "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in
            ["chat.example.com", "https://", "https://a.example/chat", "https://u@a.example"]
        {
            let refused = Origins::new(&[text.to_owned()], false).unwrap_err();
            assert!(refused.contains("https://chat.example.com"), "{refused}");
        }
    }
}

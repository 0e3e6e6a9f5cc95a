use std::fmt;

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Read threads: subscribe, pages, the list.
    Subscribe,
    /// Talk to agents: send, cancel, create threads.
    Send,
    /// Publish events, create threads and runs.
    Publish,
    /// Take work.
    Serve,
    /// Operate the server: everything below `/v1/admin`. Grants no thread.
    Admin,
}

impl Scope {
    /// All of them, as words of a token.
    pub const ALL: [(&'static str, Self); 5] = [
        ("subscribe", Self::Subscribe),
        ("send", Self::Send),
        ("publish", Self::Publish),
        ("serve", Self::Serve),
        ("admin", Self::Admin),
    ];

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, _) = Self::ALL.iter().find(|(_, scope)| scope == self).expect("all are listed");
        f.write_str(word)
    }
}

/// Several scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// All of them.
    pub const ALL: Self = Self(u8::MAX);

    /// Reads words with spaces between. Words for later servers are no harm: they grant nothing here.
    #[must_use]
    pub fn read(words: &str) -> Self {
        let known = words.split_whitespace().filter_map(|word| {
            Scope::ALL.iter().find(|(known, _)| *known == word).map(|(_, scope)| *scope)
        });
        Self(known.fold(0, |bits, scope| bits | scope.bit()))
    }

    /// True when `scope` is among them.
    #[must_use]
    pub fn contain(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().map(|(_, scope)| scope).filter(move |scope| self.contain(*scope))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

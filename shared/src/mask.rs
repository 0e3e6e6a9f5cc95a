//! Tokens are not repeated: wherever somebody puts one by mistake, errors and logs show that one was
//! there, and no more.

/// How every JWT begins: `{"` in base64.
const BEGINNING: &str = "eyJ";
/// Shorter ones are words that begin alike.
const BYTES_MIN: usize = 16;

/// The text with every token in it cut to its first letters.
#[must_use]
pub fn mask_tokens(text: String) -> String {
    if !text.contains(BEGINNING) {
        return text;
    }
    let is_in = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let (mut masked, mut rest) = (String::new(), text.as_str());
    while let Some(at) = rest.find(BEGINNING) {
        let end = rest[at..].find(|c| !is_in(c)).map_or(rest.len(), |length| at + length);
        let is_token = end - at >= BYTES_MIN;
        masked.push_str(&rest[..if is_token { at + BEGINNING.len() } else { end }]);
        if is_token {
            masked.push('…');
        }
        rest = &rest[end..];
    }
    masked.push_str(rest);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_cut_and_the_rest_stays() {
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl-_";
        for (text, expected) in [
            ("nothing here".to_owned(), "nothing here"),
            (token.to_owned(), "eyJ…"),
            (format!("GET /v1/threads/{token}/events"), "GET /v1/threads/eyJ…/events"),
            (format!("\"{token}\" and {token}, twice"), "\"eyJ…\" and eyJ…, twice"),
            (format!("thread_{token}"), "thread_eyJ…"),
            ("eyJump".to_owned(), "eyJump"),
            ("ü eyJ ü".to_owned(), "ü eyJ ü"),
        ] {
            assert_eq!(mask_tokens(text), expected);
        }
    }
}

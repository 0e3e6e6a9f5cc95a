//! Which tokens are taken: kinds of keys, what a token must say, and key sets that rotate.
//!
//! The keys in `tests/keys` were made for these tests (`openssl genpkey`) and open nothing else.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use rethread_server::auth::{KeyError, KeySources, Keys};
use rethread_shared::ErrorCode;
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3_600);
const SECRET: &str = "a secret for tests, long enough for anybody's taste";

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/keys", name].iter().collect()
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({ "sub": "ada", "scope": "subscribe", "iat": now(), "exp": now() + 60 })
}

fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn signing(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(&pem("rsa.pem")).unwrap(),
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem("ec.pem")).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem("ed.pem")).unwrap(),
        _ => EncodingKey::from_secret(SECRET.as_bytes()),
    }
}

fn signed(algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    let header = Header { kid: kid.map(Into::into), ..Header::new(algorithm) };
    encode(&header, claims, &signing(algorithm)).unwrap()
}

fn sources() -> KeySources {
    KeySources {
        secrets: vec![SECRET.into()],
        files: ["rsa.pub.pem", "ec.pub.pem", "ed.pub.pem"].map(file).into(),
        ..KeySources::default()
    }
}

async fn refusal(keys: &Keys, token: &str) -> (ErrorCode, String) {
    let error = keys.check(token).await.unwrap_err();
    let text = format!("{error} {:?} {:?}", error.expected, error.received);
    assert!(token.len() < 20 || !text.contains(&token[..20]), "the token is in {text}");
    (error.code, error.message)
}

const EACH: [Algorithm; 4] =
    [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

#[tokio::test]
async fn tokens_of_each_kind_of_key_are_taken() {
    let keys = Keys::open(&sources()).unwrap();
    for algorithm in EACH {
        for kid in [None, Some("any")] {
            let taken = keys.check(&signed(algorithm, kid, &claims())).await.unwrap();
            assert_eq!((taken.sub.as_str(), taken.scope.as_str()), ("ada", "subscribe"));
        }
    }
    let with_fraction = with(json!({ "exp": now() as f64 + 60.5 }));
    assert!(keys.check(&signed(Algorithm::HS256, None, &with_fraction)).await.is_ok());
}

#[tokio::test]
async fn a_key_is_for_its_own_algorithm_only() {
    for algorithm in EACH {
        // A server that has every key but the one of this algorithm.
        let mut sources = sources();
        match algorithm {
            Algorithm::RS256 => drop(sources.files.remove(0)),
            Algorithm::ES256 => drop(sources.files.remove(1)),
            Algorithm::EdDSA => drop(sources.files.remove(2)),
            _ => sources.secrets.clear(),
        }
        let keys = Keys::open(&sources).unwrap();
        let (code, message) = refusal(&keys, &signed(algorithm, None, &claims())).await;
        assert_eq!(code, ErrorCode::Unauthorized);
        assert!(message.contains("another algorithm"), "{algorithm:?}: {message}");
    }
    // The classic: a public key, which everybody may know, taken for a secret.
    let keys = Keys::open(&KeySources { secrets: vec![], ..sources() }).unwrap();
    for name in ["rsa.pub.pem", "ec.pub.pem", "ed.pub.pem"] {
        let secret = EncodingKey::from_secret(&pem(name));
        let forged = encode(&Header::new(Algorithm::HS256), &claims(), &secret).unwrap();
        assert_eq!(refusal(&keys, &forged).await.0, ErrorCode::Unauthorized, "{name}");
    }
    let keys = Keys::open(&sources()).unwrap();
    // "alg":"none", and others that nobody has a key for.
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"NONE"}"#, r#"{"typ":"JWT"}"#] {
        let token = format!("{}.{}.", base64(header), base64(&claims().to_string()));
        assert_eq!(refusal(&keys, &token).await.0, ErrorCode::Unauthorized, "{header}");
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = encode(&Header::new(algorithm), &claims(), &signing(algorithm)).unwrap();
        assert_eq!(refusal(&keys, &token).await.0, ErrorCode::Unauthorized, "{algorithm:?}");
    }
    let critical = Header { crit: Some(vec!["exp".into()]), ..Header::new(Algorithm::HS256) };
    let token = encode(&critical, &claims(), &signing(Algorithm::HS256)).unwrap();
    assert!(refusal(&keys, &token).await.1.contains("crit"));
}

#[tokio::test]
async fn what_a_token_must_say_is_checked() {
    let keys = Keys::open(&KeySources {
        audience: vec!["chat".into(), "phone".into()],
        issuer: vec!["https://id.example".into()],
        lifetime_max: Duration::from_secs(3_600),
        ..sources()
    })
    .unwrap();
    let good = json!({ "aud": "chat", "iss": "https://id.example" });
    let day = 24 * 3_600;
    for (changes, says) in [
        (json!({ "aud": null }), "`aud`"),
        (json!({ "iss": null }), "`iss`"),
        (json!({ "aud": "mail" }), "another audience"),
        (json!({ "aud": ["mail", "post"] }), "another audience"),
        (json!({ "iss": "https://id.example.evil" }), "another issuer"),
        (json!({ "sub": null }), "`sub`"),
        (json!({ "sub": "" }), "nobody"),
        (json!({ "exp": null }), "`exp`"),
        (json!({ "exp": "soon" }), "expected types"),
        (json!({ "exp": -1 }), "expected types"),
        (json!({ "nbf": now() + 60 }), "`nbf`"),
        (json!({ "iat": now() + 60 }), "future"),
        (json!({ "iat": null, "exp": now() + day }), "longer"),
        (json!({ "exp": now() - 10 }), "expired"),
        (json!({ "iat": now() - day, "exp": now() + day }), "expired"),
    ] {
        let mut claims = with(good.clone());
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let (_, message) = refusal(&keys, &signed(Algorithm::HS256, None, &claims)).await;
        assert!(message.contains(says), "{changes}: {message}");
    }
    for changes in [
        good.clone(),
        json!({ "aud": ["mail", "phone"], "iss": "https://id.example" }),
        // Clocks differ a little.
        json!({ "aud": "chat", "iss": "https://id.example", "exp": now() - 2, "iat": now() - 60 }),
        json!({ "aud": "chat", "iss": "https://id.example", "iat": now() + 3, "nbf": now() + 3 }),
        json!({ "aud": "chat", "iss": "https://id.example", "iat": null }),
    ] {
        let token = signed(Algorithm::RS256, None, &with(changes.clone()));
        assert!(keys.check(&token).await.is_ok(), "{changes}");
    }
    // What is good for longer than it may be ends then.
    let long = with(json!({ "aud": "chat", "iss": "https://id.example", "exp": u32::MAX }));
    let taken = keys.check(&signed(Algorithm::EdDSA, None, &long)).await.unwrap();
    assert!(taken.exp <= now() + 3_600, "{taken:?}");
    let minted = keys.mint("ada", "send", vec![], Duration::from_secs(60)).unwrap();
    assert!(keys.check(&minted).await.is_ok(), "its own have the audience and the issuer");
}

#[tokio::test]
async fn several_secrets_are_taken_and_the_first_one_signs() {
    let (old, new) = (SECRET.to_owned(), SECRET.to_uppercase());
    let before = Keys::from_secret(&old).unwrap();
    let minute = Duration::from_secs(60);
    let of_before = before.mint("ada", "", vec![], minute).unwrap();
    let during =
        Keys::open(&KeySources { secrets: vec![new.clone(), old], ..KeySources::default() })
            .unwrap();
    assert!(during.check(&of_before).await.is_ok());
    let of_now = during.mint("ada", "", vec![], minute).unwrap();
    let after = Keys::from_secret(&new).unwrap();
    assert!(after.check(&of_now).await.is_ok());
    assert!(refusal(&after, &of_before).await.1.contains("fits no key"));
}

#[test]
fn keys_that_cannot_be_used_are_refused_at_the_start() {
    let with_file = |name: &str| KeySources { files: vec![file(name)], ..KeySources::default() };
    let with_jwks = |url: &str| KeySources { jwks_url: Some(url.into()), ..KeySources::default() };
    for (sources, says) in [
        (KeySources::default(), "no key"),
        (KeySources { secrets: vec!["short".into()], ..KeySources::default() }, "5 bytes"),
        (KeySources { secrets: vec![SECRET.into(); 17], ..KeySources::default() }, "17"),
        (with_file("rsa.pem"), "private key"),
        (with_file("ec.pem"), "private key"),
        (with_file("rsa-small.pub.pem"), "2,048 bits"),
        (with_file("ec-p384.pub.pem"), "P-256"),
        (with_file("../keys.rs"), "no public key"),
        (with_file("absent.pem"), "absent.pem"),
        (with_jwks("http://id.example/keys"), "https"),
        (with_jwks("id.example/keys"), "key set"),
        (with_jwks("ftp://127.0.0.1/keys"), "https"),
    ] {
        let error: KeyError = Keys::open(&sources).unwrap_err();
        assert!(error.to_string().contains(says), "{error} should say {says}");
    }
    for url in ["https://id.example/keys", "http://127.0.0.1:1/keys", "http://[::1]:1/keys"] {
        assert!(Keys::open(&with_jwks(url)).is_ok(), "{url}");
    }
}

/// An identity provider: what it answers can be changed.
struct Provider {
    url: String,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    async fn start(status: u16, body: impl ToString) -> Self {
        let answer = Arc::new(Mutex::new((status, body.to_string())));
        let asked = Arc::new(AtomicUsize::new(0));
        let (answers, count) = (answer.clone(), asked.clone());
        let app = axum::Router::new().fallback(move || {
            count.fetch_add(1, Ordering::SeqCst);
            let (status, body) = answers.lock().clone();
            async move { (axum::http::StatusCode::from_u16(status).unwrap(), body) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, answer, asked }
    }

    fn answers(&self, status: u16, body: impl ToString) {
        *self.answer.lock() = (status, body.to_string());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn keys(&self, gap: Duration) -> Keys {
        let jwks_url = Some(self.url.clone());
        Keys::open(&KeySources { jwks_url, jwks_gap: gap, ..KeySources::default() }).unwrap()
    }
}

/// A public key as an identity provider publishes it.
fn jwk(algorithm: Algorithm, kid: &str) -> Value {
    use jsonwebtoken::jwk::Jwk;
    let mut jwk = Jwk::from_encoding_key(&signing(algorithm), algorithm).unwrap();
    jwk.common.key_id = Some(kid.into());
    serde_json::to_value(jwk).unwrap()
}

#[tokio::test]
async fn a_key_set_is_fetched_and_asked_again_when_a_key_is_missing() {
    let first = json!({ "keys": [
        jwk(Algorithm::RS256, "one"),
        // None of these is used, and none is a reason to lose the others.
        { "kty": "oct", "kid": "secret", "k": base64(SECRET), "alg": "HS256" },
        { "kty": "new", "kid": "newer" },
        { "kid": "nothing" },
        7,
    ] });
    let provider = Provider::start(200, first).await;
    let keys = provider.keys(HOUR);
    assert!(keys.trouble().is_some(), "nothing was fetched yet");

    let one = signed(Algorithm::RS256, Some("one"), &claims());
    assert!(keys.check(&one).await.is_ok(), "fetched because it is missing");
    assert_eq!((provider.asked(), keys.trouble()), (1, None));
    assert!(keys.check(&one).await.is_ok());
    assert_eq!(provider.asked(), 1, "and kept");

    // A rotation. Not asked again at once, however many tokens name unknown keys.
    provider.answers(200, json!({ "keys": [jwk(Algorithm::ES256, "two")] }));
    let two = signed(Algorithm::ES256, Some("two"), &claims());
    for token in [&two, &signed(Algorithm::HS256, Some("secret"), &claims())] {
        assert_eq!(refusal(&keys, token).await.0, ErrorCode::Unauthorized);
    }
    assert_eq!(provider.asked(), 1);

    // After the gap.
    provider.answers(200, json!({ "keys": [jwk(Algorithm::RS256, "one")] }));
    let keys = provider.keys(Duration::ZERO);
    assert!(keys.check(&one).await.is_ok());
    provider.answers(200, json!({ "keys": [jwk(Algorithm::ES256, "two")] }));
    let asked = provider.asked();
    assert!(keys.check(&two).await.is_ok(), "asked for again");
    assert_eq!(refusal(&keys, &one).await.0, ErrorCode::Unauthorized, "it was withdrawn");
    assert_eq!(provider.asked(), asked + 2);
}

#[tokio::test]
async fn many_that_miss_a_key_at_once_are_one_fetch() {
    let provider = Provider::start(200, json!({ "keys": [jwk(Algorithm::EdDSA, "a")] })).await;
    let keys = Arc::new(provider.keys(HOUR));
    let token = signed(Algorithm::EdDSA, Some("a"), &claims());
    let checks = (0..32).map(|_| {
        let (keys, token) = (keys.clone(), token.clone());
        tokio::spawn(async move { keys.check(&token).await.is_ok() })
    });
    for check in checks.collect::<Vec<_>>() {
        assert!(check.await.unwrap());
    }
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn while_keys_cannot_be_fetched_the_old_ones_stay_and_trouble_is_told() {
    let set = json!({ "keys": [jwk(Algorithm::RS256, "one")] });
    let provider = Provider::start(500, "").await;
    let keys = provider.keys(Duration::ZERO);
    let one = signed(Algorithm::RS256, Some("one"), &claims());
    assert_eq!(refusal(&keys, &one).await.0, ErrorCode::KeysUnavailable, "not the token's fault");
    assert!(keys.trouble().unwrap().contains("500"), "{:?}", keys.trouble());

    provider.answers(200, &set);
    let pass = async |keys: &Keys| {
        keys.check(&signed(Algorithm::RS256, Some("unknown"), &claims())).await.unwrap_err().code
    };
    assert_eq!(pass(&keys).await, ErrorCode::Unauthorized);
    assert!(keys.check(&one).await.is_ok());
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(300 * 1024));
    for (status, body, says) in [
        (503, set.to_string(), "503"),
        (302, set.to_string(), "302"),
        (200, "<html>".into(), "no key set"),
        (200, r#"{"keys":[]}"#.into(), "no key"),
        (200, huge, "more than"),
    ] {
        provider.answers(status, body);
        assert_eq!(pass(&keys).await, ErrorCode::KeysUnavailable, "{says}");
        let trouble = keys.trouble().expect(says);
        assert!(trouble.contains(says), "{trouble}");
        assert!(keys.check(&one).await.is_ok(), "{says}: the old key stays");
    }
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut coded = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            coded.push(DIGITS[(bits >> (18 - 6 * place)) as usize & 63] as char);
        }
    }
    coded
}

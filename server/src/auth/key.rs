//! One key, and the one algorithm that tokens signed with it may name.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};

/// A key to check signatures with.
#[derive(Clone)]
pub(super) struct Key {
    /// What tokens call it (`kid`), where it has a name.
    pub(super) id: Option<Box<str>>,
    /// What it is checked with. The one algorithm in it is the key's own: what a token says of itself
    /// can only agree or be refused.
    pub(super) validation: Validation,
    pub(super) decoding: DecodingKey,
}

/// Bytes of an RSA modulus, at least: 2,048 bits (RFC 7518, section 3.3).
const RSA_BYTES_MIN: usize = 256;
/// Bytes of a public key on the curve P-256, uncompressed.
const P256_BYTES: usize = 65;
/// Bytes of an Ed25519 public key.
const ED25519_BYTES: usize = 32;

impl Key {
    /// A secret, for HS256.
    pub(super) fn from_secret(secret: &str, rules: &Rules) -> Self {
        Self::new(None, Algorithm::HS256, DecodingKey::from_secret(secret.as_bytes()), rules)
    }

    /// A public key as PEM, for the algorithm of its kind.
    pub(super) fn from_pem(pem: &[u8], rules: &Rules) -> Result<Self, String> {
        if pem.windows(11).any(|part| part == b"PRIVATE KEY") {
            return Err("this is a private key, which only the issuer of tokens may have; \
                 give the public key (`openssl pkey -in KEY -pubout`)"
                .into());
        }
        let read = |algorithm, key: jsonwebtoken::errors::Result<_>| Some((algorithm, key.ok()?));
        let found = read(Algorithm::RS256, DecodingKey::from_rsa_pem(pem))
            .or_else(|| read(Algorithm::ES256, DecodingKey::from_ec_pem(pem)))
            .or_else(|| read(Algorithm::EdDSA, DecodingKey::from_ed_pem(pem)));
        let Some((algorithm, decoding)) = found else {
            return Err(
                "this is no public key; expected PEM (`-----BEGIN PUBLIC KEY-----`) of an \
                 RSA, P-256 or Ed25519 key"
                    .into(),
            );
        };
        require_strength(algorithm, &decoding, None)?;
        Ok(Self::new(None, algorithm, decoding, rules))
    }

    /// A key of a key set, or why it is none that tokens may be signed with.
    pub(super) fn from_jwk(jwk: &Jwk, rules: &Rules) -> Result<Self, String> {
        if matches!(&jwk.common.public_key_use, Some(other) if *other != PublicKeyUse::Signature) {
            return Err("it is not for signatures".into());
        }
        // Never a secret: whoever can read the key set could make tokens.
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            _ => return Err("it is no RSA, P-256 or Ed25519 key".into()),
        };
        let named = jwk.common.key_algorithm;
        let own = match algorithm {
            Algorithm::RS256 => KeyAlgorithm::RS256,
            Algorithm::ES256 => KeyAlgorithm::ES256,
            _ => KeyAlgorithm::EdDSA,
        };
        if named.is_some_and(|named| named != own) {
            return Err(format!("it is for another algorithm than {algorithm:?}"));
        }
        let decoding = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
        require_strength(algorithm, &decoding, Some(jwk))?;
        Ok(Self::new(jwk.common.key_id.as_deref(), algorithm, decoding, rules))
    }

    fn new(id: Option<&str>, algorithm: Algorithm, decoding: DecodingKey, rules: &Rules) -> Self {
        Self { id: id.map(Into::into), validation: rules.validation(algorithm), decoding }
    }

    /// True when a token with this header may have been signed with it.
    pub(super) fn may_fit(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        let is_named = |kid: &str| self.id.as_deref().is_none_or(|id| id == kid);
        self.validation.algorithms == [algorithm] && kid.is_none_or(is_named)
    }
}

fn require_strength(
    algorithm: Algorithm,
    key: &DecodingKey,
    jwk: Option<&Jwk>,
) -> Result<(), String> {
    let bytes = match (jwk.map(|jwk| &jwk.algorithm), key.try_get_as_bytes()) {
        // Base64: four characters for three bytes.
        (Some(AlgorithmParameters::RSA(key)), _) => key.n.len() * 3 / 4,
        // The DER of an RSA key holds its modulus and a few bytes more.
        (_, Ok(bytes)) => bytes.len(),
        (_, Err(error)) => return Err(error.to_string()),
    };
    let (is_fine, expected) = match algorithm {
        Algorithm::RS256 => (bytes >= RSA_BYTES_MIN, "an RSA key of at least 2,048 bits"),
        Algorithm::ES256 => (bytes == P256_BYTES, "a key on the curve P-256, for ES256"),
        _ => (bytes == ED25519_BYTES, "an Ed25519 key"),
    };
    if is_fine { Ok(()) } else { Err(format!("the key is of the wrong size; expected {expected}")) }
}

/// What every token must say, whatever key it is signed with.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// One of these must be its audience; none asks for none.
    pub(super) audience: Vec<String>,
    /// One of these must have issued it; none lets any.
    pub(super) issuer: Vec<String>,
    /// Clocks may differ by so many seconds.
    pub(super) leeway: u64,
}

impl Rules {
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.leeway;
        validation.validate_nbf = true;
        validation.validate_aud = !self.audience.is_empty();
        let mut required = vec!["exp", "sub"];
        if !self.audience.is_empty() {
            validation.set_audience(&self.audience);
            required.push("aud");
        }
        if !self.issuer.is_empty() {
            validation.set_issuer(&self.issuer);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

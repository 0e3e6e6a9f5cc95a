use serde::{Deserialize, Deserializer, Serialize, de};

/// The claims of a token.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// The user.
    pub sub: String,
    /// Words with spaces between: `subscribe send publish serve admin`.
    pub scope: String,
    /// Threads beside the user's own: ids, beginnings of ids (`thread_team7_*`), or `["*"]` for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<String>,
    /// When it ends, seconds since 1970.
    #[serde(deserialize_with = "seconds")]
    pub exp: u64,
    /// When it was made, seconds since 1970. Without it, it counts as made before every revocation.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some_seconds")]
    pub iat: Option<u64>,
    /// Names the token, in logs and to revoke it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub iss: Option<String>,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub aud: Option<String>,
}

/// A time may have a fraction (RFC 7519, section 2).
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let time = f64::deserialize(deserializer)?;
    if time.is_finite() && time >= 0.0 {
        return Ok(time as u64);
    }
    Err(de::Error::custom("a time is a number of seconds since 1970"))
}

fn some_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    seconds(deserializer).map(Some)
}

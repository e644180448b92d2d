//! What a server knows of the exchanges whose protocol it speaks: given by its owner, as data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use depthcache_wire::Family;
use serde::Deserialize;

use crate::network::Network;

/// How a server speaks the exchanges' own protocol.
#[derive(Debug, Deserialize)]
pub struct ExchangeOptions {
    /// The exchanges, each under its name.
    pub venues: Vec<VenueRules>,
    /// The most books at once that requests may begin; 0: requests begin none.
    pub most_begun: usize,
    /// Whether every sender that can connect is answered: only programs of this machine can.
    pub is_open: bool,
    /// Networks whose senders are answered.
    #[serde(default)]
    pub allow: Vec<Network>,
    /// A secret that is answered as a prefix of the path, `/k/<key>/…`.
    #[serde(default)]
    pub key: Option<Key>,
    /// How long a book that a request begins may take to be synced before the sender is asked to try again.
    pub begin_s: f64,
}

/// A secret, which `Debug` does not show.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Key(pub String);

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(…)")
    }
}

impl ExchangeOptions {
    /// Options as JSON; errors are for the owner of the server.
    pub fn parse(text: &str) -> Result<ExchangeOptions, String> {
        serde_json::from_str(text).map_err(|why| why.to_string())
    }

    /// How long a begun book may take.
    pub fn begin_within(&self) -> Duration {
        Duration::try_from_secs_f64(self.begin_s).unwrap_or_default()
    }
}

/// The rules of one exchange.
#[derive(Debug, Deserialize)]
pub struct VenueRules {
    /// Its name, the first segment of its paths.
    pub name: Arc<str>,
    /// Other names for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// `spot`, `linear`, `inverse` or `options`.
    #[serde(deserialize_with = "family")]
    pub family: Family,
    /// The path of depth snapshots.
    pub depth_path: String,
    /// The path of exchangeInfo.
    pub exchange_info_path: String,
    /// The path of its time.
    pub time_path: String,
    /// The path of its ping.
    pub ping_path: String,
    /// Where `symbols` is in exchangeInfo, and how a row calls its symbol.
    pub listing_key: String,
    /// exchangeInfo takes `symbol` and `symbols`.
    pub selects_symbols: bool,
    /// Limits of depth, least first.
    pub depth_limits: Vec<usize>,
    /// Depth takes any limit, up to the last.
    pub any_depth_limit: bool,
    /// The limit of a request that names none.
    pub usual_limit: usize,
    /// Speeds of the diff stream: milliseconds and suffix.
    pub speeds: Vec<(u64, String)>,
    /// The speed at which books are kept.
    pub held_ms: u64,
    /// The most streams of a connection.
    pub most_streams: usize,
    /// Time between two pings of the server, in seconds.
    pub ping_s: u64,
}

impl VenueRules {
    /// Whether it goes by this name.
    pub fn is_named(&self, name: &str) -> bool {
        name == &*self.name || self.aliases.iter().any(|alias| alias == name)
    }

    /// Whether it is of the family spot.
    pub fn is_spot(&self) -> bool {
        self.family == Family::Spot
    }
}

fn family<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Family, D::Error> {
    let word = String::deserialize(given)?;
    Family::parse(&word).ok_or_else(|| serde::de::Error::custom(format!("no family {word:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_print_no_key() {
        let text = r#"{"venues":[],"most_begun":0,"is_open":true,"key":"hunter2","begin_s":1}"#;
        let options = ExchangeOptions::parse(text).expect("options");
        assert!(!format!("{options:?}").contains("hunter2"));
        assert_eq!(options.key.expect("given").0, "hunter2");
    }
}

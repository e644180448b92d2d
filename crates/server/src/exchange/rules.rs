//! What a server knows of the exchanges whose protocol it speaks: given by its owner, as data.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use depthcache_wire::Family;
use serde::Deserialize;

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
    pub key: Option<String>,
    /// How long a book that a request begins may take to be synced before the sender is told to come again.
    pub begin_s: f64,
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

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// So many bits of it count.
    pub bits: u8,
}

impl Network {
    /// Whether an address is in it; IPv4 addresses in the notation of IPv6 are what they stand for.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= bits.min(32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= bits.min(128)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let network = |address: &str, bits| Network {
            address: address.parse().expect("an address"),
            bits,
        };
        let holds = |network: Network, address: &str| {
            network.contains(address.parse().expect("an address"))
        };
        let private = network("10.1.0.0", 16);
        assert!(holds(private, "10.1.2.3"));
        assert!(holds(private, "::ffff:10.1.2.3"));
        assert!(!holds(private, "10.2.0.1"));
        assert!(!holds(private, "::1"));
        assert!(holds(network("0.0.0.0", 0), "203.0.113.9"));
        assert!(holds(network("203.0.113.9", 32), "203.0.113.9"));
        assert!(!holds(network("203.0.113.9", 32), "203.0.113.8"));
        assert!(holds(network("2001:db8::", 32), "2001:db8:1::5"));
        assert!(!holds(network("2001:db8::", 32), "2001:db9::5"));
    }
}

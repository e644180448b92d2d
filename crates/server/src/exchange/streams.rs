//! Names of streams: `btcusdt@depth@100ms`.

use std::fmt;

use depthcache_wire::Family;

use super::rules::VenueRules;
use super::states::SUFFIX;
use crate::problem::shortened;
use crate::secrets::is_secret;

/// `@depth@0ms` promises no interval, but every change at once: here, every diff as soon as it is received.
const AT_ONCE_MS: u64 = 0;

/// What a stream brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Diffs, as they come or merged.
    Diffs {
        /// Time between two messages; that of the held stream, or more.
        every_ms: u64,
    },
    /// Diffs and, among them, states of the book, for depthcache's own clients.
    Relayed {
        /// Time between two messages; that of the held stream, or more.
        every_ms: u64,
    },
    /// The best levels of both sides.
    Partial {
        /// How many a side.
        levels: usize,
        /// Time between two messages.
        every_ms: u64,
    },
    /// The best bid and ask.
    Ticker,
}

impl Kind {
    /// Whether it brings diffs.
    pub fn has_diffs(self) -> bool {
        matches!(self, Kind::Diffs { .. } | Kind::Relayed { .. })
    }

    /// Whether it brings states of the book among its diffs.
    pub fn has_states(self) -> bool {
        matches!(self, Kind::Relayed { .. })
    }
}

/// A stream: of which symbol, in capitals, and what it brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub symbol: String,
    pub kind: Kind,
}

/// Why a name is none of a stream that is served here, in words for the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadName(String);

impl fmt::Display for BadName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Stream {
    /// What a name means on an exchange.
    ///
    /// The exchange acknowledges names that it does not know and stays silent; here they are refused in words.
    pub fn parse(venue: &VenueRules, name: &str) -> Result<Stream, BadName> {
        let (symbol, suffix) = match name.find('@') {
            Some(at) if at > 0 => name.split_at(at),
            _ => return Err(unknown(venue, name)),
        };
        if symbol.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let lower = name.replacen(symbol, &symbol.to_ascii_lowercase(), 1);
            let words = format!("{} must be in lower case: {}", shown(name), shown(&lower));
            return Err(BadName(words));
        }
        let kind = kind_of(venue, suffix).ok_or_else(|| unknown(venue, name))?;
        if let Kind::Diffs { every_ms } = kind
            && every_ms < venue.held_ms
        {
            let held = venue.held_ms;
            let words = format!(
                "{} brings diffs every {every_ms} ms, but this server receives one every {held} ms; ask for {}",
                shown(name),
                slower(venue).join(", ")
            );
            return Err(BadName(words));
        }
        Ok(Stream {
            symbol: symbol.to_ascii_uppercase(),
            kind,
        })
    }
}

fn kind_of(venue: &VenueRules, suffix: &str) -> Option<Kind> {
    if let Some(suffix) = suffix.strip_suffix(SUFFIX) {
        return match kind_of(venue, suffix)? {
            Kind::Diffs { every_ms } => Some(Kind::Relayed { every_ms }),
            _ => None,
        };
    }
    if suffix == "@bookTicker" {
        return Some(Kind::Ticker);
    }
    if let Some((every_ms, _)) = venue.speeds.iter().find(|(_, known)| known == suffix) {
        let every_ms = match *every_ms {
            AT_ONCE_MS => venue.held_ms,
            every_ms => every_ms,
        };
        return Some(Kind::Diffs { every_ms });
    }
    let rest = suffix.strip_prefix("@depth")?;
    // Spot clients also name the speed of the bare name.
    if venue.is_spot() && rest == "@1000ms" {
        let every_ms = 1_000;
        return Some(Kind::Diffs { every_ms });
    }
    let (levels, speed) = rest
        .split_once('@')
        .map_or((rest, None), |(levels, speed)| (levels, Some(speed)));
    let levels = match levels {
        "5" => 5,
        "10" => 10,
        "20" => 20,
        _ => return None,
    };
    // Spot docs, "Partial Book Depth Streams", 2026-07-21; futures docs, 2026-05-28; options SDK 8.7.0, 2026-11.
    let every_ms = match (venue.family, speed) {
        (_, Some("100ms")) => 100,
        (Family::Spot, None | Some("1000ms")) => 1_000,
        (Family::Linear | Family::Inverse, None) => 250,
        (Family::Linear | Family::Inverse | Family::Options, Some("500ms")) => 500,
        _ => return None,
    };
    Some(Kind::Partial { levels, every_ms })
}

fn slower(venue: &VenueRules) -> Vec<&str> {
    let speeds = venue.speeds.iter();
    let not_faster =
        speeds.filter(|(every_ms, _)| *every_ms >= venue.held_ms || *every_ms == AT_ONCE_MS);
    not_faster.map(|(_, suffix)| suffix.as_str()).collect()
}

fn unknown(venue: &VenueRules, name: &str) -> BadName {
    let words = format!(
        "{} is not served here; served are {}, @depth5, @depth10, @depth20 and @bookTicker",
        shown(name),
        slower(venue).join(", ")
    );
    BadName(words)
}

/// A name that a client sent, for an error; a secret in the wrong place is not repeated.
pub fn shown(name: &str) -> String {
    match is_secret(name) {
        true => "(not shown)".to_owned(),
        false => shortened(name),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn venue(family: &str, held_ms: u64) -> VenueRules {
        let speeds = match family {
            "spot" => r#"[[100,"@depth@100ms"],[1000,"@depth"]]"#,
            _ => r#"[[100,"@depth@100ms"],[0,"@depth@0ms"],[250,"@depth"],[500,"@depth@500ms"]]"#,
        };
        let text = format!(
            r#"{{"name":"x","family":"{family}","depth_path":"/d","exchange_info_path":"/i","time_path":"/t",
            "ping_path":"/p","listing_key":"symbols","selects_symbols":true,"depth_limits":[5,10,1000],
            "any_depth_limit":false,"usual_limit":10,"speeds":{speeds},"held_ms":{held_ms},"most_streams":3,
            "ping_s":20}}"#
        );
        serde_json::from_str(&text).expect("rules")
    }

    #[test]
    fn names_mean_what_they_mean_at_the_exchange() {
        let diffs = |every_ms| Some(Kind::Diffs { every_ms });
        let partial = |levels, every_ms| Some(Kind::Partial { levels, every_ms });
        for (family, name, expected) in [
            ("spot", "btcusdt@depth", diffs(1_000)),
            ("spot", "btcusdt@depth@100ms", diffs(100)),
            ("spot", "btcusdt@depth@1000ms", diffs(1_000)),
            ("spot", "btcusdt@depth20", partial(20, 1_000)),
            ("spot", "btcusdt@depth5@100ms", partial(5, 100)),
            ("spot", "btcusdt@depth5@500ms", None),
            ("spot", "btcusdt@depth7", None),
            ("spot", "btcusdt@bookTicker", Some(Kind::Ticker)),
            ("spot", "btcusdt@trade", None),
            ("spot", "btcusdt", None),
            ("spot", "@depth", None),
            ("linear", "btcusdt@depth", diffs(250)),
            ("linear", "btcusdt@depth@500ms", diffs(500)),
            ("linear", "btcusdt@depth@250ms", None),
            ("linear", "btcusdt@depth10", partial(10, 250)),
            ("linear", "btcusdt@depth10@500ms", partial(10, 500)),
            ("options", "btc-251123-126000-c@depth10", None),
            (
                "options",
                "btc-251123-126000-c@depth10@500ms",
                partial(10, 500),
            ),
        ] {
            let parsed = Stream::parse(&venue(family, 100), name);
            assert_eq!(
                parsed.ok().map(|stream| stream.kind),
                expected,
                "{family} {name}"
            );
        }
        let chinese = Stream::parse(&venue("spot", 100), "币安人生usdt@depth").expect("a stream");
        assert_eq!(chinese.symbol, "币安人生USDT");
    }

    #[test]
    fn what_is_faster_than_held_is_refused_in_words() {
        let refused =
            Stream::parse(&venue("linear", 250), "btcusdt@depth@100ms").expect_err("faster");
        assert_eq!(
            refused.to_string(),
            "btcusdt@depth@100ms brings diffs every 100 ms, but this server receives one every 250 ms; \
             ask for @depth@0ms, @depth, @depth@500ms"
        );
        Stream::parse(&venue("linear", 0), "btcusdt@depth@100ms").expect("merged");
        Stream::parse(&venue("linear", 500), "btcusdt@depth10@100ms")
            .expect("as fast as the diffs");
    }

    #[test]
    fn at_once_is_as_fast_as_the_server_receives() {
        for every_ms in [0, 100, 500] {
            let stream = Stream::parse(&venue("linear", every_ms), "btcusdt@depth@0ms");
            let kind = stream.map(|stream| stream.kind);
            assert_eq!(kind, Ok(Kind::Diffs { every_ms }));
        }
        assert!(Stream::parse(&venue("spot", 100), "btcusdt@depth@0ms").is_err());
    }

    #[test]
    fn capitals_are_refused_with_the_right_name() {
        let refused = Stream::parse(&venue("spot", 100), "BTCUSDT@depth").expect_err("capitals");
        assert_eq!(
            refused.to_string(),
            "BTCUSDT@depth must be in lower case: btcusdt@depth"
        );
    }
}

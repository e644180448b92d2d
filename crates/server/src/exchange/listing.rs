//! exchangeInfo: what the owner fetched from the exchange, kept for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use depthcache_wire::writer::string;
use parking_lot::Mutex;

use super::merging::Keys;
use super::refusal::Refusal;
use super::rules::VenueRules;
use crate::delegation::DelegatedRequest;
use crate::shared::Shared;

/// Filters and statuses change a few times a week.
const KEPT: Duration = Duration::from_secs(3_600);

/// What is kept of each exchange.
#[derive(Debug, Default)]
pub struct Listings(Mutex<HashMap<Arc<str>, Arc<ExchangeInfo>>>);

/// One at a time fetches.
type ExchangeInfo = tokio::sync::Mutex<Kept>;

/// So long nobody fetches again what could not be fetched: who waited meanwhile would do so one after the other.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Kept {
    fetched: Option<Fetched>,
    /// When the last fetch failed, if it did.
    failed: Option<Instant>,
}

impl Kept {
    fn may_fetch(&self, now: Instant) -> bool {
        self.failed.is_none_or(|failed| now - failed >= PAUSE)
    }

    /// Better than none.
    fn last(&self) -> Result<Bytes, Refusal> {
        let words = "The exchange's exchangeInfo could not be fetched.";
        let last = self.fetched.as_ref().map(|fetched| fetched.body.clone());
        last.ok_or_else(|| Refusal::later(words))
    }
}

#[derive(Debug)]
struct Fetched {
    at: Instant,
    /// The books when it was fetched: others need another.
    books: u64,
    body: Bytes,
}

impl Listings {
    /// The body of a response.
    pub async fn respond(
        &self,
        shared: &Shared,
        venue: &VenueRules,
        query: &HashMap<String, String>,
    ) -> Result<Bytes, Refusal> {
        let wanted = match venue.selects_symbols {
            true => wanted(query)?,
            false => None,
        };
        let listing = self.0.lock().entry(venue.name.clone()).or_default().clone();
        let body = fresh(&listing, shared, venue).await?;
        match wanted {
            None => Ok(body),
            Some(symbols) => Ok(chosen(&body, &venue.listing_key, &symbols)?.into()),
        }
    }
}

async fn fresh(
    listing: &ExchangeInfo,
    shared: &Shared,
    venue: &VenueRules,
) -> Result<Bytes, Refusal> {
    let mut kept = listing.lock().await;
    let books = shared.registry.changes();
    if let Some(fetched) = &kept.fetched
        && fetched.books == books
        && fetched.at.elapsed() < KEPT
    {
        return Ok(fetched.body.clone());
    }
    if !kept.may_fetch(Instant::now()) {
        return kept.last();
    }
    let make = |number| DelegatedRequest {
        number,
        route: "exchange_info",
        exchange: venue.name.to_string(),
        symbol: String::new(),
        body: Bytes::new(),
    };
    let answered = shared.delegation.ask(make, shared.limits.delegation).await;
    let at = Instant::now();
    match answered {
        Ok(answered) if answered.status == 200 => {
            kept.failed = None;
            let body = Bytes::from(answered.body);
            kept.fetched = Some(Fetched { at, books, body });
        }
        _ => kept.failed = Some(at),
    }
    kept.last()
}

/// The symbols that a request names, None for all (spot docs "Exchange information", 2026-07-21).
fn wanted(query: &HashMap<String, String>) -> Result<Option<Vec<String>>, Refusal> {
    for name in ["symbol", "symbols"] {
        if query.get(name).is_some_and(String::is_empty) {
            return Err(Refusal::bad(
                -1105,
                format!("Parameter '{name}' was empty."),
            ));
        }
    }
    match (query.get("symbol"), query.get("symbols")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Refusal::bad(-1128, "Combination of optional parameters invalid.")),
        (Some(symbol), None) => Ok(Some(vec![symbol.clone()])),
        (None, Some(symbols)) => serde_json::from_str(symbols).map(Some).map_err(|_| {
            let words = "Illegal characters found in parameter 'symbols'; legal range is a JSON list of symbols.";
            Refusal::bad(-1100, words)
        }),
    }
}

/// The same body with these symbols alone, everything else byte for byte.
fn chosen(body: &[u8], key: &str, symbols: &[String]) -> Result<Vec<u8>, Refusal> {
    #[derive(serde::Deserialize)]
    struct Row<'a> {
        #[serde(borrow)]
        symbol: std::borrow::Cow<'a, str>,
    }
    let unreadable = || Refusal::later("The exchange's exchangeInfo could not be read.");
    let keys = Keys::of(body).ok_or_else(unreadable)?;
    let rows = keys.get(key).map(|rows| rows.get()).unwrap_or("[]");
    let rows: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(rows).map_err(|_| unreadable())?;
    // Each row is read once: there are thousands, and a request names hundreds of symbols.
    let mut by_symbol: HashMap<&str, Option<&str>> =
        symbols.iter().map(|symbol| (&**symbol, None)).collect();
    if by_symbol.len() < symbols.len() {
        let words = "Duplicate values for parameter 'symbols'.";
        return Err(Refusal::bad(-1101, words));
    }
    for row in &rows {
        let Ok(Row { symbol }) = serde_json::from_str(row.get()) else {
            continue;
        };
        if let Some(found) = by_symbol.get_mut(&*symbol) {
            found.get_or_insert(row.get());
        }
    }
    let found: Option<Vec<&str>> = symbols.iter().map(|symbol| by_symbol[&**symbol]).collect();
    let found = found.ok_or_else(Refusal::unknown_symbol)?;
    let mut out = Vec::new();
    out.push(b'{');
    for (index, (name, value)) in keys.0.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(&mut out, name);
        out.push(b':');
        if *name == key {
            out.extend_from_slice(format!("[{}]", found.join(",")).as_bytes());
        } else {
            out.extend_from_slice(value.get().as_bytes());
        }
    }
    out.push(b'}');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_chosen_and_the_rest_stays() {
        let body = br#"{"timezone":"UTC","symbols":[{"symbol":"A","x":1},{"symbol":"B"}],"z":[]}"#;
        let symbols = |names: &[&str]| {
            names
                .iter()
                .map(|name| name.to_string())
                .collect::<Vec<_>>()
        };
        let found = chosen(body, "symbols", &symbols(&["B", "A"])).expect("both are there");
        assert_eq!(
            String::from_utf8(found).expect("text"),
            r#"{"timezone":"UTC","symbols":[{"symbol":"B"},{"symbol":"A","x":1}],"z":[]}"#
        );
        let unknown = chosen(body, "symbols", &symbols(&["A", "C"])).expect_err("one is not");
        assert_eq!(unknown.code, -1121);
        let twice = chosen(body, "symbols", &symbols(&["A", "A"])).expect_err("a row a symbol");
        assert_eq!(twice.code, -1101);
    }

    #[test]
    fn a_fetch_that_failed_is_not_repeated_by_all_who_waited() {
        let now = Instant::now();
        let mut kept = Kept::default();
        assert!(kept.may_fetch(now));
        kept.failed = Some(now);
        assert!(!kept.may_fetch(now + Duration::from_millis(900)));
        assert!(kept.may_fetch(now + PAUSE));
    }

    #[test]
    fn questions_are_refused_as_the_exchange_does() {
        let asked = |query: &str| {
            let query = form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect();
            wanted(&query).map_err(|refusal| refusal.code)
        };
        assert_eq!(asked("permissions=SPOT"), Ok(None));
        assert_eq!(asked("symbol=A"), Ok(Some(vec!["A".to_owned()])));
        assert_eq!(asked("symbols=[\"A\"]"), Ok(Some(vec!["A".to_owned()])));
        assert_eq!(asked("symbols=A"), Err(-1100));
        assert_eq!(asked("symbol="), Err(-1105));
        assert_eq!(asked("symbol=A&symbols=[]"), Err(-1128));
    }
}

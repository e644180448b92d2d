//! exchangeInfo: what the owner fetched from the exchange, kept for a while. If requests may begin books, it covers all
//! symbols, and a request for a symbol that is not in it never reaches the exchange.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use depthcache_wire::writer::string;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use super::merging::Keys;
use super::refusal::Refusal;
use super::rules::VenueRules;
use crate::books::lines;
use crate::delegation::DelegatedRequest;
use crate::shared::Shared;

/// Filters and statuses change a few times a week.
const KEPT: Duration = Duration::from_secs(3_600);

/// What is kept of each exchange.
#[derive(Debug, Default)]
pub struct Listings(Mutex<HashMap<Arc<str>, Arc<ExchangeInfo>>>);

/// One at a time fetches.
type ExchangeInfo = tokio::sync::Mutex<Kept>;

/// How long no fetch follows a failed one: those that waited for it would otherwise fetch one after the other. Doubles
/// with each failure.
const PAUSE: Duration = Duration::from_secs(1);

/// A symbol that is not listed may be new: exchangeInfo of this age is not fetched again to look for it.
const NEW_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Kept {
    fetched: Option<Fetched>,
    /// When the last fetch failed, if it did, and how many failed in a row.
    failed: Option<Instant>,
    failures: u32,
}

impl Kept {
    fn may_fetch(&self, now: Instant) -> bool {
        const MOST_DOUBLINGS: u32 = 6;
        let pause = PAUSE * (1 << self.failures.saturating_sub(1).min(MOST_DOUBLINGS));
        self.failed.is_none_or(|failed| now - failed >= pause)
    }

    /// The last one fetched, however old.
    fn last(&self) -> Result<Arc<IndexedInfo>, Refusal> {
        let words = "The exchange's exchangeInfo could not be fetched.";
        let last = self.fetched.as_ref().map(|fetched| fetched.listed.clone());
        last.ok_or_else(|| Refusal::later(words))
    }
}

#[derive(Debug)]
struct Fetched {
    at: Instant,
    /// What tells its books from others, which need another.
    books: u64,
    listed: Arc<IndexedInfo>,
}

/// exchangeInfo with an index of its thousands of rows, parsed once.
#[derive(Debug)]
struct IndexedInfo {
    body: Bytes,
    /// None if it cannot be read.
    rows: Option<Rows>,
}

/// Everything around the rows, and each row by its symbol.
#[derive(Debug)]
struct Rows {
    before: Vec<u8>,
    by_symbol: HashMap<String, Range<usize>>,
    after: Vec<u8>,
}

impl Listings {
    /// The body of a response.
    pub async fn respond(
        &self,
        shared: &Arc<Shared>,
        venue: &VenueRules,
        query: &HashMap<String, String>,
        is_whole: bool,
    ) -> Result<Bytes, Refusal> {
        let wanted = match venue.selects_symbols {
            true => wanted(query)?,
            false => None,
        };
        let listed = self.fresh(shared, venue, is_whole, KEPT).await?;
        match wanted {
            None => Ok(listed.body.clone()),
            Some(symbols) => Ok(listed.chosen(&symbols)?.into()),
        }
    }

    /// Refuse a symbol that the exchange does not list. Only for exchangeInfo of all symbols.
    pub async fn check(
        &self,
        shared: &Arc<Shared>,
        venue: &VenueRules,
        symbol: &str,
    ) -> Result<(), Refusal> {
        for most in [KEPT, NEW_AFTER] {
            if self.fresh(shared, venue, true, most).await?.has(symbol) {
                return Ok(());
            }
        }
        Err(Refusal::unknown_symbol())
    }

    async fn fresh(
        &self,
        shared: &Arc<Shared>,
        venue: &VenueRules,
        is_whole: bool,
        most: Duration,
    ) -> Result<Arc<IndexedInfo>, Refusal> {
        let listing = self.0.lock().entry(venue.name.clone()).or_default().clone();
        let mut kept = listing.lock_owned().await;
        // exchangeInfo of all symbols does not depend on the books: a book that a request begins costs no fetch.
        let (books, body) = match is_whole {
            true => (0, Bytes::new()),
            false => held(shared, &venue.name),
        };
        if let Some(fetched) = &kept.fetched
            && fetched.books == books
            && fetched.at.elapsed() < most
        {
            return Ok(fetched.listed.clone());
        }
        if !kept.may_fetch(Instant::now()) {
            return kept.last();
        }
        let (shared, name, key) = (
            shared.clone(),
            venue.name.clone(),
            venue.listing_key.clone(),
        );
        // A task of its own: if a reader disconnects, the next one does not fetch again.
        let fetching = tokio::spawn(async move {
            fetch(&mut kept, &shared, &name, key, (books, body)).await;
            kept.last()
        });
        let draining = |_| Refusal::later("The server is shutting down.");
        fetching.await.map_err(draining)?
    }
}

/// The symbols of an exchange that are held here or by other nodes of the cluster, as a list, and what tells two such
/// lists apart. It does not depend on where in the cluster a book is.
fn held(shared: &Shared, exchange: &str) -> (u64, Bytes) {
    let mut list = vec![b'['];
    for line in lines(shared, shared.cluster.as_deref()) {
        let (of_exchange, symbol) = line.names();
        if **of_exchange == *exchange {
            if list.len() > 1 {
                list.push(b',');
            }
            string(&mut list, symbol);
        }
    }
    list.push(b']');
    let mut hasher = DefaultHasher::new();
    hasher.write(&list);
    (hasher.finish(), list.into())
}

/// Ask the owner, for all requests that wait.
async fn fetch(
    kept: &mut Kept,
    shared: &Shared,
    name: &str,
    key: String,
    (books, body): (u64, Bytes),
) {
    let make = |number| DelegatedRequest {
        number,
        route: "exchange_info",
        exchange: name.to_owned(),
        symbol: String::new(),
        body,
    };
    let answered = shared.delegation.ask(make, shared.limits.delegation).await;
    let at = Instant::now();
    let body = answered.ok().filter(|answered| answered.status == 200);
    let body = body.map(|answered| Bytes::from(answered.body));
    let listed = match body {
        // Megabytes: they must not block this thread.
        Some(body) => spawn_blocking(move || IndexedInfo::read(body, &key))
            .await
            .ok(),
        None => None,
    };
    match listed.map(Arc::new) {
        Some(listed) => {
            (kept.failed, kept.failures) = (None, 0);
            kept.fetched = Some(Fetched { at, books, listed });
        }
        None => {
            kept.failed = Some(at);
            kept.failures = kept.failures.saturating_add(1);
        }
    }
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

impl IndexedInfo {
    fn read(body: Bytes, key: &str) -> IndexedInfo {
        let rows = Rows::of(&body, key);
        IndexedInfo { body, rows }
    }

    /// Whether a symbol is listed, or may be because exchangeInfo cannot be read.
    fn has(&self, symbol: &str) -> bool {
        let rows = self.rows.as_ref();
        rows.is_none_or(|rows| rows.by_symbol.contains_key(symbol))
    }

    /// The same body with only these symbols, everything else byte for byte.
    fn chosen(&self, symbols: &[String]) -> Result<Vec<u8>, Refusal> {
        let unreadable = || Refusal::later("The exchange's exchangeInfo could not be read.");
        let rows = self.rows.as_ref().ok_or_else(unreadable)?;
        let mut known = HashSet::new();
        if !symbols.iter().all(|symbol| known.insert(symbol)) {
            let words = "Duplicate values for parameter 'symbols'.";
            return Err(Refusal::bad(-1101, words));
        }
        let mut out = rows.before.clone();
        for (index, symbol) in symbols.iter().enumerate() {
            let row = rows.by_symbol.get(symbol);
            let row = row.ok_or_else(Refusal::unknown_symbol)?;
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&self.body[row.clone()]);
        }
        out.extend_from_slice(&rows.after);
        Ok(out)
    }
}

impl Rows {
    fn of(body: &[u8], key: &str) -> Option<Rows> {
        #[derive(serde::Deserialize)]
        struct Row<'a> {
            #[serde(borrow)]
            symbol: std::borrow::Cow<'a, str>,
        }
        let keys = Keys::of(body)?;
        let rows: Vec<&serde_json::value::RawValue> =
            serde_json::from_str(keys.get(key)?.get()).ok()?;
        let mut by_symbol = HashMap::with_capacity(rows.len());
        for row in &rows {
            let start = row.get().as_ptr() as usize - body.as_ptr() as usize;
            if let Ok(Row { symbol }) = serde_json::from_str(row.get()) {
                let range = start..start + row.get().len();
                by_symbol.entry(symbol.into_owned()).or_insert(range);
            }
        }
        let (mut before, mut after) = (vec![b'{'], Vec::new());
        let mut is_behind = false;
        for (index, (name, value)) in keys.0.iter().enumerate() {
            let out = if is_behind { &mut after } else { &mut before };
            if index > 0 {
                out.push(b',');
            }
            string(out, name);
            out.push(b':');
            if *name == key && !is_behind {
                out.push(b'[');
                is_behind = true;
                after.push(b']');
            } else {
                out.extend_from_slice(value.get().as_bytes());
            }
        }
        after.push(b'}');
        Some(Rows {
            before,
            by_symbol,
            after,
        })
    }
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
        let listed = IndexedInfo::read(Bytes::from_static(body), "symbols");
        let found = listed
            .chosen(&symbols(&["B", "A"]))
            .expect("both are there");
        assert_eq!(
            String::from_utf8(found).expect("text"),
            r#"{"timezone":"UTC","symbols":[{"symbol":"B"},{"symbol":"A","x":1}],"z":[]}"#
        );
        assert!(listed.has("A") && !listed.has("C"));
        let unknown = listed
            .chosen(&symbols(&["A", "C"]))
            .expect_err("one is not");
        assert_eq!(unknown.code, -1121);
        let twice = listed
            .chosen(&symbols(&["A", "A"]))
            .expect_err("a row a symbol");
        assert_eq!(twice.code, -1101);
        let unreadable = IndexedInfo::read(Bytes::from_static(b"{}"), "symbols");
        assert!(unreadable.has("A"), "nothing says that it is not");
        assert_eq!(
            unreadable.chosen(&symbols(&["A"])).map_err(|why| why.code),
            Err(-1001)
        );
    }

    #[test]
    fn a_fetch_that_failed_is_not_repeated_by_all_who_waited() {
        let now = Instant::now();
        let mut kept = Kept::default();
        assert!(kept.may_fetch(now));
        (kept.failed, kept.failures) = (Some(now), 1);
        assert!(!kept.may_fetch(now + Duration::from_millis(900)));
        assert!(kept.may_fetch(now + PAUSE));
        kept.failures = 100;
        assert!(!kept.may_fetch(now + 63 * PAUSE));
        assert!(kept.may_fetch(now + 64 * PAUSE));
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

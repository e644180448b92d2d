//! Many books in one response: as JSON, or as a stream of Arrow by `Accept`. What other nodes of a cluster hold is read
//! there, in as few requests as there are groups of holders, and put where it belongs.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use depthcache_book::frozen::Frozen;
use depthcache_book::query::{ReadPolicy, Reading, Side};
use depthcache_wire as wire;
use depthcache_wire::Numbers;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::books::{TURN, begin, look, missing, usual_bytes};
use crate::call::{Call, json, typed};
use crate::cluster::{Answer, Cluster, ClusterBook, Holder, Outcome, Question};
use crate::columns;
use crate::forwarding::unanswered;
use crate::parameters::Pattern;
use crate::problem::Problem;
use crate::registry::Book;
use crate::shared::Shared;

/// The media type of a stream of Arrow.
const ARROW: &str = "application/vnd.apache.arrow.stream";

/// Levels of a response, all books together: some 40 MB.
const MOST_LEVELS: usize = 1_000_000;

/// The best levels of the books that `symbols` names, each at one update id; what cannot be read is listed as
/// missing, with the reason.
pub async fn read(call: &Call<'_>) -> Result<Response, Problem> {
    let query = &call.query;
    for name in ["symbol", "status", "limit", "cursor"] {
        if let Some(value) = query.get(name) {
            return Err(Problem::parameter(
                name,
                value,
                "nothing together with symbols",
            ));
        }
    }
    let (levels, policy, numbers) = (query.levels()?, query.policy()?, query.numbers()?);
    let (chosen, mut absent) = chosen(call)?;
    let is_arrow = wants_arrow(call);
    let mut known = current_here(call, &chosen, policy, levels).await;
    elsewhere(call, &chosen, is_arrow, &mut known).await?;
    let here: Vec<Book> = chosen
        .iter()
        .enumerate()
        .filter(|(index, _)| !known.contains_key(index))
        .filter_map(|(_, chosen)| chosen.here.clone())
        .collect();
    call.settle(&here).await?;
    let mut read = Vec::with_capacity(chosen.len());
    let mut held = 0;
    for (index, each) in chosen.iter().enumerate() {
        if index % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        let found = match (known.remove(&index), &each.here) {
            (Some(found), _) => found,
            (None, Some(book)) => match look(book, policy, |market| market.copy(levels)) {
                Ok(copy) => Found::Here(Box::new(copy)),
                Err(why) => Found::Missing(why.into()),
            },
            (None, None) => continue,
        };
        held += found.levels();
        match found {
            Found::Missing(why) => absent.push((each.name(), why)),
            found => read.push(found),
        }
        if held > MOST_LEVELS {
            let given = query.get("levels").unwrap_or_default();
            let allowed = format!("so few that a response has at most {MOST_LEVELS} levels");
            return Err(Problem::parameter("levels", given, allowed));
        }
    }
    if is_arrow {
        let mut frozen = Vec::with_capacity(read.len());
        for (index, found) in read.into_iter().enumerate() {
            if index % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            frozen.extend(found.into_frozen());
        }
        let body = columns::stream(&frozen, numbers == Numbers::Text, &listed(&absent));
        return Ok(typed(HeaderValue::from_static(ARROW), body));
    }
    Ok(json(encoded(call.shared, &read, numbers, &absent).await))
}

/// What became of one book.
enum Found {
    Here(Box<Frozen>),
    /// A message of another node, whole.
    Elsewhere(Box<RawValue>),
    Missing(Absence),
}

impl Found {
    /// How many levels it has, about.
    fn levels(&self) -> usize {
        const BYTES: usize = 24; // of a short level
        match self {
            Found::Here(book) => book.len(Side::Bids) + book.len(Side::Asks),
            Found::Elsewhere(message) => message.get().len() / BYTES,
            Found::Missing(_) => 0,
        }
    }

    fn into_frozen(self) -> Option<Frozen> {
        match self {
            Found::Here(book) => Some(*book),
            Found::Elsewhere(message) => match wire::decode(message.get().as_bytes()) {
                Ok(wire::Decoded::Book(book)) => Some(book),
                _ => None, // checked when it came
            },
            Found::Missing(_) => None,
        }
    }
}

/// Why a book is missing.
enum Absence {
    Here(Problem),
    /// The error of another node.
    Elsewhere(Box<RawValue>),
}

impl From<Problem> for Absence {
    fn from(why: Problem) -> Absence {
        Absence::Here(why)
    }
}

async fn encoded(
    shared: &Shared,
    books: &[Found],
    numbers: Numbers,
    absent: &[(String, Absence)],
) -> Vec<u8> {
    let options = wire::Options {
        numbers,
        counters: false,
    };
    let bytes = |found: &Found| match found {
        Found::Here(book) => usual_bytes(book),
        Found::Elsewhere(message) => message.get().len(),
        Found::Missing(_) => 0,
    };
    let mut out = Vec::with_capacity(books.iter().map(bytes).sum());
    let mut message = begin(&mut out);
    let list = message.key("books");
    list.push(b'[');
    for (index, found) in books.iter().enumerate() {
        if index % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        if index > 0 {
            list.push(b',');
        }
        match found {
            Found::Here(book) => {
                wire::book(list, book, &options);
                shared.sign(list);
            }
            Found::Elsewhere(message) => list.extend_from_slice(message.get().as_bytes()),
            Found::Missing(_) => {}
        }
    }
    list.push(b']');
    message.key("missing").extend_from_slice(&listed(absent));
    message.end();
    out
}

fn listed(absent: &[(String, Absence)]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (index, (name, why)) in absent.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        missing(&mut out, name, |out| match why {
            Absence::Here(problem) => problem.write(out),
            Absence::Elsewhere(error) => out.extend_from_slice(error.get().as_bytes()),
        });
    }
    out.push(b']');
    out
}

/// A book that is meant: held here, held elsewhere, or both.
struct Chosen {
    here: Option<Book>,
    elsewhere: Option<Arc<ClusterBook>>,
}

impl Chosen {
    fn names(&self) -> (Arc<str>, Arc<str>) {
        match (&self.here, &self.elsewhere) {
            (Some(book), _) => (book.exchange.clone(), book.symbol.clone()),
            (None, Some(book)) => (book.exchange.clone(), book.symbol.clone()),
            (None, None) => Default::default(),
        }
    }

    fn name(&self) -> String {
        let (exchange, symbol) = self.names();
        format!("{exchange}/{symbol}")
    }
}

type Absent = Vec<(String, Absence)>;

/// The books that are meant, each once, and the names of those that are not held.
fn chosen(call: &Call<'_>) -> Result<(Vec<Chosen>, Absent), Problem> {
    /// More names than books of any exchange.
    const MOST: usize = 5_000;
    /// Each pattern is compared with every book, and so is a name that is not held, to name its neighbours.
    const MOST_PATTERNS: usize = 16;
    let registry = &call.shared.registry;
    let exchange = call
        .query
        .get("exchange")
        .map(|name| registry.exchange(name));
    let text = call
        .query
        .needed("symbols", "symbols with commas between them")?;
    let (mut books, mut absent) = (Vec::<Chosen>::new(), Absent::new());
    let mut seen = HashSet::new();
    let mut patterns = 0;
    for (index, name) in text.split(',').enumerate() {
        if index == MOST {
            return Err(Problem::parameter(
                "symbols",
                text,
                format!("{MOST} names at most"),
            ));
        }
        let (of_exchange, symbol) = match name.split_once('/') {
            Some((exchange, symbol)) => (Some(registry.exchange(exchange)), symbol),
            None => (exchange.clone(), name),
        };
        let of_exchange = of_exchange.as_deref();
        let found = if Pattern::is_in(symbol) {
            patterns += 1;
            if patterns > MOST_PATTERNS {
                let allowed = format!("{MOST_PATTERNS} patterns at most");
                return Err(Problem::parameter("symbols", text, allowed));
            }
            let pattern = Pattern::parse("symbols", symbol)?;
            Ok(matching(call, of_exchange, &pattern))
        } else {
            let hints = absent.len() < MOST_PATTERNS;
            named(call, of_exchange, symbol, hints).map(|found| vec![found])
        };
        match found {
            Ok(found) => books.extend(found.into_iter().filter(|each| seen.insert(each.names()))),
            Err(why) => absent.push((name.to_owned(), why.into())),
        }
    }
    Ok((books, absent))
}

/// The books of a pattern, by exchange and symbol.
fn matching(call: &Call<'_>, exchange: Option<&str>, pattern: &Pattern) -> Vec<Chosen> {
    let is_meant = |of: &str, symbol: &str| {
        exchange.is_none_or(|exchange| exchange == of) && pattern.matches(symbol)
    };
    let mut found: BTreeMap<(Arc<str>, Arc<str>), Chosen> = BTreeMap::new();
    for book in call.shared.registry.all() {
        if is_meant(&book.exchange, &book.symbol) {
            let chosen = Chosen {
                here: Some(call.shared.registry.readable(book)),
                elsewhere: None,
            };
            found.insert(chosen.names(), chosen);
        }
    }
    for book in call.cluster().map_or(Vec::new(), |all| all.holders.all()) {
        if is_meant(&book.exchange, &book.symbol) {
            let name = (book.exchange.clone(), book.symbol.clone());
            let chosen = found.entry(name).or_insert(Chosen {
                here: None,
                elsewhere: None,
            });
            chosen.elsewhere = Some(book);
        }
    }
    found.into_values().collect()
}

/// The book of a name.
fn named(
    call: &Call<'_>,
    exchange: Option<&str>,
    symbol: &str,
    hints: bool,
) -> Result<Chosen, Problem> {
    let registry = &call.shared.registry;
    let here = registry.find_to_read(call.is_of_node(), exchange, symbol, hints);
    let Some(cluster) = call.cluster() else {
        return here.map(|book| Chosen {
            here: Some(book),
            elsewhere: None,
        });
    };
    let mut elsewhere = match exchange {
        Some(exchange) => cluster.holders.find(exchange, symbol).into_iter().collect(),
        None => cluster.holders.of_symbol(symbol),
    };
    let is_other = |book: &Arc<ClusterBook>| {
        here.as_ref()
            .is_ok_and(|here| here.exchange != book.exchange)
    };
    if elsewhere.len() > 1 || elsewhere.first().is_some_and(is_other) {
        let mut names: Vec<String> = elsewhere.iter().map(|book| book.name()).collect();
        names.extend(here.ok().map(|book| book.name()));
        names.sort();
        names.dedup();
        return Err(crate::registry::ambiguous(symbol, names));
    }
    match (here, elsewhere.pop()) {
        (Err(why), None) => Err(why),
        (here, elsewhere) => Ok(Chosen {
            here: here.ok(),
            elsewhere,
        }),
    }
}

/// The books of a cluster that can be read here now, by place: copied before other nodes are waited for, because such a
/// book may move to another node meanwhile.
async fn current_here(
    call: &Call<'_>,
    chosen: &[Chosen],
    policy: ReadPolicy,
    levels: usize,
) -> HashMap<usize, Found> {
    let mut found = HashMap::new();
    if call.cluster().is_none() {
        return found;
    }
    let fresh = ReadPolicy {
        serve_stale: false,
        ..policy
    };
    for (index, each) in chosen.iter().enumerate() {
        if index % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        if let (Some(book), Some(_)) = (&each.here, &each.elsewhere)
            && let Ok(copy) = look(book, fresh, |market| market.copy(levels))
        {
            found.insert(index, Found::Here(Box::new(copy)));
        }
    }
    found
}

/// Add what other nodes say of the books that are not found yet, by place. A book of which they have no current replica
/// either is left to this server where it holds one.
async fn elsewhere(
    call: &Call<'_>,
    chosen: &[Chosen],
    is_arrow: bool,
    found: &mut HashMap<usize, Found>,
) -> Result<(), Problem> {
    let Some(cluster) = call.cluster() else {
        return Ok(());
    };
    let patience = call.query.patience()?;
    let mut wanted: Vec<Remaining> = Vec::new();
    for (index, each) in chosen.iter().enumerate() {
        if let Some(book) = &each.elsewhere
            && !found.contains_key(&index)
        {
            wanted.push(Remaining {
                index,
                book: book.clone(),
                holders: book.holders.clone(),
                refused: None,
            });
        }
    }
    let mut hidden = vec!["symbols", "exchange", "on_stale", "wait_s"];
    if is_arrow {
        hidden.push("exact"); // a message with floats cannot be made exact
    }
    let mut ask = Batch {
        cluster,
        query: call.query.without(&hidden),
        most: Question::USUAL,
    };
    ask.rounds(&mut wanted, found).await;
    wanted.retain(|each| chosen[each.index].here.is_none());
    if (patience.policy.serve_stale || patience.most.is_some()) && !wanted.is_empty() {
        hidden.retain(|name| !["on_stale", "wait_s"].contains(name));
        ask.query = call.query.without(&hidden);
        ask.most += patience.most.unwrap_or(Duration::ZERO);
        for each in &mut wanted {
            each.holders.clone_from(&each.book.holders);
        }
        ask.rounds(&mut wanted, found).await;
    }
    for each in wanted {
        let why = each
            .refused
            .unwrap_or_else(|| unanswered(&each.book, &[]).into());
        found.insert(each.index, Found::Missing(why));
    }
    Ok(())
}

/// A book that is still to be read.
struct Remaining {
    index: usize,
    book: Arc<ClusterBook>,
    /// Those that were not asked yet.
    holders: Vec<Holder>,
    /// What the last one said.
    refused: Option<Absence>,
}

/// Requests for many books.
struct Batch<'a> {
    cluster: &'a Cluster,
    /// Parameters besides the names.
    query: String,
    most: Duration,
}

/// The answer of a node.
#[derive(Deserialize)]
struct Books<'a> {
    #[serde(borrow)]
    books: Vec<&'a RawValue>,
    #[serde(borrow)]
    missing: Vec<MissingBook<'a>>,
}

#[derive(Deserialize)]
struct MissingBook<'a> {
    #[serde(borrow)]
    book: Cow<'a, str>,
    #[serde(borrow)]
    error: &'a RawValue,
}

impl Batch<'_> {
    /// Ask until every book is found, or no holder is left. Each round asks one more holder of each book.
    async fn rounds(&self, wanted: &mut Vec<Remaining>, found: &mut HashMap<usize, Found>) {
        while wanted.iter().any(|each| !each.holders.is_empty()) {
            let parts = parts(std::mem::take(wanted), wanted);
            let mut running: FuturesUnordered<_> =
                parts.into_iter().map(|part| self.ask(part)).collect();
            while let Some((part, outcome)) = running.next().await {
                wanted.extend(sort(part, outcome, found));
            }
        }
        wanted.sort_by_key(|each| each.index);
    }

    /// Ask for books that have the same holders.
    async fn ask(&self, part: Vec<Remaining>) -> (Vec<Remaining>, Outcome) {
        let names: Vec<String> = part.iter().map(|each| each.book.name()).collect();
        let query = form_urlencoded::Serializer::new(self.query.clone())
            .append_pair("symbols", &names.join(","))
            .finish();
        let question = Question {
            target: format!("/v1/books?{query}"),
            headers: HeaderMap::new(),
            most: self.most,
            may_be_bad: false,
        };
        let books: Vec<_> = part.iter().map(|each| each.book.clone()).collect();
        let holders = &part[0].holders;
        let outcome = self.cluster.ask(&books, holders, &question).await;
        (part, outcome)
    }
}

/// Requests: each of books with the same holders, and as long as heads of requests may be. What has no holder left is
/// `over`.
fn parts(wanted: Vec<Remaining>, over: &mut Vec<Remaining>) -> Vec<Vec<Remaining>> {
    /// Of the names, encoded: a server takes heads of 16 KiB.
    const MOST_BYTES: usize = 12 << 10;
    let mut groups: HashMap<Vec<Holder>, Vec<Remaining>> = HashMap::new();
    for each in wanted {
        match each.holders.is_empty() {
            true => over.push(each),
            false => groups.entry(each.holders.clone()).or_default().push(each),
        }
    }
    let mut parts = Vec::new();
    for group in groups.into_values() {
        let (mut part, mut bytes) = (Vec::new(), 0);
        for each in group {
            let name = each.book.name();
            let encoded = form_urlencoded::byte_serialize(name.as_bytes());
            let more = encoded.map(str::len).sum::<usize>() + "%2C".len();
            if bytes + more > MOST_BYTES && !part.is_empty() {
                parts.push(std::mem::take(&mut part));
                bytes = 0;
            }
            bytes += more;
            part.push(each);
        }
        parts.push(part);
    }
    parts
}

/// Take what an answer has; what is still wanted, of others.
fn sort(
    mut part: Vec<Remaining>,
    outcome: Outcome,
    found: &mut HashMap<usize, Found>,
) -> Vec<Remaining> {
    let Outcome::Answered(Answer { node, body, .. }) = outcome else {
        part.iter_mut().for_each(|each| each.holders.clear()); // all were asked
        return part;
    };
    let parsed: Option<Books<'_>> = serde_json::from_slice(&body).ok();
    let Some(Books { books, missing }) =
        parsed.filter(|got| got.books.len() + got.missing.len() == part.len())
    else {
        part.iter_mut()
            .for_each(|each| each.holders.retain(|holder| holder.node != node));
        return part;
    };
    // Books come in the order in which they were asked for, without those that are missing.
    let mut missing: HashMap<&str, &RawValue> = missing
        .iter()
        .map(|each| (&*each.book, each.error))
        .collect();
    let mut books = books.into_iter();
    part.retain_mut(|each| {
        if let Some(error) = missing.remove(each.book.name().as_str()) {
            each.refused = Some(Absence::Elsewhere(error.to_owned()));
            each.holders.retain(|holder| holder.node != node);
            return true;
        }
        if let Some(message) = books.next() {
            found.insert(each.index, Found::Elsewhere(message.to_owned()));
        }
        false
    });
    part
}

/// Whether the sender names Arrow among what it accepts.
fn wants_arrow(call: &Call<'_>) -> bool {
    let mut accepted = call.request.headers.get_all(ACCEPT).iter();
    accepted.any(|header| {
        let text = header.to_str().unwrap_or_default();
        text.split(',')
            .filter_map(|each| each.split(';').next())
            .any(|kind| kind.trim().eq_ignore_ascii_case(ARROW))
    })
}

#[cfg(test)]
mod tests {
    use depthcache_book::status::Status;
    use http::StatusCode;

    use super::*;

    fn wanted(index: usize, symbol: &str, nodes: &[&str]) -> Remaining {
        let holders: Vec<Holder> = nodes
            .iter()
            .map(|node| Holder {
                node: (*node).into(),
                address: "127.0.0.1:1".into(),
            })
            .collect();
        let book = ClusterBook {
            exchange: "x".into(),
            symbol: symbol.into(),
            holders: holders.clone(),
            status: Status::Synced,
            reason: String::new(),
        };
        Remaining {
            index,
            book: Arc::new(book),
            holders,
            refused: None,
        }
    }

    fn answered(body: &'static str) -> Outcome {
        Outcome::Answered(Answer {
            node: "a".into(),
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: body.into(),
        })
    }

    #[test]
    fn books_with_the_same_holders_share_requests_that_are_not_too_long() {
        let long = "Y".repeat(1_000);
        let mut all: Vec<Remaining> = (0..20)
            .map(|index| wanted(index, &long, &["a", "b"]))
            .collect();
        all.push(wanted(20, "B", &["b", "a"]));
        all.push(wanted(21, "C", &[]));
        let mut over = Vec::new();
        let mut parts: Vec<usize> = parts(all, &mut over).iter().map(Vec::len).collect();
        parts.sort_unstable();
        assert_eq!((parts, over.len()), (vec![1, 8, 12], 1));
    }

    #[test]
    fn an_answer_is_put_where_it_belongs() {
        let part = || ["A", "B", "C"].map(|symbol| wanted(5, symbol, &["a", "b"]));
        let part = || {
            part()
                .into_iter()
                .zip(5..)
                .map(|(each, index)| Remaining { index, ..each })
        };
        let mut found = HashMap::new();
        let body = r#"{"books":[{"n":1},{"n":3}],"missing":[{"book":"x/B","error":{"code":"y"}}]}"#;
        let left = sort(part().collect(), answered(body), &mut found);
        let texts = [5, 7].map(|index| match &found[&index] {
            Found::Elsewhere(message) => message.get().to_owned(),
            _ => String::new(),
        });
        assert_eq!(texts, [r#"{"n":1}"#, r#"{"n":3}"#]);
        assert_eq!(
            (left.len(), left[0].index, left[0].holders.len()),
            (1, 6, 1)
        );
        for (outcome, holders) in [
            (answered("[]"), 1),
            (answered(r#"{"books":[{"n":1}],"missing":[]}"#), 1),
            (Outcome::Silent(Vec::new()), 0),
        ] {
            let left = sort(part().collect(), outcome, &mut HashMap::new());
            assert_eq!((left.len(), left[0].holders.len()), (3, holders));
        }
    }
}

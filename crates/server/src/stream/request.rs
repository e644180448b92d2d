//! What clients ask for: parsed once, refused with the name of the field, its value and what is allowed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use depthcache_book::follow::{Mode, OnStale};
use depthcache_book::query::Number;
use depthcache_wire::Numbers;
use serde_json::{Map, Value};

use crate::cluster::ClusterBook;
use crate::following;
use crate::parameters::{GROUP, Pattern, USUAL_LEVELS, parse_group, renamed};
use crate::problem::{Problem, shortened};
use crate::registry::{Book, Registry};
use crate::shared::Shared;
use crate::views::{MODES, View};

/// The fields of a subscription.
pub const FIELDS: [&str; 10] = [
    "symbols",
    "mode",
    "levels",
    "group",
    "interval_ms",
    "on_stale",
    "exact",
    "resume",
    "server",
    "complete",
];

/// What is subscribed to.
#[derive(Debug)]
pub struct SubscriptionSpec {
    pub selectors: Selectors,
    pub view: View,
    pub resume: Resumed,
    /// The server that gave the ids to resume from.
    pub server: Option<String>,
    /// The last messages of all books that resume were `complete`.
    pub is_complete: bool,
}

/// The ids from which books resume.
#[derive(Debug, Default)]
pub enum Resumed {
    /// None resumes.
    #[default]
    Nothing,
    /// Of the one book that is subscribed to.
    One(i64),
    /// By `EXCHANGE/SYMBOL`.
    Many(HashMap<String, i64>),
}

/// The books that are meant: names and patterns.
#[derive(Debug, Default)]
pub struct Selectors {
    /// As they were given.
    pub given: Vec<String>,
    names: HashSet<(Arc<str>, Arc<str>)>,
    patterns: Vec<(Option<Pattern>, Pattern)>,
}

impl Selectors {
    /// A name must be held, on one exchange only; a pattern may match nothing yet.
    fn parse(given: Vec<String>, registry: &Registry) -> Result<Selectors, Problem> {
        /// Names are looked up; each pattern is compared with every book that comes.
        const MOST: usize = 1_000;
        const MOST_PATTERNS: usize = 16;
        let refused =
            |given: &[String], allowed| Problem::parameter("symbols", &given.join(","), allowed);
        if given.is_empty() || given.len() > MOST {
            return Err(refused(&given, format!("1 to {MOST} names or patterns")));
        }
        let mut selectors = Selectors::default();
        for (index, text) in given.iter().enumerate() {
            let (exchange, symbol) = match text.split_once('/') {
                Some((exchange, symbol)) => (Some(registry.exchange(exchange)), symbol),
                None => (None, &**text),
            };
            let exchange = exchange.as_deref();
            let pattern = |text| Pattern::parse("symbols", text);
            let parsed = (exchange.map(pattern).transpose()?, pattern(symbol)?);
            if Pattern::is_in(text) {
                selectors.patterns.push(parsed);
            } else {
                let book = registry.find(exchange, symbol, index == 0)?;
                let name = (book.exchange.clone(), book.symbol.clone());
                selectors.names.insert(name);
            }
        }
        if selectors.patterns.len() > MOST_PATTERNS {
            return Err(refused(&given, format!("{MOST_PATTERNS} patterns at most")));
        }
        selectors.given = given;
        Ok(selectors)
    }

    /// Whether a book is meant.
    pub fn match_any(&self, book: &Book) -> bool {
        let is_named = || {
            let name = (book.exchange.clone(), book.symbol.clone());
            !self.names.is_empty() && self.names.contains(&name)
        };
        is_named() || self.match_pattern(&book.exchange, &book.symbol)
    }

    /// Whether a book is meant by a pattern.
    pub fn match_pattern(&self, exchange: &str, symbol: &str) -> bool {
        self.patterns.iter().any(|(of_exchange, of_symbol)| {
            let is_of = |pattern: &Pattern| pattern.matches(exchange);
            of_exchange.as_ref().is_none_or(is_of) && of_symbol.matches(symbol)
        })
    }

    /// How many patterns there are: each is compared with every book.
    pub fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Whether one book is meant, and no pattern.
    fn is_one(&self) -> bool {
        self.patterns.is_empty() && self.names.len() == 1
    }
}

impl SubscriptionSpec {
    /// A subscription as JSON, or as the parameters of a query.
    pub fn parse(
        fields: &Map<String, Value>,
        registry: &Registry,
    ) -> Result<SubscriptionSpec, Problem> {
        let selectors = Selectors::parse(names(fields.get("symbols"))?, registry)?;
        Ok(SubscriptionSpec {
            view: view(fields)?,
            resume: resume(fields.get("resume"), &selectors, registry)?,
            server: match fields.get("server") {
                None | Some(Value::Null) => None,
                Some(Value::String(server)) => Some(server.clone()),
                Some(other) => return Err(refused("server", other, "text")),
            },
            is_complete: fields.get("complete").map_or(Ok(false), |value| {
                flag(value).ok_or_else(|| refused("complete", value, "true or false"))
            })?,
            selectors,
        })
    }

    /// The id from which a book resumes.
    pub fn resume_of(&self, book: &Book) -> Option<i64> {
        match &self.resume {
            Resumed::Nothing => None,
            Resumed::One(id) => Some(*id),
            Resumed::Many(ids) => ids.get(&book.name()).copied(),
        }
    }
}

/// The books of a subscription that other nodes hold and that must be begun here first.
pub fn unfollowed(
    fields: &Map<String, Value>,
    shared: &Shared,
) -> Result<Vec<Arc<ClusterBook>>, Problem> {
    if shared.cluster.is_none() {
        return Ok(Vec::new());
    }
    let has_levels = fields.get("mode").and_then(Value::as_str) != Some("status");
    following::unfollowed(shared, &names(fields.get("symbols"))?, has_levels)
}

fn view(fields: &Map<String, Value>) -> Result<View, Problem> {
    let modes = || MODES.map(|(word, _)| word).join(", ");
    let mode = match fields.get("mode") {
        None => Mode::Latest,
        Some(value) => value
            .as_str()
            .and_then(Mode::parse)
            .ok_or_else(|| refused("mode", value, &modes()))?,
    };
    let has_levels = !matches!(mode, Mode::Best | Mode::Status);
    for (name, is_used) in [
        ("levels", has_levels),
        ("group", has_levels),
        ("interval_ms", mode == Mode::Interval),
    ] {
        if let Some(value) = fields.get(name).filter(|_| !is_used) {
            return Err(refused(name, value, "nothing with this mode"));
        }
    }
    Ok(View {
        mode,
        levels: match mode {
            Mode::Best => 1,
            Mode::Status => 0,
            _ => levels(fields.get("levels"))?,
        },
        group: fields.get("group").map(group).transpose()?,
        interval_ms: match mode {
            Mode::Interval => interval_ms(fields.get("interval_ms"))?,
            _ => 0,
        },
        on_stale: match fields.get("on_stale") {
            None => OnStale::Raise,
            Some(value) => value
                .as_str()
                .and_then(OnStale::parse)
                .ok_or_else(|| refused("on_stale", value, "raise, serve or wait"))?,
        },
        numbers: match fields.get("exact") {
            None => Numbers::Text,
            Some(value) => match flag(value) {
                Some(true) => Numbers::Text,
                Some(false) => Numbers::Float,
                None => return Err(refused("exact", value, "true or false")),
            },
        },
    })
}

/// True or false, also as text.
fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(word) => word.parse().ok(),
        _ => None,
    }
}

fn levels(value: Option<&Value>) -> Result<usize, Problem> {
    const MOST: u64 = 100_000;
    let Some(value) = value else {
        return Ok(USUAL_LEVELS);
    };
    if value == "all" {
        return Ok(usize::MAX);
    }
    let found = whole(value).filter(|levels| (1..=MOST).contains(levels));
    let found = found.and_then(|levels| usize::try_from(levels).ok());
    found.ok_or_else(|| refused("levels", value, &format!("1 to {MOST}, or all")))
}

fn interval_ms(value: Option<&Value>) -> Result<u32, Problem> {
    const USUAL: u32 = 1_000;
    const MOST: u64 = 3_600_000;
    let Some(value) = value else {
        return Ok(USUAL);
    };
    let found = whole(value).filter(|interval| (1..=MOST).contains(interval));
    let found = found.and_then(|interval| u32::try_from(interval).ok());
    found.ok_or_else(|| refused("interval_ms", value, &format!("1 to {MOST}")))
}

fn group(value: &Value) -> Result<Number, Problem> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    parse_group(&text).ok_or_else(|| refused("group", value, GROUP))
}

fn names(value: Option<&Value>) -> Result<Vec<String>, Problem> {
    let allowed = "a list of names or patterns: SYMBOL or EXCHANGE/SYMBOL, with * and ?";
    match value {
        Some(Value::String(text)) => Ok(text.split(',').map(str::to_owned).collect()),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| match name {
                Value::String(name) => Ok(name.clone()),
                other => Err(refused("symbols", other, allowed)),
            })
            .collect(),
        Some(other) => Err(refused("symbols", other, allowed)),
        None => Err(refused("symbols", &Value::Null, allowed)),
    }
}

/// Ids by book; the name may be left out where one book is subscribed to.
fn resume(
    value: Option<&Value>,
    selectors: &Selectors,
    registry: &Registry,
) -> Result<Resumed, Problem> {
    let allowed = "the id of the last message of one book, or an object of ids by EXCHANGE/SYMBOL";
    let id = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    };
    match value {
        None | Some(Value::Null) => Ok(Resumed::Nothing),
        Some(Value::Object(ids)) => {
            let ids = ids.iter().map(|(name, value)| {
                let id = id(value).ok_or_else(|| refused("resume", value, allowed))?;
                let book = name.split_once('/').and_then(|(exchange, symbol)| {
                    registry.find(Some(exchange), symbol, false).ok()
                });
                let name = book.map_or_else(|| name.clone(), |book| book.name());
                Ok((name, id))
            });
            ids.collect::<Result<_, Problem>>().map(Resumed::Many)
        }
        Some(value) => match id(value).filter(|_| selectors.is_one()) {
            Some(id) => Ok(Resumed::One(id)),
            None => Err(refused("resume", value, allowed)),
        },
    }
}

/// A whole number, also as text: queries have only text.
pub fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// A field that cannot work.
pub fn refused(name: &str, value: &Value, allowed: &str) -> Problem {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Problem::parameter(name, &shortened(&text), allowed)
}

/// Fields that are not known are refused, not skipped: a misspelled one would silently change what is sent.
pub fn check_names(fields: &Map<String, Value>, known: &[&str]) -> Result<(), Problem> {
    let unknown = fields.iter().find(|(name, _)| !known.contains(&&***name));
    match unknown {
        None => Ok(()),
        Some((name, value)) => {
            let allowed = renamed(name, |other| known.contains(&other))
                .unwrap_or_else(|| format!("the fields {}", known.join(", ")));
            Err(refused(name, value, &allowed))
        }
    }
}

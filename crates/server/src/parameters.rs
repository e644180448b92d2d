//! Parameters of a request: parsed once, each refused with its name, its value and what is allowed.

use std::time::Duration;

use depthcache_book::codec::json;
use depthcache_book::query::{Number, ReadPolicy};
use depthcache_wire::Numbers;
use depthcache_wire::writer::Object;

use crate::problem::{Problem, shortened};
use crate::table::{ParameterLocation, Route};
use crate::waiting::Patience;

/// Levels a side where a request says nothing.
pub const USUAL_LEVELS: usize = 20;

/// The parameters of a query, each known to the route and given once.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Read a query. Parameters that the route does not have are refused, not skipped: a misspelled one would
    /// silently change the answer.
    pub fn parse(route: &Route, query: Option<&str>) -> Result<Query, Problem> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let in_query = || {
                route
                    .parameters
                    .iter()
                    .filter(|each| each.location == ParameterLocation::Query)
            };
            if !in_query().any(|each| each.name == name) {
                let names: Vec<&str> = in_query().map(|each| each.name).collect();
                let allowed = match renamed(&name, |other| names.contains(&other)) {
                    Some(hint) => hint,
                    None if names.is_empty() => "no parameters".to_owned(),
                    None => format!("the parameters {}", names.join(", ")),
                };
                return Err(Problem::parameter(&name, &value, allowed));
            }
            if found.iter().any(|(known, _)| *known == name) {
                return Err(Problem::parameter(&name, &value, "one value, given once"));
            }
            found.push((name.into_owned(), value.into_owned()));
        }
        Ok(Query(found))
    }

    /// The parameters as a JSON object of texts; empty without any.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.0.is_empty() {
            let mut object = Object::begin(&mut out);
            for (name, value) in &self.0 {
                object.text(name, value);
            }
            object.end();
        }
        out
    }

    /// The query again, without some of its parameters.
    pub fn without(&self, names: &[&str]) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            if !names.contains(&name.as_str()) {
                out.append_pair(name, value);
            }
        }
        out.finish()
    }

    /// The same without some of its parameters.
    pub fn dropping(&self, names: &[&str]) -> Query {
        let kept = self.0.iter();
        let kept = kept.filter(|(name, _)| !names.contains(&name.as_str()));
        Query(kept.cloned().collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// `levels`: `usize::MAX` for all.
    pub fn levels(&self) -> Result<usize, Problem> {
        match self.get("levels") {
            None => Ok(USUAL_LEVELS),
            Some("all") => Ok(usize::MAX),
            Some(text) => whole(text).ok_or_else(|| {
                Problem::parameter("levels", text, "a whole number, 0 or more, or all")
            }),
        }
    }

    /// `exact`: prices and quantities as text with every digit, or as floats.
    pub fn numbers(&self) -> Result<Numbers, Problem> {
        match self.get("exact") {
            None | Some("true") => Ok(Numbers::Text),
            Some("false") => Ok(Numbers::Float),
            Some(text) => Err(Problem::parameter("exact", text, "true or false")),
        }
    }

    /// `on_stale`, `max_age` and `wait_s`.
    pub fn patience(&self) -> Result<Patience, Problem> {
        const USUAL_S: f64 = 5.0;
        const MOST_S: f64 = 30.0;
        let policy = self.policy()?;
        let is_waiting = self.get("on_stale") == Some("wait");
        let wait_s = match self.get("wait_s") {
            Some(text) if !is_waiting => {
                return Err(Problem::parameter(
                    "wait_s",
                    text,
                    "nothing without on_stale=wait",
                ));
            }
            None => USUAL_S,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| *seconds > 0.0 && *seconds <= MOST_S)
                .ok_or_else(|| {
                    let allowed = format!("seconds above 0, {MOST_S} at most");
                    Problem::parameter("wait_s", text, allowed)
                })?,
        };
        Ok(Patience {
            policy,
            most: is_waiting.then(|| Duration::from_secs_f64(wait_s)),
        })
    }

    /// `on_stale` and `max_age`.
    pub fn policy(&self) -> Result<ReadPolicy, Problem> {
        let serve_stale = match self.get("on_stale") {
            None | Some("raise" | "wait") => false,
            Some("serve") => true,
            Some(text) => {
                let allowed =
                    "raise (status 425), serve (the last known book) or wait (wait_s at most)";
                return Err(Problem::parameter("on_stale", text, allowed));
            }
        };
        let max_age_ns = match self.get("max_age") {
            None => None,
            Some(text) => {
                let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
                let allowed = "seconds above 0";
                let seconds =
                    seconds.ok_or_else(|| Problem::parameter("max_age", text, allowed))?;
                seconds.is_finite().then_some((seconds * 1e9) as i64)
            }
        };
        Ok(ReadPolicy {
            serve_stale,
            max_age_ns,
        })
    }

    /// A count with a default and a range.
    pub fn count(&self, name: &str, usual: usize, most: usize) -> Result<usize, Problem> {
        match self.get(name) {
            None => Ok(usual),
            Some(text) => whole(text)
                .filter(|count| (1..=most).contains(count))
                .ok_or_else(|| Problem::parameter(name, text, format!("1 to {most}"))),
        }
    }

    /// A size above 0.
    pub fn size(&self, name: &str) -> Result<Option<Number>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let found = json::decimal(text.as_bytes())
            .ok()
            .filter(|found| found.mantissa > 0);
        let number = found.map(|found| Number {
            mantissa: found.mantissa,
            scale: found.scale,
        });
        let allowed = "a number above 0 and below 10^20, of at most 18 decimals";
        number
            .map(Some)
            .ok_or_else(|| Problem::parameter(name, text, allowed))
    }

    /// A parameter that must be there.
    pub fn needed(&self, name: &str, allowed: &str) -> Result<&str, Problem> {
        self.get(name)
            .ok_or_else(|| Problem::parameter(name, "", allowed))
    }
}

/// What is allowed instead of a parameter that was renamed.
pub fn renamed(name: &str, is_known: impl Fn(&'static str) -> bool) -> Option<String> {
    const RENAMED: [(&str, &str); 1] = [("size", "group")];
    let (_, now) = RENAMED
        .into_iter()
        .find(|(former, now)| *former == name && is_known(now))?;
    Some(format!("nothing: it is called {now}"))
}

/// What `group` may be.
pub const GROUP: &str = "a number above 0 and below 10^19, of at most 18 decimals; best as text";

/// The price step of groups; None if the text is not one. 0.50 and 0.5 are the same.
pub fn parse_group(text: &str) -> Option<Number> {
    const MOST_DIGITS: u32 = 19;
    // Its multiples must be numbers as well.
    let is_usable = |mantissa: i128, scale: u8| {
        mantissa > 0 && mantissa < 10i128.pow(MOST_DIGITS + u32::from(scale))
    };
    let found = json::decimal(text.as_bytes())
        .ok()
        .filter(|found| is_usable(found.mantissa, found.scale))?;
    let (mut mantissa, mut scale) = (found.mantissa, found.scale);
    while scale > 0 && mantissa % 10 == 0 {
        (mantissa, scale) = (mantissa / 10, scale - 1);
    }
    Some(Number { mantissa, scale })
}

fn whole(text: &str) -> Option<usize> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().unwrap_or(usize::MAX))
}

/// A pattern of names: `*` for any text, `?` for any character; in any case.
#[derive(Debug)]
pub struct Pattern(Vec<char>);

impl Pattern {
    /// A pattern of at most so many characters, which bounds the work of a match.
    pub fn parse(name: &str, text: &str) -> Result<Pattern, Problem> {
        const MOST: usize = 128;
        let pattern: Vec<char> = text.to_uppercase().chars().collect();
        if pattern.is_empty() || pattern.len() > MOST {
            let allowed = format!("a name or a pattern with * and ?, 1 to {MOST} characters");
            return Err(Problem::parameter(name, &shortened(text), allowed));
        }
        Ok(Pattern(pattern))
    }

    /// Whether a text has wildcards.
    pub fn is_in(text: &str) -> bool {
        text.contains(['*', '?'])
    }

    /// Whether a whole name matches. Linear in the name for each star: only the last star is tried again.
    pub fn matches(&self, name: &str) -> bool {
        if name.is_ascii() {
            let name = name.as_bytes();
            return self.matches_all(name.len(), |at| name[at].to_ascii_uppercase().into());
        }
        let name: Vec<char> = name.to_uppercase().chars().collect();
        self.matches_all(name.len(), |at| name[at])
    }

    fn matches_all(&self, len: usize, char_at: impl Fn(usize) -> char) -> bool {
        let (mut at, mut within) = (0, 0);
        let mut last_star = None;
        while at < len {
            match self.0.get(within) {
                Some('*') => {
                    last_star = Some((within, at));
                    within += 1;
                }
                Some(each) if *each == '?' || *each == char_at(at) => {
                    (at, within) = (at + 1, within + 1);
                }
                _ => match last_star {
                    Some((star, from)) => {
                        last_star = Some((star, from + 1));
                        (at, within) = (from + 1, star + 1);
                    }
                    None => return false,
                },
            }
        }
        self.0[within..].iter().all(|each| *each == '*')
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::table::ROUTES;

    fn query(text: &str) -> Result<Query, Problem> {
        let route = ROUTES
            .iter()
            .find(|route| route.path == "/v1/books/{exchange}/{symbol}");
        Query::parse(route.expect("it is in the table"), Some(text))
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let query = query("").expect("nothing is fine");
        assert_eq!(query.levels().expect("default"), USUAL_LEVELS);
        assert_eq!(query.numbers().expect("default"), Numbers::Text);
        assert_eq!(query.policy().expect("default"), ReadPolicy::default());
    }

    #[test]
    fn values_are_read() {
        let query = query("levels=5&exact=false&on_stale=serve&max_age=2.5").expect("all known");
        assert_eq!(query.levels().expect("fine"), 5);
        assert_eq!(query.numbers().expect("fine"), Numbers::Float);
        let policy = query.policy().expect("fine");
        assert!(policy.serve_stale);
        assert_eq!(policy.max_age_ns, Some(2_500_000_000));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for text in [
            "levels=-1",
            "levels=",
            "levels=1e3",
            "levels=+5",
            "levels=٣",
        ] {
            let problem = query(text).expect("known").levels().expect_err(text);
            assert_eq!(problem.status, StatusCode::BAD_REQUEST);
        }
        for text in ["max_age=0", "max_age=-1", "max_age=nan", "on_stale=later"] {
            query(text).expect("known").policy().expect_err(text);
        }
        for text in [
            "wait_s=1",
            "on_stale=wait&wait_s=0",
            "on_stale=wait&wait_s=31",
        ] {
            query(text).expect("known").patience().expect_err(text);
        }
        query("exact=1")
            .expect("known")
            .numbers()
            .expect_err("no word");
        query("level=5").expect_err("a misspelled name");
        query("levels=5&levels=6").expect_err("given twice");
    }

    #[test]
    fn a_count_too_large_for_a_machine_word_means_all() {
        let text = "levels=99999999999999999999999999";
        assert_eq!(
            query(text).expect("known").levels().expect("fine"),
            usize::MAX
        );
    }

    #[test]
    fn patterns_match_whole_names() {
        let matches = |pattern: &str, name: &str| {
            Pattern::parse("symbol", pattern)
                .expect("a pattern")
                .matches(name)
        };
        for (pattern, name) in [
            ("*", "BTCUSDT"),
            ("btc*", "BTCUSDT"),
            ("*usdt", "BTCUSDT"),
            ("B?CUSDT", "BTCUSDT"),
            ("*U*D*", "BTCUSDT"),
            ("币*", "币安人生USDT"),
            ("**", ""),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("btc", "BTCUSDT"),
            ("*usd", "BTCUSDT"),
            ("?", ""),
            ("BTC?", "BTC"),
            ("*A*", "BTCUSDT"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        Pattern::parse("symbol", "").expect_err("empty");
        Pattern::parse("symbol", &"*".repeat(129)).expect_err("too long");
    }
}

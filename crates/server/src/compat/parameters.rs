//! Parameters as old clients send them: any order, any more of them, each once or the first counts.

use depthcache_book::codec::json;
use depthcache_book::query::Number;
use depthcache_wire::writer::{Object, string};

/// The parameters of a query.
#[derive(Debug, Default)]
pub struct Given(Vec<(String, String)>);

impl Given {
    pub fn parse(query: Option<&str>) -> Given {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Given(pairs.into_owned().collect())
    }

    /// A parameter that says something.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Whether the sender wants times and places.
    pub fn debug(&self) -> bool {
        self.get("debug").is_some_and(|word| word == "true")
    }

    /// `limit_count`: levels, or from the end where it is negative, as Python slices. `Err`: its value.
    pub fn limit(&self) -> Result<Option<i64>, &str> {
        let Some(text) = self.get("limit_count") else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| text)
    }

    /// `threshold_volume`: the value of the levels, in the quote asset. `Err`: its value.
    pub fn threshold(&self) -> Result<Option<Number>, &str> {
        /// More than the value of any side.
        const EVERYTHING: f64 = 1e20;
        let Some(text) = self.get("threshold_volume") else {
            return Ok(None);
        };
        let value: f64 = text.parse().map_err(|_| text)?;
        if value.is_nan() {
            return Err(text);
        }
        if value >= EVERYTHING {
            return Ok(None);
        }
        if value <= 0.0 {
            let (mantissa, scale) = (0, 0);
            return Ok(Some(Number { mantissa, scale }));
        }
        // As it is written, and with 8 decimals where it is written in another way than JSON does.
        let number = json::decimal(text.as_bytes())
            .or_else(|_| json::decimal(format!("{value:.8}").as_bytes()))
            .map_err(|_| text)?;
        let (mantissa, scale) = (number.mantissa, number.scale);
        Ok(Some(Number { mantissa, scale }))
    }

    /// All of them as an object of strings; the first of a name counts.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut is_empty = true;
        out.push(b'{');
        for (index, (name, value)) in self.0.iter().enumerate() {
            if self.0[..index].iter().any(|(known, _)| known == name) {
                continue;
            }
            if !std::mem::take(&mut is_empty) {
                out.push(b',');
            }
            string(&mut out, name);
            out.push(b':');
            string(&mut out, value);
        }
        out.push(b'}');
        out
    }
}

/// The object that an answer adds for `debug=true`.
pub fn write_debug(mut debug: Object<'_>, took_s: f64, url: &str, node: &str) {
    debug.float("cluster_execution_time", Some(took_s));
    debug.integer("request_time", 0);
    debug.integer("transmission_time", 0);
    debug.text("url", url);
    let out = debug.key("used_pods");
    out.extend_from_slice(b"[[\"depthcache\",");
    string(out, node);
    out.extend_from_slice(b"]]");
    debug.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_name_counts_and_empty_ones_do_not() {
        let given = Given::parse(Some("market=A&market=B&exchange=&x=%22"));
        assert_eq!(given.get("market"), Some("A"));
        assert_eq!(given.get("exchange"), None);
        assert_eq!(given.to_json(), br#"{"market":"A","exchange":"","x":"\""}"#);
    }

    #[test]
    fn numbers_are_read_or_named() {
        let given = |text: &str| Given::parse(Some(text));
        assert_eq!(given("").limit(), Ok(None));
        assert_eq!(given("limit_count=-2").limit(), Ok(Some(-2)));
        assert_eq!(given("limit_count=abc").limit(), Err("abc"));
        assert_eq!(given("threshold_volume=nan").threshold(), Err("nan"));
        assert_eq!(given("threshold_volume=1e30").threshold(), Ok(None));
        for (text, mantissa, scale) in [("0.5", 5, 1), ("+.5", 50_000_000, 8), ("-1", 0, 0)] {
            let given = given(&format!("threshold_volume={}", text.replace('+', "%2B")));
            let found = given.threshold();
            let expected = Number { mantissa, scale };
            assert!(
                found.is_ok_and(|found| found.is_some_and(|found| found.is_same(expected))),
                "{text}"
            );
        }
    }
}

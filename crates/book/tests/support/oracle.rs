//! An independent, slow and obvious reader of the same messages, on top of serde_json.
//!
//! It shares no code with the scanner and judges it: the same frames must be accepted, with the
//! same numbers. Used by the tests and by the fuzz targets.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Any JSON value, with keys in their order, duplicates included.
#[derive(Clone, Debug)]
pub enum Json {
    Null,
    Bool,
    Integer(i64),
    OtherNumber,
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Json, E> {
                Ok(Json::Bool)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Json, E> {
                Ok(i64::try_from(value).map_or(Json::OtherNumber, Json::Integer))
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Json, E> {
                Ok(Json::OtherNumber)
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Json, E> {
                Ok(Json::OtherNumber)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Json, E> {
                Ok(Json::Text(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut found = Vec::new();
                while let Some(value) = seq.next_element()? {
                    found.push(value);
                }
                Ok(Json::Array(found))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut found = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "$serde_json::private::Number" {
                        let text: String = map.next_value()?;
                        return Ok(match text.parse::<i64>() {
                            Ok(value) if !text.starts_with('-') => Json::Integer(value),
                            _ => Json::OtherNumber,
                        });
                    }
                    found.push((key, map.next_value()?));
                }
                Ok(Json::Object(found))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A number as its significant digits and the power of ten they are multiplied by.
pub type Number = (String, i64);

/// A diff or snapshot, read slowly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    pub stream: Option<String>,
    pub symbol: String,
    pub ids: (i64, i64, Option<i64>),
    pub event_time_us: Option<i64>,
    pub bids: Vec<(Number, Number)>,
    pub asks: Vec<(Number, Number)>,
}

/// What a frame is: malformed, something else, or a diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    Malformed,
    Other,
    Depth(Depth),
}

/// Nesting of a JSON text, counted outside of strings; objects and arrays alike.
pub fn nesting(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut inside, mut escaped) = (0usize, 0usize, false, false);
    for byte in bytes {
        if inside {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => inside = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => inside = true,
                b'{' | b'[' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    deepest
}

/// Judge a frame.
pub fn frame(bytes: &[u8]) -> Decoded {
    let Ok(Json::Object(top)) = serde_json::from_slice(bytes) else {
        return Decoded::Malformed;
    };
    let last = |name: &str| {
        top.iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    match (last("stream"), last("data")) {
        (Some(Json::Text(stream)), Some(Json::Object(data))) => {
            let kind = stream.split_once('@').map_or("", |(_, kind)| kind);
            if kind == "depth" || kind.starts_with("depth@") {
                diff(&data, Some(stream))
            } else {
                Decoded::Other
            }
        }
        _ => diff(&top, None),
    }
}

fn diff(keys: &[(String, Json)], stream: Option<String>) -> Decoded {
    let all = |name: &str| {
        keys.iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
    };
    if !matches!(all("e").last(), Some(Json::Text(kind)) if kind == "depthUpdate") {
        return Decoded::Other;
    }
    let read = || {
        for name in ["e", "E", "T", "s", "U", "u", "pu", "b", "a"] {
            if all(name).len() > 1 {
                return None;
            }
        }
        let one = |name: &str| all(name).first().copied().cloned();
        let Some(Json::Text(symbol)) = one("s") else {
            return None;
        };
        let (Json::Integer(first), Json::Integer(last)) = (one("U")?, one("u")?) else {
            return None;
        };
        let previous = match one("pu") {
            Some(Json::Integer(id)) => Some(id),
            _ => None,
        };
        let event_time_us = time(one("E"));
        if symbol.is_empty() || first > last {
            return None;
        }
        Some(Depth {
            stream: stream.clone(),
            symbol,
            ids: (first, last, previous),
            event_time_us,
            bids: side(&one("b")?)?,
            asks: side(&one("a")?)?,
        })
    };
    read().map_or(Decoded::Malformed, Decoded::Depth)
}

/// Judge a snapshot.
pub fn snapshot(bytes: &[u8]) -> Decoded {
    let Ok(Json::Object(keys)) = serde_json::from_slice(bytes) else {
        return Decoded::Malformed;
    };
    let read = || {
        let one = |name: &str| {
            let mut found = keys
                .iter()
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value);
            match (found.next(), found.next()) {
                (Some(value), None) => Some(value.clone()),
                _ => None,
            }
        };
        let Json::Integer(id) = one("lastUpdateId")? else {
            return None;
        };
        let event_time_us = if keys.iter().any(|(key, _)| key == "E") {
            time(Some(one("E")?))
        } else {
            None
        };
        Some(Depth {
            stream: None,
            symbol: String::new(),
            ids: (0, id, None),
            event_time_us,
            bids: side(&one("bids")?)?,
            asks: side(&one("asks")?)?,
        })
    };
    read().map_or(Decoded::Malformed, Decoded::Depth)
}

fn time(value: Option<Json>) -> Option<i64> {
    match value {
        Some(Json::Integer(time)) if time >= 100_000_000_000_000_000 => None,
        Some(Json::Integer(time)) if time >= 100_000_000_000_000 => Some(time),
        Some(Json::Integer(time)) if time > 0 => Some(time * 1000),
        _ => None,
    }
}

fn side(value: &Json) -> Option<Vec<(Number, Number)>> {
    let Json::Array(levels) = value else {
        return None;
    };
    levels
        .iter()
        .map(|level| match level {
            Json::Array(pair) => match pair.as_slice() {
                [Json::Text(price), Json::Text(quantity)]
                | [Json::Text(price), Json::Text(quantity), _] => {
                    let price = number(price)?;
                    if price.0.is_empty() {
                        None
                    } else {
                        Some((price, number(quantity)?))
                    }
                }
                _ => None,
            },
            _ => None,
        })
        .collect()
}

/// A number by its text: digits without zeros at either end, and the power of ten.
pub fn number(text: &str) -> Option<Number> {
    let (body, exponent) = match text.find(['e', 'E']) {
        Some(at) => {
            let figures = &text[at + 1..];
            let bare = figures.strip_prefix(['+', '-']).unwrap_or(figures);
            if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let size = bare.trim_start_matches('0');
            let size: i64 = if size.len() > 9 {
                1_000_000_000
            } else {
                format!("0{size}").parse().ok()?
            };
            (
                &text[..at],
                if figures.starts_with('-') {
                    -size
                } else {
                    size
                },
            )
        }
        None => (text, 0),
    };
    let (whole, part) = body.split_once('.').unwrap_or((body, ""));
    let digits = format!("{whole}{part}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(canonical(&digits, exponent - part.len() as i64)).filter(|(digits, power)| {
        digits.is_empty() || (*power >= -18 && digits.len() as i64 + power <= 20)
    })
}

/// Digits without zeros at either end and the power of ten that keeps their value.
pub fn canonical(digits: &str, power: i64) -> Number {
    let trimmed = digits.trim_start_matches('0');
    let bare = trimmed.trim_end_matches('0');
    if bare.is_empty() {
        return (String::new(), 0);
    }
    (bare.to_owned(), power + (trimmed.len() - bare.len()) as i64)
}

//! Diffs of a slower stream: merged from those that are received.
//!
//! A merged diff begins where its first begins (`U`, `pu`) and ends where its last ends; of each price it has the last
//! quantity. Everything else, the order of keys included, is of the last. Diffs are never merged over a hole: its ids
//! would be covered up.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use depthcache_book::codec::json::decimal;
use depthcache_book::market::TappedDiff;
use depthcache_book::message::MAX_SCALE;
use depthcache_wire::writer::string;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Gathers diffs until it is time to send them.
#[derive(Debug)]
pub struct Merger {
    /// Bids fall, as in the diffs of spot; those of futures rise on both sides.
    falls: bool,
    waiting: Vec<TappedDiff>,
}

impl Merger {
    /// `falls`: bids fall, as in the diffs of spot.
    pub fn new(falls: bool) -> Merger {
        Merger {
            falls,
            waiting: Vec::new(),
        }
    }

    /// Forget what waits.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// One more. Diffs that waited before a hole are to be sent now.
    pub fn push(&mut self, diff: TappedDiff) -> Option<Vec<Bytes>> {
        let is_apart = self
            .waiting
            .last()
            .is_some_and(|last| diff.ids.follows > last.ids.last);
        let before = if is_apart { self.take() } else { None };
        self.waiting.push(diff);
        before
    }

    /// What is to be sent: one diff as a rule; all as they came where they cannot be merged.
    pub fn take(&mut self) -> Option<Vec<Bytes>> {
        let waiting = std::mem::take(&mut self.waiting);
        match waiting.as_slice() {
            [] => None,
            [alone] => Some(vec![alone.event.clone()]),
            several => Some(match merge(several, self.falls) {
                Some(merged) => vec![merged.into()],
                None => waiting.into_iter().map(|diff| diff.event).collect(),
            }),
        }
    }
}

/// Keys and values of an event, in their order.
pub struct Keys<'a>(pub Vec<(&'a str, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Keys<'a> {
    fn deserialize<D: Deserializer<'de>>(given: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Keys<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Keys(pairs))
            }
        }

        given.deserialize_map(Pairs)
    }
}

impl<'a> Keys<'a> {
    /// Of an object, where it is one.
    pub fn of(event: &'a [u8]) -> Option<Keys<'a>> {
        serde_json::from_slice(event).ok()
    }

    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(known, _)| *known == key);
        found.map(|(_, value)| *value)
    }
}

/// Price and quantity, in the exchange's digits.
type Level<'a> = (&'a str, &'a str);

/// By price; texts of equal value are one price.
#[derive(Default)]
struct Side<'a>(BTreeMap<i128, Level<'a>>);

impl<'a> Side<'a> {
    fn add(&mut self, levels: &'a RawValue) -> Option<()> {
        let levels: Vec<Level<'a>> = serde_json::from_str(levels.get()).ok()?;
        for level in levels {
            let price = decimal(level.0.as_bytes()).ok()?;
            let power = u32::from(MAX_SCALE.checked_sub(price.scale)?);
            self.0
                .insert(price.mantissa.checked_mul(10i128.pow(power))?, level);
        }
        Some(())
    }

    fn write(&self, out: &mut Vec<u8>, falls: bool) {
        let mut write = |index: usize, (price, quantity): &Level<'_>| {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"[\"");
            out.extend_from_slice(price.as_bytes());
            out.extend_from_slice(b"\",\"");
            out.extend_from_slice(quantity.as_bytes());
            out.extend_from_slice(b"\"]");
        };
        let levels = self.0.values().enumerate();
        match falls {
            true => self
                .0
                .values()
                .rev()
                .enumerate()
                .for_each(|(index, level)| write(index, level)),
            false => levels.for_each(|(index, level)| write(index, level)),
        }
    }
}

/// One diff of several that follow each other; None where one of them is not as the exchange writes it.
fn merge(diffs: &[TappedDiff], falls: bool) -> Option<Vec<u8>> {
    let events: Option<Vec<Keys<'_>>> = diffs.iter().map(|diff| Keys::of(&diff.event)).collect();
    let events = events?;
    let (mut bids, mut asks) = (Side::default(), Side::default());
    for event in &events {
        bids.add(event.get("b")?)?;
        asks.add(event.get("a")?)?;
    }
    let (first, last) = (events.first()?, events.last()?);
    let mut out = Vec::with_capacity(diffs.iter().map(|diff| diff.event.len()).sum());
    out.push(b'{');
    for (index, (key, value)) in last.0.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(&mut out, key);
        out.push(b':');
        match *key {
            "U" | "pu" => out.extend_from_slice(first.get(key)?.get().as_bytes()),
            "b" | "a" => {
                let side = if *key == "b" { &bids } else { &asks };
                out.push(b'[');
                side.write(&mut out, falls && *key == "b");
                out.push(b']');
            }
            _ => out.extend_from_slice(value.get().as_bytes()),
        }
    }
    out.push(b'}');
    Some(out)
}

#[cfg(test)]
mod tests {
    use depthcache_book::market::sequence::Ids;

    use super::*;

    fn diff(follows: i64, last: i64, rest: &str) -> TappedDiff {
        let event = format!(
            r#"{{"e":"depthUpdate","E":{last},"U":{},"u":{last},"pu":{follows},{rest},"st":1}}"#,
            follows + 1
        );
        TappedDiff {
            ids: Ids { follows, last },
            event: event.into(),
        }
    }

    fn sent(events: Option<Vec<Bytes>>) -> Vec<String> {
        let texts = events.into_iter().flatten();
        texts
            .map(|event| String::from_utf8(event.to_vec()).expect("text"))
            .collect()
    }

    #[test]
    fn the_last_quantity_of_each_price_wins_and_ids_are_of_the_ends() {
        let first = diff(
            10,
            15,
            r#""b":[["9.10","1.0"],["10.00","2.0"]],"a":[["11.00","0.0"]]"#,
        );
        let second = diff(15, 19, r#""b":[["10.00","0.0"],["8.00","4.5"]],"a":[]"#);
        for (falls, bids) in [
            (false, r#"["8.00","4.5"],["9.10","1.0"],["10.00","0.0"]"#),
            (true, r#"["10.00","0.0"],["9.10","1.0"],["8.00","4.5"]"#),
        ] {
            let mut merger = Merger::new(falls);
            assert_eq!(merger.push(first.clone()), None);
            assert_eq!(merger.push(second.clone()), None);
            let merged = format!(
                r#"{{"e":"depthUpdate","E":19,"U":11,"u":19,"pu":10,"b":[{bids}],"a":[["11.00","0.0"]],"st":1}}"#
            );
            assert_eq!(sent(merger.take()), [merged]);
            assert_eq!(merger.take(), None);
        }
    }

    #[test]
    fn a_diff_alone_stays_as_it_came() {
        let mut merger = Merger::new(true);
        let only = diff(10, 11, r#""b" : [ ] ,"a":[]"#);
        merger.push(only.clone());
        assert_eq!(merger.take(), Some(vec![only.event]));
    }

    #[test]
    fn a_hole_is_never_merged_over() {
        let mut merger = Merger::new(true);
        let diffs = [
            diff(10, 11, r#""b":[],"a":[]"#),
            diff(11, 12, r#""b":[],"a":[]"#),
        ];
        diffs
            .into_iter()
            .for_each(|diff| assert_eq!(merger.push(diff), None));
        let behind = diff(20, 21, r#""b":[],"a":[]"#);
        let before = sent(merger.push(behind.clone()));
        assert!(before[0].contains(r#""U":11,"u":12,"pu":10"#), "{before:?}");
        assert_eq!(merger.take(), Some(vec![behind.event]));
    }

    #[test]
    fn diffs_that_overlap_are_merged() {
        let mut merger = Merger::new(true);
        merger.push(diff(10, 15, r#""b":[["1.0","1"]],"a":[]"#));
        assert_eq!(
            merger.push(diff(12, 17, r#""b":[["1.0","2"]],"a":[]"#)),
            None
        );
        let merged = sent(merger.take());
        assert!(
            merged[0].contains(r#""U":11,"u":17,"pu":10,"b":[["1.0","2"]]"#),
            "{merged:?}"
        );
    }

    #[test]
    fn what_is_not_as_the_exchange_writes_it_is_sent_as_it_came() {
        let mut merger = Merger::new(true);
        let odd = [
            diff(1, 2, r#""b":[["1.0","1",[]]],"a":[]"#),
            diff(2, 3, r#""b":[],"a":[]"#),
        ];
        odd.iter()
            .for_each(|diff| assert_eq!(merger.push(diff.clone()), None));
        assert_eq!(merger.take(), Some(odd.map(|diff| diff.event).to_vec()));
    }
}

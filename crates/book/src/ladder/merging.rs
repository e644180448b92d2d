//! A side and a fresh copy of it: how they agree, and what the copy proves.

use std::cmp::Ordering;
use std::ops::Add;

use super::{Ladder, Store};

/// How two copies of a side, or of a book, agreed inside the range that both prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Prices compared: those that at least one of both holds.
    pub checked: u64,
    /// Prices that both hold with different quantities.
    pub differing: u64,
    /// Prices that the exchange holds and the book does not.
    pub missing: u64,
    /// Prices that the book holds and the exchange does not.
    pub extra: u64,
}

impl Tally {
    /// How many prices were wrong.
    pub fn wrong(&self) -> u64 {
        self.differing + self.missing + self.extra
    }
}

impl Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally {
            checked: self.checked + other.checked,
            differing: self.differing + other.differing,
            missing: self.missing + other.missing,
            extra: self.extra + other.extra,
        }
    }
}

/// What a merge did to a side.
#[derive(Clone, Copy, Debug)]
pub struct Merged {
    /// How both agreed.
    pub tally: Tally,
    /// The side holds other levels than before.
    pub altered: bool,
}

impl Ladder {
    /// How the side agrees with another copy of it at the same id, where both are proven.
    pub fn compare(&self, fresh: &Ladder) -> Tally {
        self.clone().align(&mut fresh.clone())
    }

    /// The same, with both brought to one scale.
    fn align(&mut self, fresh: &mut Ladder) -> Tally {
        let scales = (
            self.price_scale.max(fresh.price_scale),
            self.quantity_scale.max(fresh.quantity_scale),
        );
        self.rescale_to(scales);
        fresh.rescale_to(scales);
        let Some(edge) = self.range.edge().zip(fresh.range.edge()) else {
            return Tally::default();
        };
        tally(&self.pairs(), &fresh.pairs(), edge.0.max(edge.1))
    }

    /// Take from a fresh copy of the side at the same id what it proves, keep the rest.
    ///
    /// The complete range is the wider of both; where they differed, it is the fresh one alone: what
    /// was lost once may have been lost elsewhere, too.
    pub fn merge(&mut self, mut fresh: Ladder) -> Merged {
        let tally = self.align(&mut fresh);
        let Some(edge) = fresh.range.edge() else {
            return Merged {
                tally,
                altered: false,
            };
        };
        let (news, olds) = (fresh.pairs(), self.pairs());
        let inside = news.into_iter().take_while(|(key, _)| *key >= edge);
        let beyond = olds.iter().copied().skip_while(|(key, _)| *key >= edge);
        let mut pairs: Vec<_> = inside.chain(beyond).collect();
        let altered = pairs != olds;
        pairs.reverse();
        self.store = Store::from_ascending(&pairs);
        let clean = tally.wrong() == 0;
        self.range = if clean {
            self.range.wider(fresh.range)
        } else {
            fresh.range
        };
        Merged { tally, altered }
    }
}

/// Walk two sides, best first, down to `edge`.
fn tally(ours: &[(i128, i128)], theirs: &[(i128, i128)], edge: i128) -> Tally {
    let mut found = Tally::default();
    let proven = |pair: &&(i128, i128)| pair.0 >= edge;
    let mut ours = ours.iter().take_while(proven).peekable();
    let mut theirs = theirs.iter().take_while(proven).peekable();
    loop {
        let order = match (ours.peek(), theirs.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            (Some(own), Some(other)) => own.0.cmp(&other.0),
        };
        found.checked += 1;
        match order {
            Ordering::Greater => {
                ours.next();
                found.extra += 1;
            }
            Ordering::Less => {
                theirs.next();
                found.missing += 1;
            }
            Ordering::Equal => {
                let (own, other) = (ours.next(), theirs.next());
                found.differing += u64::from(own != other);
            }
        }
    }
}

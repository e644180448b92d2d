//! What a message would change of a side.

use std::cmp::Reverse;

use super::{FITS, Factors, Ladder, Store, to_key, to_price};
use crate::mantissa::{Mantissa, power_of_ten};
use crate::message::{Level, SideLevels};
use crate::query::{LevelRun, Mantissas};

impl Ladder {
    /// The levels that a message would change, best first; later entries of one price win. Deletes of
    /// unknown prices and quantities that are held already change nothing.
    pub fn changed_by(&self, levels: &SideLevels) -> LevelRun {
        let price_scale = self.price_scale.max(levels.price_scale);
        let quantity_scale = self.quantity_scale.max(levels.quantity_scale);
        let factors = |price: u8, quantity: u8| Factors {
            price: power_of_ten(price_scale - price),
            quantity: power_of_ten(quantity_scale - quantity),
        };
        let theirs = factors(levels.price_scale, levels.quantity_scale);
        let ours = factors(self.price_scale, self.quantity_scale);
        let narrow = levels.narrow.iter();
        let narrow = narrow.map(|level| (level.price.into(), level.quantity.into()));
        let wide = levels
            .wide
            .iter()
            .map(|level| (level.price, level.quantity));
        let mut pairs: Vec<(i128, i128)> = narrow
            .chain(wide)
            .map(|(price, quantity)| {
                let (price, quantity) = theirs.apply(price, quantity).expect(FITS);
                (to_key(price, self.side), quantity)
            })
            .collect();
        pairs.reverse(); // of one price the last one stays, which now comes first
        pairs.sort_by_key(|(key, _)| Reverse(*key));
        pairs.dedup_by_key(|(key, _)| *key);
        pairs.retain(|(key, quantity)| {
            let known = key % ours.price == 0;
            let held = if known {
                self.quantity(key / ours.price)
            } else {
                0
            };
            held * ours.quantity != *quantity
        });
        let level = |(key, quantity): &(i128, i128)| Level {
            price: to_price(*key, self.side),
            quantity: *quantity,
        };
        let fits: Option<Vec<Level<i64>>> = pairs
            .iter()
            .map(level)
            .map(|level| {
                let (price, quantity) = (i64::narrow(level.price)?, i64::narrow(level.quantity)?);
                Some(Level { price, quantity })
            })
            .collect();
        let mantissas = match fits {
            Some(levels) => Mantissas::Narrow(levels),
            None => Mantissas::Wide(pairs.iter().map(level).collect()),
        };
        LevelRun {
            price_scale,
            quantity_scale,
            mantissas,
            complete: true,
        }
    }

    /// What rests at a key; zero for nothing.
    fn quantity(&self, key: i128) -> i128 {
        match &self.store {
            Store::Narrow(chunks) => i64::narrow(key).map_or(0, |key| chunks.quantity(key).widen()),
            Store::Wide(chunks) => chunks.quantity(key),
        }
    }
}

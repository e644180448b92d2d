//! The ladder in coarser steps: levels summed up to multiples of a group size.
//!
//! Each bid counts at the multiple at or below its price, each ask at the multiple at or above: the
//! grouped prices are never better than what rests there. Of a side, the best so many groups that hold
//! anything.
//!
//! `complete`: all prices of every group that was asked for lie inside the complete range, or the whole side
//! is known.

use super::exact::{Exact, Total};
use crate::mantissa::power_of_ten;
use crate::query::{CompleteTo, Number, Reading, Side};

/// What counts at one multiple.
#[derive(Clone, Debug)]
pub struct Group {
    /// The multiple.
    pub price: Exact,
    /// Σ quantity.
    pub quantity: Exact,
}

/// The groups of one side, best first.
#[derive(Clone, Debug)]
pub struct GroupedSide {
    /// The groups.
    pub groups: Vec<Group>,
    /// Whether every group that was asked for is proven.
    pub complete: bool,
}

/// The best `groups` of a side (`usize::MAX` for all) at multiples of `size`, which is above 0 and below 10^19.
pub fn grouped(book: &dyn Reading, side: Side, size: Number, groups: usize) -> GroupedSide {
    let mut found: Vec<Group> = Vec::new();
    let mut open: Option<(i128, Total)> = None;
    let (mut scale, mut quantity_scale, mut step) = (size.scale, 0u8, size.mantissa);
    let close = |(bucket, total): (i128, Total), scale: u8, quantity_scale: u8, step: i128| Group {
        price: Exact::from(Number {
            mantissa: bucket * step,
            scale,
        }),
        quantity: total.exact(quantity_scale.into()),
    };
    for level in book.iter(side) {
        // All prices of a side have one scale.
        scale = level.price.scale.max(size.scale);
        quantity_scale = level.quantity.scale;
        step = size.mantissa * power_of_ten(scale - size.scale);
        let price = level.price.mantissa * power_of_ten(scale - level.price.scale);
        let bucket = multiple(side, price, step);
        match &mut open {
            Some((held, total)) if *held == bucket => total.add(level.quantity.mantissa),
            _ => {
                if let Some(done) = open.take() {
                    found.push(close(done, scale, quantity_scale, step));
                }
                if found.len() >= groups {
                    break;
                }
                let mut total = Total::default();
                total.add(level.quantity.mantissa);
                open = Some((bucket, total));
            }
        }
    }
    if let Some(done) = open {
        found.push(close(done, scale, quantity_scale, step));
    }
    let complete = match (book.complete_to(side), found.last()) {
        (CompleteTo::Whole, _) => true,
        _ if groups == 0 => true,
        (CompleteTo::Price(edge), Some(last)) if found.len() == groups => match side {
            Side::Bids => !Exact::from(edge).is_above(&last.price),
            Side::Asks => !last.price.is_above(&edge.into()),
        },
        _ => false,
    };
    GroupedSide {
        groups: found,
        complete,
    }
}

/// Which multiple of a step a price counts at.
fn multiple(side: Side, price: i128, step: i128) -> i128 {
    let below = price.div_euclid(step);
    match side {
        Side::Asks if below * step != price => below + 1,
        _ => below,
    }
}

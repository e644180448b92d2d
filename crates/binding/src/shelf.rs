//! Levels that were made for Python, to be used again: from one read to the next most of them are the same.
//!
//! Not here: for how long a result is given again as it is (`kept`).

use depthcache_book::message::Level;
use depthcache_book::query::{LevelRun, Mantissas, NumberLevel};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::raw;
use crate::values::{Classes, LevelKind, classes};

/// So many levels are kept by a side, at most: a book of thousands is not kept for the sake of its next read.
pub const MOST_KEPT: usize = 128;

/// The levels of the last read of a side, as numbers and as objects.
pub struct Shelf {
    run: LevelRun,
    /// The only reference to the list.
    levels: Py<PyList>,
}

/// Levels as objects, made of those on a shelf as far as they are the same; they take its place.
pub fn made<'py>(
    py: Python<'py>,
    shelf: &mut Option<Shelf>,
    run: &LevelRun,
    kind: LevelKind,
) -> PyResult<Bound<'py, PyTuple>> {
    let classes = classes(py)?;
    if run.len() > MOST_KEPT {
        return classes.tuple(py, run, kind);
    }
    // An error in the middle leaves no shelf.
    let Some(held) = shelf.take() else {
        return fresh(py, shelf, run, kind);
    };
    let levels = held.levels.into_bound(py);
    let Some(change) = Change::new(&held.run, run) else {
        return fresh(py, shelf, run, kind);
    };
    change.make(&levels, classes, kind)?;
    let made = levels.to_tuple();
    *shelf = Some(Shelf {
        run: copied_into(held.run, run),
        levels: levels.unbind(),
    });
    Ok(made)
}

fn fresh<'py>(
    py: Python<'py>,
    shelf: &mut Option<Shelf>,
    run: &LevelRun,
    kind: LevelKind,
) -> PyResult<Bound<'py, PyTuple>> {
    let made = classes(py)?.tuple(py, run, kind)?;
    *shelf = Some(Shelf {
        run: run.clone(),
        levels: made.to_list().unbind(),
    });
    Ok(made)
}

/// A copy of a run, in the memory of another one where it has the same width.
fn copied_into(held: LevelRun, run: &LevelRun) -> LevelRun {
    let mantissas = match (held.mantissas, &run.mantissas) {
        (Mantissas::Narrow(mut levels), Mantissas::Narrow(new)) => {
            levels.clone_from(new);
            Mantissas::Narrow(levels)
        }
        (_, new) => new.clone(),
    };
    LevelRun { mantissas, ..*run }
}

/// What leads from one run of levels to a later one of the same side, both best first.
struct Change<'a> {
    before: &'a [Level<i64>],
    after: &'a [Level<i64>],
    run: &'a LevelRun,
    /// Prices fall from the best on.
    falls: bool,
}

impl<'a> Change<'a> {
    /// None where they are written differently.
    fn new(before: &'a LevelRun, run: &'a LevelRun) -> Option<Change<'a>> {
        let scales = |run: &LevelRun| (run.price_scale, run.quantity_scale);
        let (Mantissas::Narrow(old), Mantissas::Narrow(new)) = (&before.mantissas, &run.mantissas)
        else {
            return None;
        };
        let falls = |levels: &[Level<i64>]| match levels {
            [first, .., last] => first.price > last.price,
            _ => false,
        };
        (scales(before) == scales(run)).then_some(Change {
            before: old,
            after: new,
            run,
            falls: falls(old) || falls(new),
        })
    }

    fn is_better(&self, one: &Level<i64>, than: &Level<i64>) -> bool {
        match self.falls {
            true => one.price > than.price,
            false => one.price < than.price,
        }
    }

    fn make<'py>(
        mut self,
        levels: &Bound<'py, PyList>,
        classes: &'py Classes,
        kind: LevelKind,
    ) -> PyResult<()> {
        let py = levels.py();
        let number = |number| classes.numbers(kind.exact).number(py, number);
        let mut spare = None;
        let mut at = 0;
        for (place, level) in self.after.iter().enumerate() {
            let from = at;
            while (self.before.get(at)).is_some_and(|held| self.is_better(held, level)) {
                at += 1;
            }
            let gone = at - from;
            match self.before.get(at) {
                Some(held) if held.price == level.price => {
                    at += 1;
                    if gone > 0 {
                        spare = Some(levels.get_item(place)?);
                        levels.del_slice(place, place + gone)?;
                    }
                    if held.quantity != level.quantity {
                        let NumberLevel { price, quantity } = self.run.get(place);
                        let quantity = number(quantity)?;
                        let fields = [None, Some(quantity.clone())];
                        if !raw::refill_item(levels.as_any(), place, fields) {
                            let price = number(price)?;
                            levels.set_item(place, classes.one(py, [price, quantity], kind)?)?;
                        }
                    }
                }
                _ => {
                    let NumberLevel { price, quantity } = self.run.get(place);
                    let fields = [number(price)?, number(quantity)?];
                    if gone == 0 {
                        let spare = spare.take().or_else(|| self.take_last(levels, at));
                        levels.insert(place, reused_or_new(spare, fields, classes, kind)?)?;
                        continue;
                    }
                    if gone > 1 {
                        levels.del_slice(place + 1, place + gone)?;
                    }
                    if !raw::refill_item(levels.as_any(), place, fields.clone().map(Some)) {
                        levels.set_item(place, classes.one(py, fields, kind)?)?;
                    }
                }
            }
        }
        if levels.len() > self.after.len() {
            levels.del_slice(self.after.len(), levels.len())?;
        }
        Ok(())
    }

    /// The last level of those before, from `at` on, taken out, if it is none of those after.
    fn take_last<'py>(
        &mut self,
        levels: &Bound<'py, PyList>,
        at: usize,
    ) -> Option<Bound<'py, PyAny>> {
        let (last, rest) = self.before.split_last()?;
        if rest.len() < at || !self.is_better(self.after.last()?, last) {
            return None;
        }
        let place = levels.len().checked_sub(1)?;
        let taken = levels.get_item(place).ok()?;
        levels.del_item(place).ok()?;
        self.before = rest;
        Some(taken)
    }
}

/// A level: the spare one refilled if nothing else refers to it, otherwise a new one.
fn reused_or_new<'py>(
    spare: Option<Bound<'py, PyAny>>,
    fields: [Bound<'py, PyAny>; 2],
    classes: &Classes,
    kind: LevelKind,
) -> PyResult<Bound<'py, PyAny>> {
    let py = fields[0].py();
    match spare {
        Some(spare) if raw::refill(&spare, fields.clone().map(Some)) => Ok(spare),
        _ => classes.one(py, fields, kind),
    }
}

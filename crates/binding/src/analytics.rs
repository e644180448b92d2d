//! Analytics for Python: arguments in, the named tuples of `depthcache.model` out.
//!
//! Not here: what is computed (`depthcache_book::analytics`).

pub mod contracts;

use depthcache_book::analytics::{
    self, Amount, Depth, EmptySide, Exact, GroupedSide, Imbalance, OfBest, Taker, Value,
};
use depthcache_book::query::{Number, Reading, Side};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyString};

use crate::arguments::{self, ParsedNumber};
use crate::errors;
use crate::levels::Levels;
use crate::raw::TupleClass;
use crate::source::{ReadRequest, Stamp};
use crate::values::classes;

const SIZE: &str =
    "a number above 0 and below 10^20, with at most 18 decimals (float, int or Decimal)";
const ANY_VALUE: &str = "a finite number with at most 18 decimals (float, int or Decimal)";
const GROUP: &str =
    "a number above 0 and below 10^19, with at most 18 decimals (float, int, Decimal or str)";
const GROUP_BELOW: i128 = 10i128.pow(19);
const ONE_OF_TWO: &str = "either base or quote, not both";
const EITHER: &str = "either levels or bps, not both";
const FEWEST: &str = "a whole number, 1 or more";

/// What Python gets of a number: a float, or a Decimal from an exact book.
#[derive(Clone, Copy)]
pub struct Writer<'py> {
    pub py: Python<'py>,
    pub exact: bool,
}

/// What is made for Python.
pub type ObjectResult<'py> = PyResult<Bound<'py, PyAny>>;

impl<'py> Writer<'py> {
    fn exact(self, number: &Exact) -> ObjectResult<'py> {
        if self.exact {
            return classes(self.py)?
                .decimal(self.py)
                .call1((number.to_string(),));
        }
        Ok(PyFloat::new(self.py, number.to_f64()).into_any())
    }

    pub fn value(self, value: &Value) -> ObjectResult<'py> {
        match value {
            Value::Exact(number) => self.exact(number),
            Value::Ratio(numerator, denominator) if self.exact => {
                let (numerator, denominator) = (self.exact(numerator)?, self.exact(denominator)?);
                classes(self.py)?.quotient(self.py, numerator, denominator)
            }
            Value::Ratio(..) => Ok(PyFloat::new(self.py, value.to_f64()).into_any()),
        }
    }

    /// A mean of numbers from `low` to `high`: rounded, it does not leave them. The nearest float never does;
    /// a Decimal of 34 digits could, where prices have more.
    fn between(self, value: &Value, [low, high]: &[Exact; 2]) -> ObjectResult<'py> {
        let found = self.value(value)?;
        if self.exact {
            for (edge, is_beyond) in [(low, "__lt__"), (high, "__gt__")] {
                let edge = self.exact(edge)?;
                if found.call_method1(is_beyond, (&edge,))?.is_truthy()? {
                    return Ok(edge);
                }
            }
        }
        Ok(found)
    }

    fn maybe(self, value: &Option<Value>) -> ObjectResult<'py> {
        match value {
            Some(value) => self.value(value),
            None => Ok(self.py.None().into_bound(self.py)),
        }
    }

    fn flag(self, flag: bool) -> Bound<'py, PyAny> {
        PyBool::new(self.py, flag).to_owned().into_any()
    }

    fn whole(self, number: i64) -> ObjectResult<'py> {
        Ok(number.into_pyobject(self.py)?.into_any())
    }

    /// An instance of a class of `depthcache.model`.
    fn tuple<const N: usize>(
        self,
        class: &TupleClass,
        fields: [Bound<'py, PyAny>; N],
    ) -> ObjectResult<'py> {
        class.make(self.py, fields)
    }

    /// An amount of the quote asset; not a number where a book counts contracts.
    fn money(
        self,
        in_contracts: bool,
        amount: impl FnOnce() -> ObjectResult<'py>,
    ) -> ObjectResult<'py> {
        match in_contracts {
            true => contracts::no_amount(self),
            false => amount(),
        }
    }

    fn depth(self, in_contracts: bool, found: &Depth) -> ObjectResult<'py> {
        let fields = [
            self.exact(&found.base)?,
            self.money(in_contracts, || self.exact(&found.quote))?,
            self.whole(found.levels as i64)?,
            self.flag(found.complete),
        ];
        self.tuple(&classes(self.py)?.depth, fields)
    }
}

/// What is made for Python, and which state of the book it was read from.
pub type Stamped<'py> = PyResult<(Stamp, Bound<'py, PyAny>)>;

/// Compute while the book is held; write down afterwards.
fn read<T: Send>(
    to: Writer<'_>,
    request: &ReadRequest<'_>,
    compute: impl Fn(&dyn Reading) -> T + Send + Sync,
) -> PyResult<(Stamp, T)> {
    request.source.read_stamped(to.py, request.policy, compute)
}

/// What the best levels give, or `BookEmpty`.
fn of_best<T: Send>(
    to: Writer<'_>,
    request: &ReadRequest<'_>,
    compute: impl Fn(&dyn Reading) -> OfBest<T> + Send + Sync,
) -> PyResult<(Stamp, T)> {
    let (stamp, found) = read(to, request, compute)?;
    match found {
        Ok(found) => Ok((stamp, found)),
        Err(EmptySide(side)) => Err(empty_side(to.py, request, side)),
    }
}

/// The error of a side that has no level.
#[cold]
pub fn empty_side(py: Python<'_>, request: &ReadRequest<'_>, side: Side) -> PyErr {
    let (exchange, symbol) = request.source.names(py);
    errors::empty(py, &exchange, &symbol, side)
}

pub fn mid<'py>(to: Writer<'py>, request: &ReadRequest<'_>) -> Stamped<'py> {
    let (stamp, value) = of_best(to, request, analytics::mid)?;
    Ok((stamp, to.value(&value)?))
}

pub fn microprice<'py>(to: Writer<'py>, request: &ReadRequest<'_>) -> Stamped<'py> {
    let (stamp, (value, edges)) = of_best(to, request, analytics::microprice)?;
    Ok((stamp, to.between(&value, &edges)?))
}

pub fn spread<'py>(to: Writer<'py>, request: &ReadRequest<'_>) -> Stamped<'py> {
    let (stamp, value) = of_best(to, request, analytics::spread)?;
    Ok((stamp, to.value(&value)?))
}

pub fn spread_bps<'py>(to: Writer<'py>, request: &ReadRequest<'_>) -> Stamped<'py> {
    let (stamp, value) = of_best(to, request, analytics::spread_bps)?;
    Ok((stamp, to.value(&value)?))
}

pub fn imbalance<'py>(
    to: Writer<'py>,
    request: &ReadRequest<'_>,
    levels: Option<&Bound<'py, PyAny>>,
    bps: Option<&Bound<'py, PyAny>>,
) -> Stamped<'py> {
    if let (Some(levels), Some(_)) = (levels, bps) {
        return Err(errors::invalid("levels", levels, EITHER));
    }
    let (stamp, found): (Stamp, Imbalance) = match bps {
        Some(bps) => {
            let bps = size("bps", bps)?;
            read(to, request, |book| analytics::imbalance_within(book, bps))?
        }
        None => {
            let count = match levels {
                None => 1,
                Some(value) => match arguments::levels("levels", Some(value))? {
                    None | Some(0) => return Err(errors::invalid("levels", value, FEWEST)),
                    Some(count) => count,
                },
            };
            read(to, request, |book| {
                analytics::imbalance_of_levels(book, count)
            })?
        }
    };
    let fields = [
        to.maybe(&found.ratio)?,
        to.exact(&found.bids)?,
        to.exact(&found.asks)?,
        to.flag(found.complete),
        to.whole(found.update_id)?,
    ];
    Ok((stamp, to.tuple(&classes(to.py)?.imbalance, fields)?))
}

pub fn depth_within<'py>(
    to: Writer<'py>,
    request: &ReadRequest<'_>,
    bps: &Bound<'py, PyAny>,
) -> Stamped<'py> {
    let bps = size("bps", bps)?;
    let (stamp, (found, in_contracts)) = read(to, request, |book| {
        (analytics::depth_within(book, bps), book.inverse())
    })?;
    let fields = [
        to.depth(in_contracts, &found.bids)?,
        to.depth(in_contracts, &found.asks)?,
        to.maybe(&found.mid)?,
        to.whole(found.update_id)?,
    ];
    Ok((stamp, to.tuple(&classes(to.py)?.depth_within, fields)?))
}

pub fn fill<'py>(
    to: Writer<'py>,
    request: &ReadRequest<'_>,
    side: &Bound<'py, PyAny>,
    base: Option<&Bound<'py, PyAny>>,
    quote: Option<&Bound<'py, PyAny>>,
) -> Stamped<'py> {
    let taker = taker(side)?;
    let amount = match (base, quote) {
        (Some(base), None) => Amount::Base(size("base", base)?),
        (None, Some(quote)) => {
            contracts::check_quote(request.source, quote)?;
            Amount::Quote(size("quote", quote)?)
        }
        (Some(base), Some(_)) => {
            let text = Some("fill takes base= or quote=, not both");
            return Err(errors::invalid_as("base", base, ONE_OF_TWO, text));
        }
        (None, None) => {
            let nothing = to.py.None().into_bound(to.py);
            let text = Some("fill needs base= or quote=");
            return Err(errors::invalid_as("base", &nothing, ONE_OF_TWO, text));
        }
    };
    let (stamp, (mut found, contracts)) = read(to, request, |book| {
        let found = analytics::fill(book, taker, amount);
        let contracts = book.inverse().then(|| {
            let touched: Vec<_> = book.iter(taker.side()).take(found.levels).collect();
            (touched, analytics::exact_mid(book))
        });
        (found, contracts)
    })?;
    let in_contracts = contracts.is_some();
    if let (Some((touched, mid)), Value::Exact(base)) = (&contracts, &found.base) {
        (found.average, found.slippage_bps) =
            match analytics::average_of_contracts(touched, base, mid.as_ref(), taker) {
                Some((average, slippage_bps)) => (Some(average), slippage_bps),
                None => (None, None),
            };
    }
    let average = match (&found.average, found.first, &found.worst) {
        (Some(average), Some(first), Some(Value::Exact(worst))) => {
            let edges = match taker {
                Taker::Buy => [first, worst.clone()],
                Taker::Sell => [worst.clone(), first],
            };
            to.between(average, &edges)?
        }
        (average, ..) => to.maybe(average)?,
    };
    let fields = [
        average,
        to.maybe(&found.worst)?,
        to.maybe(&found.slippage_bps)?,
        to.value(&found.base)?,
        to.money(in_contracts, || to.value(&found.quote))?,
        to.value(&found.unfilled)?,
        to.whole(found.levels as i64)?,
        to.flag(found.complete),
        to.whole(found.update_id)?,
    ];
    Ok((stamp, to.tuple(&classes(to.py)?.fill, fields)?))
}

pub fn size_to_move<'py>(
    to: Writer<'py>,
    request: &ReadRequest<'_>,
    side: &Bound<'py, PyAny>,
    bps: &Bound<'py, PyAny>,
) -> Stamped<'py> {
    let (taker, bps) = (taker(side)?, size("bps", bps)?);
    let (stamp, (found, in_contracts)) = read(to, request, |book| {
        (analytics::size_to_move(book, taker, bps), book.inverse())
    })?;
    let fields = [
        to.exact(&found.base)?,
        to.money(in_contracts, || to.exact(&found.quote))?,
        to.maybe(&found.price)?,
        to.whole(found.levels as i64)?,
        to.flag(found.complete),
        to.whole(found.update_id)?,
    ];
    Ok((stamp, to.tuple(&classes(to.py)?.size_to_move, fields)?))
}

pub fn grouped<'py>(
    to: Writer<'py>,
    request: &ReadRequest<'_>,
    group: &Bound<'py, PyAny>,
    levels: Option<&Bound<'py, PyAny>>,
) -> ObjectResult<'py> {
    let (step, count) = (group_step(group)?, arguments::levels("levels", levels)?);
    let groups = count.unwrap_or(usize::MAX);
    let (_, (bids, asks, update_id)) = read(to, request, |book| {
        let side = |side| analytics::grouped(book, side, step, groups);
        (side(Side::Bids), side(Side::Asks), book.best().update_id)
    })?;
    let fields = [
        side_of_groups(to, &bids, update_id)?,
        side_of_groups(to, &asks, update_id)?,
        to.exact(&step.into())?,
        to.whole(update_id)?,
    ];
    to.tuple(&classes(to.py)?.grouped_book, fields)
}

fn side_of_groups<'py>(to: Writer<'py>, found: &GroupedSide, update_id: i64) -> ObjectResult<'py> {
    let mut levels = Vec::with_capacity(found.groups.len());
    for group in &found.groups {
        levels.push([to.exact(&group.price)?, to.exact(&group.quantity)?]);
    }
    let levels = classes(to.py)?.tuple_of(to.py, levels)?;
    let levels = Levels::computed(to.py, levels, found.complete, update_id)?;
    Ok(levels.bound(to.py)?.into_any())
}

/// An amount of the quote asset; what is negative counts as zero.
pub fn value(value: &Bound<'_, PyAny>) -> PyResult<Number> {
    match arguments::number(value)? {
        Some(ParsedNumber::Number(number)) => Ok(number),
        // Of a negative amount nothing is left but the first level, as of 0.
        Some(ParsedNumber::Negative) => Ok(Number {
            mantissa: 0,
            scale: 0,
        }),
        Some(ParsedNumber::Huge) | None => Err(errors::invalid("quote", value, ANY_VALUE)),
    }
}

fn taker(side: &Bound<'_, PyAny>) -> PyResult<Taker> {
    match side
        .cast::<PyString>()
        .ok()
        .and_then(|word| word.to_str().ok())
    {
        Some("buy") => Ok(Taker::Buy),
        Some("sell") => Ok(Taker::Sell),
        _ => Err(errors::invalid(
            "side",
            side,
            "'buy' (takes asks) or 'sell' (takes bids)",
        )),
    }
}

fn size(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Number> {
    match arguments::number(value)? {
        Some(ParsedNumber::Number(number)) if number.mantissa > 0 => Ok(number),
        _ => Err(errors::invalid(name, value, SIZE)),
    }
}

fn group_step(value: &Bound<'_, PyAny>) -> PyResult<Number> {
    let given = match value.cast::<PyString>() {
        Ok(text) => arguments::text(&text.to_string_lossy()),
        Err(_) => arguments::number(value)?,
    };
    let most = |scale: u8| GROUP_BELOW * 10i128.pow(scale.into());
    match given {
        Some(ParsedNumber::Number(number))
            if (1..most(number.scale)).contains(&number.mantissa) =>
        {
            Ok(number)
        }
        _ => Err(errors::invalid("group", value, GROUP)),
    }
}

//! Inverse futures (COIN-M), where a quantity counts contracts of a fixed value in USD: what that changes in
//! analytics. Which books are of them, the caller says when it makes a market (`Venue.family`).
//!
//! A book does not know how much a contract is worth (`contractSize` of exchangeInfo: 100 USD for BTC, 10 for
//! the others, recorded 2021-04). So amounts of quote are refused, results have none, and the average of a
//! fill is the one that the exchange reports: contracts / sum(contracts / price), whatever their size.

use depthcache_book::analytics::Value;
use depthcache_book::query::NumberLevel;
use pyo3::prelude::*;
use pyo3::types::PyFloat;

use super::{ObjectResult, Writer};
use crate::errors;
use crate::source::Source;
use crate::values::classes;

const IN_CONTRACTS: &str = "nothing on inverse futures (COIN-M), where quantities are contracts of a fixed value in USD: \
     give base=value / contractSize (of exchangeInfo: 100 USD for BTC, 10 USD for most others) to fill()";
const BPS: i64 = 10_000;

/// Whether the quantities of a book are contracts of a fixed value.
pub fn are_contracts(py: Python<'_>, source: &Source) -> bool {
    source.look(py, |book| book.inverse())
}

/// Refuse an amount of quote where the book counts contracts.
pub fn check_quote(source: &Source, value: &Bound<'_, PyAny>) -> PyResult<()> {
    match are_contracts(value.py(), source) {
        true => Err(errors::invalid("quote", value, IN_CONTRACTS)),
        false => Ok(()),
    }
}

/// What stands where an amount of quote would: not a number.
pub fn no_amount(to: Writer<'_>) -> ObjectResult<'_> {
    let nan = PyFloat::new(to.py, f64::NAN).into_any();
    match to.exact {
        true => classes(to.py)?.decimal(to.py).call1((nan,)),
        false => Ok(nan),
    }
}

/// Average price, and slippage in basis points of the mid, of `base` contracts taken from these levels.
pub fn average<'py>(
    to: Writer<'py>,
    touched: &[NumberLevel],
    base: &Value,
    mid: Option<&Value>,
    sign: i64,
) -> PyResult<[Bound<'py, PyAny>; 2]> {
    let none = || to.py.None().into_bound(to.py);
    if touched.is_empty() {
        return Ok([none(), none()]);
    }
    let numbers = Decimals::new(to)?;
    let base = numbers.value(base)?;
    let (mut rest, mut coins) = (base.clone(), numbers.of("0")?);
    for level in touched {
        let price = numbers.of(&level.price.to_string())?;
        let held = numbers.of(&level.quantity.to_string())?;
        let taken = if held.gt(&rest)? { rest.clone() } else { held };
        coins = numbers.apply("add", &coins, &numbers.apply("divide", &taken, &price)?)?;
        rest = numbers.apply("subtract", &rest, &taken)?;
    }
    let average = match touched {
        [only] => numbers.of(&only.price.to_string())?,
        _ => numbers.apply("divide", &base, &coins)?,
    };
    let Some(mid) = mid else {
        return Ok([numbers.rounded(average)?, none()]);
    };
    let mid = numbers.value(mid)?;
    let worse = numbers.apply("subtract", &average, &mid)?;
    let worse = numbers.apply("multiply", &worse, &numbers.of(&(sign * BPS).to_string())?)?;
    let slippage = numbers.apply("divide", &worse, &mid)?;
    Ok([numbers.rounded(average)?, numbers.rounded(slippage)?])
}

/// Digits of Decimals on the way: results have 34, or are floats.
const WORKING_DIGITS: u32 = 60;

/// Decimals with enough digits for exact sums, and the functions that build them.
struct Decimals<'py> {
    to: Writer<'py>,
    working: Bound<'py, PyAny>,
}

impl<'py> Decimals<'py> {
    fn new(to: Writer<'py>) -> PyResult<Decimals<'py>> {
        let context = to.py.import("decimal")?.getattr("Context")?;
        let working = context.call1((WORKING_DIGITS,))?;
        Ok(Decimals { to, working })
    }

    fn of(&self, text: &str) -> ObjectResult<'py> {
        classes(self.to.py)?.decimal(self.to.py).call1((text,))
    }

    fn value(&self, value: &Value) -> ObjectResult<'py> {
        let exact = Writer {
            exact: true,
            ..self.to
        };
        exact.value(value)
    }

    fn apply(
        &self,
        what: &str,
        one: &Bound<'py, PyAny>,
        two: &Bound<'py, PyAny>,
    ) -> ObjectResult<'py> {
        self.working.call_method1(what, (one, two))
    }

    fn rounded(&self, number: Bound<'py, PyAny>) -> ObjectResult<'py> {
        let py = self.to.py;
        match self.to.exact {
            true => classes(py)?.context(py).call_method1("plus", (number,)),
            false => Ok(PyFloat::new(py, number.extract()?).into_any()),
        }
    }
}

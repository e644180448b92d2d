//! Inverse futures (COIN-M), where a quantity counts contracts of a fixed value in USD: what that changes in
//! analytics. Which books are of them, the caller says when it makes a market (`Venue.family`).
//!
//! A book does not know how much a contract is worth (`contractSize` of exchangeInfo: 100 USD for BTC, 10 for
//! the others, recorded 2021-04). So amounts of quote are refused, results have none, and the average of a
//! fill is the one that the exchange reports (`depthcache_book::analytics::average_of_contracts`).

use pyo3::prelude::*;
use pyo3::types::PyFloat;

use super::{ObjectResult, Writer};
use crate::errors;
use crate::source::Source;
use crate::values::classes;

const IN_CONTRACTS: &str = "nothing on inverse futures (COIN-M), where quantities are contracts of a fixed value in USD: \
     give base=value / contractSize (of exchangeInfo: 100 USD for BTC, 10 USD for most others) to fill()";

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

/// The value in place of an amount of quote: not a number.
pub fn no_amount(to: Writer<'_>) -> ObjectResult<'_> {
    let nan = PyFloat::new(to.py, f64::NAN).into_any();
    match to.exact {
        true => classes(to.py)?.decimal(to.py).call1((nan,)),
        false => Ok(nan),
    }
}

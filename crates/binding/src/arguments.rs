//! Arguments of reads: each checked at once, with an error that names it, its value and what is allowed.
//!
//! Not here: frames and bodies (`input`).

use depthcache_book::codec::json;
use depthcache_book::message::MAX_SCALE;
use depthcache_book::query::Number;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};

use crate::errors;
use crate::values::classes;

const LEVELS: &str = "a whole number, 0 or more, or None for all";

/// A count of levels; None for all.
pub fn levels(name: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<usize>> {
    let Some(value) = value else { return Ok(None) };
    if value.is_instance_of::<PyBool>() {
        return Err(errors::invalid(name, value, LEVELS));
    }
    match value.extract::<isize>() {
        Ok(count) => match usize::try_from(count) {
            Ok(count) => Ok(Some(count)),
            Err(_) => Err(errors::invalid(name, value, LEVELS)),
        },
        Err(why) if why.is_instance_of::<PyOverflowError>(value.py()) && is_above_zero(value) => {
            Ok(Some(usize::MAX))
        }
        Err(_) => Err(errors::invalid(name, value, LEVELS)),
    }
}

fn is_above_zero(value: &Bound<'_, PyAny>) -> bool {
    let number = value.call_method0("__index__");
    number.and_then(|number| number.gt(0)).unwrap_or(false)
}

/// A yes or no of Python or of numpy.
fn is_bool(value: &Bound<'_, PyAny>) -> bool {
    let name = value.get_type().name();
    value.is_instance_of::<PyBool>()
        || name.is_ok_and(|name| matches!(&*name.to_string_lossy(), "bool" | "bool_"))
}

/// A number as exactly as it is given: floats as the shortest text that means them.
pub enum ParsedNumber {
    /// 0 or more, below 10^20.
    Number(Number),
    /// Positive, 10^20 or more, perhaps infinite.
    Huge,
    /// Below 0.
    Negative,
}

/// Read a number: int, float or Decimal, and what else can be made a float. None for what is none, and
/// for what has more than 18 decimals, which no number of an exchange has; floats are rounded there.
pub fn number(value: &Bound<'_, PyAny>) -> PyResult<Option<ParsedNumber>> {
    let py = value.py();
    let is_text = value.is_instance_of::<PyString>();
    if is_text || is_bool(value) {
        return Ok(None);
    }
    if value.is_exact_instance_of::<PyInt>()
        && let Ok(whole) = value.extract::<u64>()
    {
        let number = Number {
            mantissa: whole.into(),
            scale: 0,
        };
        return Ok(Some(ParsedNumber::Number(number)));
    }
    if value.is_instance_of::<PyInt>() || value.is_instance(classes(py)?.decimal(py))? {
        return Ok(text(&value.str()?.to_string_lossy()));
    }
    let Ok(float) = value.cast::<PyFloat>().map(|float| float.value()) else {
        // Numbers of numpy: integers of every width, and floats of another width than Python's.
        return match (value.extract::<i128>(), value.extract::<f64>()) {
            (Ok(whole), _) => Ok(text(&whole.to_string())),
            (_, Ok(float)) => Ok(of_float(float)),
            _ => Ok(None),
        };
    };
    Ok(of_float(float))
}

fn of_float(float: f64) -> Option<ParsedNumber> {
    if float.is_nan() {
        return None;
    }
    // Rust, too, writes the shortest text; an exponent would be beyond the decimals there are.
    text(&float.to_string()).or_else(|| text(&format!("{float:.18}")))
}

/// The same of a text, as Python writes numbers.
pub fn text(text: &str) -> Option<ParsedNumber> {
    let (digits, is_negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if matches!(digits, "inf" | "Infinity") {
        return (!is_negative).then_some(ParsedNumber::Huge);
    }
    match json::decimal(digits.as_bytes()) {
        Ok(found) => {
            let number = Number {
                mantissa: found.mantissa,
                scale: found.scale,
            };
            if is_negative && number.mantissa != 0 {
                return Some(ParsedNumber::Negative);
            }
            Some(ParsedNumber::Number(number))
        }
        // Of well-formed numbers only these two are refused.
        Err(_) if json::is_too_large(digits.as_bytes()) && !is_negative => Some(ParsedNumber::Huge),
        Err(_) => None,
    }
}

const PRICE: &str = "a price (float, int or Decimal), 0 or more, with at most 18 decimals, or None";

/// The lowest price of a read; None for no limit.
pub fn low(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Number>> {
    limit("low", value)
}

/// The highest price of a read; None for no limit, as infinity is.
pub fn high(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Number>> {
    limit("high", value).map(|limit| limit.filter(|number| *number != HIGHEST))
}

/// Above every price.
const HIGHEST: Number = Number {
    mantissa: 10i128.pow(20 + MAX_SCALE as u32),
    scale: MAX_SCALE,
};

fn limit(name: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Number>> {
    let Some(value) = value else { return Ok(None) };
    match number(value)? {
        Some(ParsedNumber::Number(number)) => Ok(Some(number)),
        Some(ParsedNumber::Huge) => Ok(Some(HIGHEST)),
        Some(ParsedNumber::Negative) | None => Err(errors::invalid(name, value, PRICE)),
    }
}

/// The oldest book that a reader takes, in nanoseconds, of seconds above 0; None for infinity.
pub fn max_age(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    let seconds = match value.is_instance_of::<PyBool>() {
        true => None,
        false => value.extract::<f64>().ok().filter(|seconds| *seconds > 0.0),
    };
    match seconds {
        Some(f64::INFINITY) => Ok(None),
        Some(seconds) => Ok(Some((seconds * 1e9) as i64)),
        None => Err(errors::invalid(name, value, "seconds above 0")),
    }
}

//! The values of `depthcache.model`: its classes, found once, and how they are filled.
//!
//! Not here: reading a book. What is given here was copied out of it before.

use depthcache_book::market::outcome::{Outcome, SnapshotOutcome};
use depthcache_book::query::levels_reason::LevelsReason;
use depthcache_book::query::{BestPair, CompleteTo, LevelRun, Number, NumberLevel};
use depthcache_book::status::{Refusal, Status};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyList, PyString, PyTuple, PyType};

use crate::raw::{TupleClass, TupleMaker, refill, refill_item, tuple_of};

/// The classes and members of `depthcache.model` that are handed out again and again.
pub struct Classes {
    level: TupleClass,
    best: TupleClass,
    complete_to: TupleClass,
    coverage: TupleClass,
    changes: TupleClass,
    integers: TupleClass,
    book_arrays: TupleClass,
    book_integers: TupleClass,
    missing_book: TupleClass,
    pub imbalance: TupleClass,
    pub depth: TupleClass,
    pub depth_within: TupleClass,
    pub fill: TupleClass,
    pub size_to_move: TupleClass,
    pub grouped_book: TupleClass,
    decimal: Py<PyType>,
    context: Py<PyAny>,
    /// `datetime.timedelta`, and the beginning of 1970 in UTC.
    duration: Py<PyAny>,
    epoch: Py<PyAny>,
    statuses: Py<PyDict>,
    /// In the order of the variants of `Outcome`.
    outcomes: [Py<PyAny>; Outcome::ALL.len()],
    snapshot_outcomes: Py<PyDict>,
}

/// Levels that were read, and what is to be said of them.
pub struct ReadLevels {
    pub run: LevelRun,
    pub update_id: i64,
    /// Why they are fewer than asked for, or not all proven; seldom there, and large.
    pub reason: Option<Box<LevelsReason>>,
}

/// What a level is made as.
#[derive(Clone, Copy)]
pub struct LevelKind {
    /// Of Decimals, not of floats.
    pub exact: bool,
    /// A plain tuple, not a `Level`.
    pub plain: bool,
}

/// Digits of quotients of Decimals, those of IEEE 754 decimal128.
const QUOTIENT_DIGITS: u32 = 34;

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

/// The classes; found at the first call.
pub fn classes(py: Python<'_>) -> PyResult<&'static Classes> {
    CLASSES.get_or_try_init(py, || {
        let model = py.import("depthcache.model")?;
        let class = |name: &str| -> PyResult<TupleClass> {
            let class = model.getattr(name)?.cast_into::<PyType>()?;
            Ok(TupleClass::new(class))
        };
        let outcomes = members(&model, "Outcome")?;
        let outcome = |outcome: Outcome| outcomes.bind(py).as_any().get_item(outcome.as_str());
        let mut ordered = Vec::new();
        for variant in Outcome::ALL {
            ordered.push(outcome(variant)?.unbind());
        }
        Ok(Classes {
            level: class("Level")?,
            best: class("Best")?,
            complete_to: class("CompleteTo")?,
            coverage: class("Coverage")?,
            changes: class("Changes")?,
            integers: class("Integers")?,
            book_arrays: class("BookArrays")?,
            book_integers: class("BookIntegers")?,
            missing_book: class("MissingBook")?,
            imbalance: class("Imbalance")?,
            depth: class("Depth")?,
            depth_within: class("DepthWithin")?,
            fill: class("Fill")?,
            size_to_move: class("SizeToMove")?,
            grouped_book: class("GroupedBook")?,
            decimal: py
                .import("decimal")?
                .getattr("Decimal")?
                .cast_into::<PyType>()?
                .unbind(),
            context: py
                .import("decimal")?
                .getattr("Context")?
                .call1((QUOTIENT_DIGITS,))?
                .unbind(),
            duration: py.import("datetime")?.getattr("timedelta")?.unbind(),
            epoch: epoch(py)?.unbind(),
            statuses: members(&model, "Status")?,
            outcomes: ordered.try_into().expect("one of each variant"),
            snapshot_outcomes: members(&model, "SnapshotOutcome")?,
        })
    })
}

/// The members of an enum, by their values.
pub fn members(module: &Bound<'_, PyModule>, name: &str) -> PyResult<Py<PyDict>> {
    let found = PyDict::new(module.py());
    for member in module.getattr(name)?.try_iter()? {
        let member = member?;
        found.set_item(member.getattr("value")?, member)?;
    }
    Ok(found.unbind())
}

impl Classes {
    /// A time in microseconds since 1970 as an aware `datetime` in UTC; None for years that it does not have.
    pub fn datetime<'py>(&self, py: Python<'py>, us: i64) -> PyResult<Option<Bound<'py, PyAny>>> {
        const YEARS_1_TO_9999: std::ops::Range<i64> =
            -62_135_596_800_000_000..253_402_300_800_000_000;
        if !YEARS_1_TO_9999.contains(&us) {
            return Ok(None);
        }
        let since = self.duration.bind(py).call1((0, 0, us))?;
        self.epoch.bind(py).add(since).map(Some)
    }

    /// The member of `Status`.
    pub fn status<'py>(&self, py: Python<'py>, status: Status) -> PyResult<Bound<'py, PyAny>> {
        self.statuses.bind(py).as_any().get_item(status.as_str())
    }

    /// The member of `Outcome`.
    pub fn outcome<'py>(&self, py: Python<'py>, outcome: Outcome) -> Bound<'py, PyAny> {
        self.outcomes[outcome as usize].bind(py).clone()
    }

    /// The member of `SnapshotOutcome`.
    pub fn snapshot_outcome<'py>(
        &self,
        py: Python<'py>,
        outcome: SnapshotOutcome,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.snapshot_outcomes
            .bind(py)
            .as_any()
            .get_item(outcome.as_str())
    }

    /// How numbers are written for a reader: floats, or Decimals where it is exact.
    pub fn numbers<'a>(&'a self, exact: bool) -> NumberWriter<'a> {
        NumberWriter {
            decimal: exact.then_some(&self.decimal),
        }
    }

    /// A `Best`; levels of an earlier one that are still the same are taken from it.
    pub fn best<'py>(
        &'py self,
        py: Python<'py>,
        pair: BestPair,
        exact: bool,
        before: Option<(BestPair, Bound<'py, PyAny>)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let numbers = self.numbers(exact);
        let found = [pair.bid, pair.ask];
        let held = before.as_ref().map(|(held, _)| [held.bid, held.ask]);
        let made = before.map(|(_, made)| made);
        let mut fields = [
            None,
            None,
            Some(pair.update_id.into_pyobject(py)?.into_any()),
        ];
        for place in 0..2 {
            let level = match (found[place], held.map(|held| held[place])) {
                (now, Some(then)) if now == then => continue,
                (None, _) => py.None().into_bound(py),
                (Some(level), _) => {
                    let numbers = [
                        numbers.number(py, level.price)?,
                        numbers.number(py, level.quantity)?,
                    ];
                    let refilled = made
                        .as_ref()
                        .is_some_and(|made| refill_item(made, place, numbers.clone().map(Some)));
                    if refilled {
                        continue;
                    }
                    self.level.make(py, numbers)?
                }
            };
            fields[place] = Some(level);
        }
        if let Some(made) = &made {
            if refill(made, fields.clone()) {
                return Ok(made.clone());
            }
            for (place, field) in fields.iter_mut().enumerate() {
                if field.is_none() {
                    *field = Some(made.cast::<PyTuple>()?.get_item(place)?);
                }
            }
        }
        let none = || py.None().into_bound(py);
        self.best
            .make(py, fields.map(|field| field.unwrap_or_else(none)))
    }

    /// One `Level`.
    pub fn level<'py>(
        &'py self,
        py: Python<'py>,
        found: NumberLevel,
        exact: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut maker = self.level.maker::<2>(py)?;
        self.numbers(exact).level(py, &mut maker, found)
    }

    /// A plain list of `Level`s.
    pub fn list<'py>(
        &'py self,
        py: Python<'py>,
        run: &LevelRun,
        exact: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut maker = self.level.maker::<2>(py)?;
        let numbers = self.numbers(exact);
        let found: PyResult<Vec<_>> = run
            .iter()
            .map(|level| numbers.level(py, &mut maker, level))
            .collect();
        PyList::new(py, found?)
    }

    /// A tuple of `Level`s, or of plain pairs.
    pub fn tuple<'py>(
        &'py self,
        py: Python<'py>,
        run: &LevelRun,
        kind: LevelKind,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let mut maker = self.level.maker::<2>(py)?;
        let numbers = self.numbers(kind.exact);
        tuple_of(py, run.len(), |index| {
            let level = run.get(index);
            let fields = [
                numbers.number(py, level.price)?,
                numbers.number(py, level.quantity)?,
            ];
            match kind.plain {
                true => Ok(PyTuple::new(py, fields)?.into_any()),
                false => maker.make(fields),
            }
        })
    }

    /// One level.
    pub fn one<'py>(
        &self,
        py: Python<'py>,
        fields: [Bound<'py, PyAny>; 2],
        kind: LevelKind,
    ) -> PyResult<Bound<'py, PyAny>> {
        match kind.plain {
            true => Ok(PyTuple::new(py, fields)?.into_any()),
            false => self.level.make(py, fields),
        }
    }

    /// A tuple of `Level`s of prices and quantities that were computed.
    pub fn tuple_of<'py>(
        &'py self,
        py: Python<'py>,
        levels: Vec<[Bound<'py, PyAny>; 2]>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let mut maker = self.level.maker::<2>(py)?;
        let made: PyResult<Vec<_>> = levels.into_iter().map(|level| maker.make(level)).collect();
        PyTuple::new(py, made?)
    }

    /// A quotient of two Decimals, to 34 digits in any context of the program.
    pub fn quotient<'py>(
        &self,
        py: Python<'py>,
        numerator: Bound<'py, PyAny>,
        denominator: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.context
            .bind(py)
            .call_method1(pyo3::intern!(py, "divide"), (numerator, denominator))
    }

    /// A `CompleteTo` of both sides.
    pub fn complete_to<'py>(
        &'py self,
        py: Python<'py>,
        bids: CompleteTo,
        asks: CompleteTo,
        exact: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let numbers = self.numbers(exact);
        let one = |side: CompleteTo, edge: f64| match side {
            CompleteTo::Nothing => Ok(py.None().into_bound(py)),
            CompleteTo::Price(price) => numbers.number(py, price),
            CompleteTo::Whole => numbers.edge(py, edge),
        };
        self.complete_to
            .make(py, [one(bids, 0.0)?, one(asks, f64::INFINITY)?])
    }

    /// An `Integers`.
    pub fn integers<'py>(
        &'py self,
        py: Python<'py>,
        levels: Bound<'py, PyAny>,
        price_decimals: u8,
        quantity_decimals: u8,
    ) -> PyResult<Bound<'py, PyAny>> {
        let decimals = |scale: u8| Ok::<_, PyErr>(scale.into_pyobject(py)?.into_any());
        self.integers.make(
            py,
            [
                levels,
                decimals(price_decimals)?,
                decimals(quantity_decimals)?,
            ],
        )
    }

    /// `decimal.Decimal`.
    pub fn decimal<'py>(&self, py: Python<'py>) -> &Bound<'py, PyType> {
        self.decimal.bind(py)
    }

    /// A `BookArrays`, or a `BookIntegers` of integers.
    pub fn both_sides<'py>(
        &'py self,
        py: Python<'py>,
        sides: [Bound<'py, PyAny>; 2],
        (complete, update_id): (bool, i64),
        of_integers: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let class = if of_integers {
            &self.book_integers
        } else {
            &self.book_arrays
        };
        let [bids, asks] = sides;
        let complete = PyBool::new(py, complete).to_owned().into_any();
        let update_id = update_id.into_pyobject(py)?.into_any();
        class.make(py, [bids, asks, complete, update_id])
    }

    /// A `MissingBook`.
    pub fn missing_book<'py>(
        &'py self,
        py: Python<'py>,
        exchange: &str,
        symbol: &str,
        why: &Refusal,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (status, reason) = match why {
            Refusal::NotReadable(why) => (why.status, why.reason.clone()),
            Refusal::TooOld(why) => {
                let [age_s, most_s] = [why.age_ns, why.max_age_ns].map(|ns| ns as f64 / 1e9);
                let reason = format!("{age_s:.3} s old, max_age is {most_s} s");
                (Status::Synced, reason)
            }
        };
        self.missing_book.make(
            py,
            [
                PyString::new(py, exchange).into_any(),
                PyString::new(py, symbol).into_any(),
                self.status(py, status)?,
                PyString::new(py, &reason).into_any(),
            ],
        )
    }

    /// A `Changes` of both sides.
    pub fn changes<'py>(
        &'py self,
        py: Python<'py>,
        bids: Bound<'py, PyList>,
        asks: Bound<'py, PyList>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.changes.make(py, [bids.into_any(), asks.into_any()])
    }

    /// A `Coverage` of both sides.
    pub fn coverage<'py>(
        &'py self,
        py: Python<'py>,
        bids: usize,
        asks: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let fields = [
            bids.into_pyobject(py)?.into_any(),
            asks.into_pyobject(py)?.into_any(),
        ];
        self.coverage.make(py, fields)
    }
}

/// Numbers as floats, or as Decimals at the width the exchange sends.
pub struct NumberWriter<'a> {
    decimal: Option<&'a Py<PyType>>,
}

impl NumberWriter<'_> {
    pub fn number<'py>(&self, py: Python<'py>, number: Number) -> PyResult<Bound<'py, PyAny>> {
        match self.decimal {
            None => Ok(PyFloat::new(py, number.to_f64()).into_any()),
            Some(decimal) => decimal.bind(py).call1((number.to_string(),)),
        }
    }

    fn edge<'py>(&self, py: Python<'py>, edge: f64) -> PyResult<Bound<'py, PyAny>> {
        let float = PyFloat::new(py, edge).into_any();
        match self.decimal {
            None => Ok(float),
            Some(decimal) => decimal.bind(py).call1((float,)),
        }
    }

    fn level<'py>(
        &self,
        py: Python<'py>,
        maker: &mut TupleMaker<'py, 2>,
        level: NumberLevel,
    ) -> PyResult<Bound<'py, PyAny>> {
        maker.make([
            self.number(py, level.price)?,
            self.number(py, level.quantity)?,
        ])
    }
}

fn epoch(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let module = py.import("datetime")?;
    let utc = module.getattr("timezone")?.getattr("utc")?;
    module
        .getattr("datetime")?
        .call_method1("fromtimestamp", (0, utc))
}

/// A text that is the same object every time.
pub fn word<'py>(py: Python<'py>, text: &str) -> Bound<'py, PyString> {
    PyString::intern(py, text)
}

/// `class[numbers]`, as type checkers read it.
pub fn parametrised(class: &Bound<'_, PyType>, numbers: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let alias = class.py().import("types")?.getattr("GenericAlias")?;
    Ok(alias.call1((class, numbers))?.unbind())
}

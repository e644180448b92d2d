//! The last results of a reader, returned again as long as the book does not change.
//!
//! Before a kept result is returned, `Source::holds` checks the process, the clock (after a pause the first reader
//! marks the books stale), the version of the market, and the age of its last update. Only results of reads
//! without an error are kept, and they are immutable. No read waits for a lock of this module: if another thread
//! holds it, the book is read instead. Results consist of numbers, strings and tuples, so freeing them runs no
//! code of the user.

use std::sync::OnceLock;

use depthcache_book::query::BestPair;
use parking_lot::{Mutex, MutexGuard};
use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFloat, PyInt, PyString};

use crate::source::Stamp;

/// A result and when it was read.
pub struct KeptValue<T> {
    pub read: Stamp,
    pub value: T,
}

/// Reads without arguments.
#[derive(Clone, Copy)]
pub enum Getter {
    Best,
    Mid,
    Microprice,
    Spread,
    SpreadBps,
}

const GETTERS: usize = 5;

/// Reads with arguments.
#[derive(Clone, Copy, PartialEq)]
pub enum Call {
    Fill,
    Imbalance,
    DepthWithin,
    SizeToMove,
}

/// The number of results with arguments that are kept.
const CALLS: usize = 4;
/// The most arguments that a call has.
const ARGUMENTS: usize = 3;

type Arguments = [Option<Py<PyAny>>; ARGUMENTS];

/// What a reader keeps; nothing before its first read.
#[derive(Default)]
pub struct Kept(OnceLock<Box<Parts>>);

struct Parts {
    sides: [PyOnceLock<Py<PyAny>>; 2],
    exact: PyOnceLock<Py<PyAny>>,
    results: Mutex<Results>,
}

impl Default for Parts {
    fn default() -> Self {
        Parts {
            sides: [PyOnceLock::new(), PyOnceLock::new()],
            exact: PyOnceLock::new(),
            results: Mutex::default(),
        }
    }
}

/// The results of a reader.
#[derive(Default)]
pub struct Results {
    getters: [Option<KeptValue<Py<PyAny>>>; GETTERS],
    /// The numbers of `best`.
    pair: Option<BestPair>,
    calls: Vec<(Call, Arguments, KeptValue<Py<PyAny>>)>,
}

impl Kept {
    fn parts(&self) -> &Parts {
        self.0.get_or_init(Box::default)
    }

    /// The place of a side's object.
    pub fn side(&self, index: usize) -> &PyOnceLock<Py<PyAny>> {
        &self.parts().sides[index]
    }

    /// The view with Decimals, the same object at each call, so that it keeps its own results.
    pub fn exact<'py, T: PyClass>(
        &self,
        py: Python<'py>,
        make: impl FnOnce() -> PyResult<Py<T>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let place = &self.parts().exact;
        let view = place.get_or_try_init(py, || Ok::<_, PyErr>(make()?.into_any()))?;
        Ok(view.bind(py).clone())
    }

    /// The results; None if another thread holds them.
    #[inline]
    pub fn results(&self) -> Option<MutexGuard<'_, Results>> {
        self.parts().results.try_lock()
    }
}

impl Results {
    /// A result that is current.
    #[inline]
    pub fn get<'py>(
        &self,
        py: Python<'py>,
        getter: Getter,
        holds: impl FnOnce(&Stamp) -> bool,
    ) -> Option<Bound<'py, PyAny>> {
        let held = self.getters[getter as usize].as_ref()?;
        holds(&held.read).then(|| held.value.bind(py).clone())
    }

    /// Take out the last `best` and its numbers, whether or not it is current.
    pub fn take_best<'py>(&mut self, py: Python<'py>) -> Option<(BestPair, Bound<'py, PyAny>)> {
        let held = self.getters[Getter::Best as usize].take()?;
        Some((self.pair?, held.value.into_bound(py)))
    }

    /// Keep a `best` and its numbers.
    pub fn put_best(&mut self, pair: BestPair, read: Stamp, value: &Bound<'_, PyAny>) {
        self.pair = Some(pair);
        self.put(Getter::Best, read, value);
    }

    /// Keep a result.
    pub fn put(&mut self, getter: Getter, read: Stamp, value: &Bound<'_, PyAny>) {
        let value = value.clone().unbind();
        self.getters[getter as usize] = Some(KeptValue { read, value });
    }

    /// A result of the same arguments that is current.
    #[inline]
    pub fn get_call<'py>(
        &self,
        py: Python<'py>,
        call: Call,
        arguments: &[Option<&Bound<'py, PyAny>>; ARGUMENTS],
        holds: impl FnOnce(&Stamp) -> bool,
    ) -> Option<Bound<'py, PyAny>> {
        let (_, _, held) = (self.calls.iter())
            .find(|(held, with, _)| *held == call && are_same(py, with, arguments))?;
        holds(&held.read).then(|| held.value.bind(py).clone())
    }

    /// Keep a result if its arguments are immutable; the oldest one makes room.
    pub fn put_call(
        &mut self,
        py: Python<'_>,
        call: Call,
        arguments: &[Option<&Bound<'_, PyAny>>; ARGUMENTS],
        read: Stamp,
        value: &Bound<'_, PyAny>,
    ) {
        if !arguments.iter().flatten().all(|each| is_constant(each)) {
            return;
        }
        let same = (self.calls.iter())
            .position(|(held, with, _)| *held == call && are_same(py, with, arguments));
        if let Some(place) = same.or((self.calls.len() == CALLS).then_some(0)) {
            self.calls.remove(place);
        }
        let with = arguments.map(|each| each.map(|each| each.clone().unbind()));
        let value = value.clone().unbind();
        self.calls.push((call, with, KeptValue { read, value }));
    }
}

/// Whether a value is immutable, and equal to another of its type only if it means the same.
fn is_constant(value: &Bound<'_, PyAny>) -> bool {
    value.is_none()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyString>()
}

/// Whether arguments are the same objects, or numbers of one type that are equal.
fn are_same(
    py: Python<'_>,
    held: &Arguments,
    given: &[Option<&Bound<'_, PyAny>>; ARGUMENTS],
) -> bool {
    held.iter()
        .zip(given)
        .all(|(held, given)| match (held, given) {
            (None, None) => true,
            (Some(held), Some(given)) => held.is(*given) || is_equal_float(held.bind(py), given),
            _ => false,
        })
}

fn is_equal_float(one: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> bool {
    match (one.cast_exact::<PyFloat>(), other.cast_exact::<PyFloat>()) {
        (Ok(one), Ok(other)) => one.value() == other.value(),
        _ => false,
    }
}

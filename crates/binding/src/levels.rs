//! `Levels`: what slices of a side give, a constant sequence whose objects are made when they are touched.
//!
//! Not here: which levels (`side`), and how each is made (`values`).

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyIterator, PyList, PyString, PyTuple, PyType};

use crate::portable;
use crate::shelf::{self, Shelf};
use crate::values::{self, LevelKind, ReadLevels, classes};

/// The native twin of `depthcache.Levels`, which counts as one of its subclasses.
#[pyclass(frozen, sequence, freelist = 8, module = "depthcache")]
pub struct Levels {
    origin: LevelsOrigin,
    complete: bool,
    update_id: i64,
    made: PyOnceLock<Py<PyTuple>>,
}

enum LevelsOrigin {
    /// Levels that were read, and those that were made last of this side.
    Read {
        found: ReadLevels,
        exact: bool,
        last: Mutex<Option<Arc<LastMade>>>,
    },
    /// Levels that were there; why they are fewer than asked for, or not all proven.
    Given { reason: String },
}

/// The levels that a side made last, shared with the levels that are still to be made.
pub type LastMade = Mutex<Option<Shelf>>;

impl Levels {
    /// Levels that were read.
    pub fn read(found: ReadLevels, exact: bool, last: Option<Arc<LastMade>>) -> Levels {
        Levels {
            complete: found.run.complete,
            update_id: found.update_id,
            origin: LevelsOrigin::Read {
                found,
                exact,
                last: Mutex::new(last),
            },
            made: PyOnceLock::new(),
        }
    }

    /// Levels that were computed.
    pub fn computed(
        py: Python<'_>,
        levels: Bound<'_, PyTuple>,
        complete: bool,
        update_id: i64,
    ) -> PyResult<Levels> {
        Self::given(py, levels, complete, update_id, String::new())
    }

    fn given(
        py: Python<'_>,
        levels: Bound<'_, PyTuple>,
        complete: bool,
        update_id: i64,
        reason: String,
    ) -> PyResult<Levels> {
        let made = PyOnceLock::new();
        made.get_or_init(py, || levels.unbind());
        Ok(Levels {
            origin: LevelsOrigin::Given { reason },
            complete,
            update_id,
            made,
        })
    }

    /// The object. Before the first, the class is made a subclass of `depthcache.Levels`.
    pub fn bound(self, py: Python<'_>) -> PyResult<Bound<'_, Self>> {
        static REGISTERED: PyOnceLock<()> = PyOnceLock::new();
        REGISTERED.get_or_try_init(py, || {
            let class = py.import("depthcache.model")?.getattr("Levels")?;
            class.call_method1("register", (py.get_type::<Self>(),))?;
            Ok::<_, PyErr>(())
        })?;
        Bound::new(py, self)
    }

    /// How many there are.
    pub fn len(&self, py: Python<'_>) -> usize {
        match &self.origin {
            LevelsOrigin::Read { found, .. } => found.run.len(),
            LevelsOrigin::Given { .. } => self.made.get(py).map_or(0, |made| made.bind(py).len()),
        }
    }

    /// The `Level` objects, made at the first call.
    fn made<'a, 'py>(slf: &'a Bound<'py, Self>) -> PyResult<&'a Bound<'py, PyTuple>> {
        let py = slf.py();
        if let Some(made) = slf.get().made.get(py) {
            return Ok(made.bind(py));
        }
        Self::make(slf)
    }

    #[cold]
    fn make<'a, 'py>(slf: &'a Bound<'py, Self>) -> PyResult<&'a Bound<'py, PyTuple>> {
        let (py, levels) = (slf.py(), slf.get());
        let LevelsOrigin::Read { found, exact, last } = &levels.origin else {
            unreachable!("levels that were given are there");
        };
        let last = last.lock().take();
        let kind = LevelKind {
            exact: *exact,
            plain: false,
        };
        let made = match last.as_ref().and_then(|last| last.try_lock()) {
            Some(mut shelf) => shelf::made(py, &mut shelf, &found.run, kind)?,
            None => classes(py)?.tuple(py, &found.run, kind)?,
        };
        Ok(levels.made.get_or_init(py, || made.unbind()).bind(py))
    }
}

#[pymethods]
impl Levels {
    /// For annotations such as `Levels[Decimal]`, which mean nothing when programs run.
    #[classmethod]
    fn __class_getitem__(
        class: &Bound<'_, PyType>,
        numbers: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        values::parametrised(class, numbers)
    }

    /// Whether every requested level is proven: the levels lie inside the complete range, or the whole side is
    /// known.
    #[getter]
    fn complete(&self) -> bool {
        self.complete
    }

    /// The id of the book to which the levels belong.
    #[getter]
    fn update_id(&self) -> i64 {
        self.update_id
    }

    /// Why there are fewer levels than requested, or why not all are proven; empty otherwise.
    #[getter]
    fn reason(&self) -> String {
        match &self.origin {
            LevelsOrigin::Read { found, .. } => {
                let why = found.reason.as_ref();
                why.map_or(String::new(), |why| why.to_string())
            }
            LevelsOrigin::Given { reason } => reason.clone(),
        }
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.len(py)
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyIterator>> {
        Self::made(slf)?.try_iter()
    }

    fn __reversed__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let reversed = slf.py().import("builtins")?.getattr("reversed")?;
        reversed.call1((Self::made(slf)?,))
    }

    fn __getitem__<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::made(slf)?.as_any().get_item(key)
    }

    fn __contains__(slf: &Bound<'_, Self>, level: &Bound<'_, PyAny>) -> PyResult<bool> {
        Self::made(slf)?.contains(level)
    }

    /// The place of the first level that is equal. Raises ValueError.
    #[pyo3(signature = (level, *range))]
    fn index<'py>(
        slf: &Bound<'py, Self>,
        level: &Bound<'py, PyAny>,
        range: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let arguments = PyTuple::new(slf.py(), [level])?
            .as_sequence()
            .concat(range.as_sequence())?;
        Self::made(slf)?.call_method1("index", arguments.to_tuple()?)
    }

    /// How many levels are equal.
    fn count<'py>(
        slf: &Bound<'py, Self>,
        level: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::made(slf)?.call_method1("count", (level,))
    }

    /// Equal to what holds equal levels; other classes are asked themselves.
    fn __eq__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, made) = (slf.py(), Self::made(slf)?);
        let is_same = if let Ok(other) = other.cast::<Levels>() {
            made.eq(Self::made(other)?)?
        } else if let Ok(other) = other.cast::<PyList>() {
            made.eq(other.to_tuple())?
        } else if let Ok(other) = other.cast::<PyTuple>() {
            made.eq(other)?
        } else {
            return Ok(py.NotImplemented().into_bound(py));
        };
        Ok(PyBool::new(py, is_same).to_owned().into_any())
    }

    fn __hash__(slf: &Bound<'_, Self>) -> PyResult<isize> {
        Self::made(slf)?.hash()
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<portable::Reduced<'py>> {
        let (py, levels) = (slf.py(), slf.get());
        let arguments = [
            Self::made(slf)?.clone().into_any(),
            PyBool::new(py, levels.complete).to_owned().into_any(),
            levels.update_id.into_pyobject(py)?.into_any(),
            PyString::new(py, &levels.reason()).into_any(),
        ];
        portable::reduced(py, "_restored_levels", arguments)
    }

    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: Bound<'py, Self>, memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        let _ = memo;
        slf
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        Ok(Self::made(slf)?.to_list().repr()?.to_string())
    }
}

/// The levels that `Levels.__reduce__` describes.
#[pyfunction]
pub fn _restored_levels<'py>(
    py: Python<'py>,
    levels: Bound<'py, PyTuple>,
    complete: bool,
    update_id: i64,
    reason: String,
) -> PyResult<Bound<'py, Levels>> {
    Levels::given(py, levels, complete, update_id, reason)?.bound(py)
}

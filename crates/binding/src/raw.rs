//! The only `unsafe` code of this crate: four things that PyO3 has no safe words for.
//!
//! 1. `TupleMaker`: instances of a `NamedTuple` class without going through Python code.
//! 2. `unpack_slice`: the three numbers of a slice.
//! 3. `Table`: memory that numpy takes over without a copy.
//! 4. `Memory`: memory of columns that numpy reads where it is.
//!
//! Not here: anything that knows what a book is.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

use depthcache_arrow::export;
use depthcache_arrow::{Column, Table as Columns};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PySlice, PyType};

/// Makes instances of one `NamedTuple` class of `N` fields, four times as fast as calling it.
///
/// A `NamedTuple` class has a `__new__` written in Python whose whole work is
/// `tuple.__new__(class, (field, …))`. That inner call is made here directly, through the
/// `tp_new` slot of `tuple`, so what comes out is what the class itself would have made, on every
/// Python version. (Allocating with `PyType_GenericAlloc` and filling the items is a seventh
/// faster still, but wrong since Python 3.14: a tuple then caches its hash in a field that only
/// `tuple.__new__` prepares; `Objects/tupleobject.c`, read 2026-11-24.)
///
/// The `(field, …)` tuple and the argument tuple around it are used again for every instance.
pub struct TupleMaker<'py, const N: usize> {
    class: *mut ffi::PyTypeObject,
    new: ffi::newfunc,
    /// Holds exactly one item: the tuple `fields`.
    arguments: Bound<'py, PyAny>,
    /// Borrowed: `arguments` owns it.
    fields: *mut ffi::PyObject,
    borrowed: PhantomData<&'py PyType>,
}

impl<'py, const N: usize> TupleMaker<'py, N> {
    /// A maker of instances of `class`, which must be a `NamedTuple` class of `N` fields.
    pub fn new(class: &'py Bound<'py, PyType>) -> PyResult<Self> {
        let py = class.py();
        let tuple = &raw mut ffi::PyTuple_Type;
        // SAFETY: `tuple` is a static type that lives as long as the interpreter and has a
        // `tp_new`, whose C type is `newfunc` (the documented meaning of `Py_tp_new`). Only a
        // subtype of `tuple` may be given to it: checked. `PyTuple_New` returns a new reference
        // or NULL with an error set; `PyTuple_SetItem` takes over the reference to `fields`.
        unsafe {
            let class = class.as_type_ptr();
            assert!(
                ffi::PyType_IsSubtype(class, tuple) == 1,
                "a NamedTuple class is a tuple"
            );
            let slot = ffi::PyType_GetSlot(tuple, ffi::Py_tp_new);
            let arguments = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(1))?;
            let fields = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(N as isize))?.into_ptr();
            if ffi::PyTuple_SetItem(arguments.as_ptr(), 0, fields) != 0 {
                return Err(PyErr::fetch(py));
            }
            Ok(Self {
                class,
                new: std::mem::transmute::<*mut c_void, ffi::newfunc>(slot),
                arguments,
                fields,
                borrowed: PhantomData,
            })
        }
    }

    /// One instance with these fields.
    pub fn make(&mut self, fields: [Bound<'py, PyAny>; N]) -> PyResult<Bound<'py, PyAny>> {
        let py = self.arguments.py();
        // SAFETY: `fields` is alive (`arguments` owns it) and has N items. `PyTuple_SetItem`
        // takes over the reference it is given, also when it fails, and refuses a tuple that
        // has another reference. `new` copies the items into a new object with references of
        // their own; it returns a new reference or NULL with an error set.
        unsafe {
            for (index, field) in fields.into_iter().enumerate() {
                if ffi::PyTuple_SetItem(self.fields, index as isize, field.into_ptr()) != 0 {
                    return Err(PyErr::fetch(py));
                }
            }
            let made = (self.new)(self.class, self.arguments.as_ptr(), ptr::null_mut());
            Bound::from_owned_ptr_or_err(py, made)
        }
    }
}

/// `(start, stop, step)` of a slice as Python reads them: open ends and numbers beyond `isize`
/// become the far ends of `isize`; a step of zero raises `ValueError`.
pub fn unpack_slice(slice: &Bound<'_, PySlice>) -> PyResult<(isize, isize, isize)> {
    let (mut start, mut stop, mut step) = (0, 0, 0);
    // SAFETY: `slice` is a slice object and the three pointers are to live integers.
    let failed =
        unsafe { ffi::PySlice_Unpack(slice.as_ptr(), &mut start, &mut stop, &mut step) } != 0;
    if failed {
        return Err(PyErr::fetch(slice.py()));
    }
    Ok((start, stop, step))
}

/// A table of 64-bit numbers, two columns, that `numpy.asarray` shares through the buffer protocol.
#[pyclass(frozen, module = "depthcache._native")]
pub struct Table {
    /// `shape[0] * shape[1]` cells that `Drop` frees; only readers of the buffer touch them.
    cells: *mut [u64],
    /// What a cell is, as the `struct` module of Python writes it.
    format: &'static CStr,
    shape: [isize; 2],
    strides: [isize; 2],
}

// SAFETY: the memory belongs to this object alone and Rust never reads or writes it again until
// `Drop`, when no buffer is left (each holds a reference to this object). What Python does with
// the shared memory follows the rules of every other writable buffer.
unsafe impl Send for Table {}
unsafe impl Sync for Table {}

impl Table {
    /// A table of float64.
    pub fn of_floats(rows: Vec<[f64; 2]>) -> Self {
        Self::of_cells(
            rows.into_iter().map(|row| row.map(f64::to_bits)).collect(),
            c"d",
        )
    }

    /// A table of int64.
    pub fn of_integers(rows: Vec<[i64; 2]>) -> Self {
        Self::of_cells(
            rows.into_iter()
                .map(|row| row.map(|number| number as u64))
                .collect(),
            c"q",
        )
    }

    fn of_cells(rows: Vec<[u64; 2]>, format: &'static CStr) -> Self {
        let shape = [rows.len() as isize, 2];
        let cells: Box<[u64]> = rows.into_flattened().into_boxed_slice();
        Self {
            cells: Box::into_raw(cells),
            format,
            shape,
            strides: [16, 8],
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: `cells` came from `Box::into_raw` and is given back once, here.
        drop(unsafe { Box::from_raw(self.cells) });
    }
}

#[pymethods]
impl Table {
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view to fill"));
        }
        let table = slf.get();
        let asked = |what: c_int| flags & what == what;
        // SAFETY: `view` is the caller's to be filled (the contract of `bf_getbuffer`). The
        // pointers into `table` stay valid while `view.obj` holds its reference to it; consumers
        // do not write through `shape` and `strides`.
        unsafe {
            (*view).buf = table.cells.cast();
            (*view).len = table.cells.len() as isize * 8;
            (*view).readonly = 0;
            (*view).itemsize = 8;
            (*view).format = if asked(ffi::PyBUF_FORMAT) {
                table.format.as_ptr().cast_mut()
            } else {
                ptr::null_mut()
            };
            (*view).ndim = 2;
            (*view).shape = if asked(ffi::PyBUF_ND) {
                table.shape.as_ptr().cast_mut()
            } else {
                ptr::null_mut()
            };
            (*view).strides = if asked(ffi::PyBUF_STRIDES) {
                table.strides.as_ptr().cast_mut()
            } else {
                ptr::null_mut()
            };
            (*view).suboffsets = ptr::null_mut();
            (*view).internal = ptr::null_mut();
            (*view).obj = slf.into_ptr();
        }
        Ok(())
    }
}

/// The bytes of one column, to be read where they are through the buffer protocol.
#[pyclass(frozen, module = "depthcache._native")]
pub struct Memory {
    /// Keeps the bytes alive.
    _columns: Arc<Columns>,
    start: *const c_void,
    len: usize,
}

// SAFETY: the bytes belong to `_columns`, which never changes; the view is read-only.
unsafe impl Send for Memory {}
unsafe impl Sync for Memory {}

impl Memory {
    /// The values of a column.
    pub fn values(columns: &Arc<Columns>, index: usize) -> Memory {
        let (start, len) = export::bytes(&columns.columns()[index].values);
        Memory {
            _columns: columns.clone(),
            start,
            len,
        }
    }

    /// The bits of a column's validity: which values are present; None where all are.
    pub fn validity(columns: &Arc<Columns>, index: usize) -> Option<Memory> {
        let Column { validity, .. } = &columns.columns()[index];
        let (start, len) = export::bits(validity.as_ref()?);
        Some(Memory {
            _columns: columns.clone(),
            start,
            len,
        })
    }
}

#[pymethods]
impl Memory {
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let memory = slf.get();
        // SAFETY: `PyBuffer_FillInfo` checks `view`, refuses writers (`readonly` is 1) and takes a
        // reference to this object, which keeps the bytes alive; they never change.
        let failed = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                memory.start.cast_mut(),
                memory.len as isize,
                1,
                flags,
            )
        } != 0;
        if failed {
            return Err(PyErr::fetch(slf.py()));
        }
        Ok(())
    }
}

//! The only `unsafe` code of this crate: five things that PyO3 has no safe words for.
//!
//! 1. `TupleClass` and `TupleMaker`: instances of a `NamedTuple` class without going through Python code.
//! 2. `tuple_of`: a tuple filled in place. `refill`: new values in a tuple with no other reference.
//! 3. `unpack_slice`: the three numbers of a slice.
//! 4. `Table`: memory that numpy takes over without a copy, by numpy's own functions where they are known.
//! 5. `Memory`: memory of columns that numpy reads where it is.
//!
//! Not here: anything that knows what a book is.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr;
use std::sync::Arc;

use depthcache_arrow::export;
use depthcache_arrow::{Column, Table as Columns};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PySlice, PyTuple, PyType};

/// A `NamedTuple` class, known to be one.
pub struct TupleClass {
    class: Py<PyType>,
    new: ffi::newfunc,
}

impl TupleClass {
    /// A class, which must be a `NamedTuple` class.
    pub fn new(class: Bound<'_, PyType>) -> TupleClass {
        let tuple = &raw mut ffi::PyTuple_Type;
        // SAFETY: `tuple` is a static type that lives as long as the interpreter and has a
        // `tp_new`, whose C type is `newfunc` (the documented meaning of `Py_tp_new`). Only a
        // subtype of `tuple` may be given to it: checked.
        let new = unsafe {
            assert!(
                ffi::PyType_IsSubtype(class.as_type_ptr(), tuple) == 1,
                "a NamedTuple class is a tuple"
            );
            let slot = ffi::PyType_GetSlot(tuple, ffi::Py_tp_new);
            std::mem::transmute::<*mut c_void, ffi::newfunc>(slot)
        };
        TupleClass {
            class: class.unbind(),
            new,
        }
    }

    /// A maker of instances of the class, whose fields are `N`.
    pub fn maker<'py, const N: usize>(&'py self, py: Python<'py>) -> PyResult<TupleMaker<'py, N>> {
        self.short_lived(py)
    }

    /// The same; it must not outlive the class.
    fn short_lived<'py, const N: usize>(&self, py: Python<'py>) -> PyResult<TupleMaker<'py, N>> {
        // SAFETY: `PyTuple_New` returns a new reference or NULL with an error set;
        // `PyTuple_SetItem` takes over the reference to `fields`.
        unsafe {
            let arguments = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(1))?;
            let fields = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(N as isize))?.into_ptr();
            if ffi::PyTuple_SetItem(arguments.as_ptr(), 0, fields) != 0 {
                return Err(PyErr::fetch(py));
            }
            Ok(TupleMaker {
                class: self.class.as_ptr().cast(),
                new: self.new,
                arguments,
                fields,
                borrowed: PhantomData,
            })
        }
    }

    /// One instance.
    pub fn make<'py, const N: usize>(
        &self,
        py: Python<'py>,
        fields: [Bound<'py, PyAny>; N],
    ) -> PyResult<Bound<'py, PyAny>> {
        self.short_lived::<N>(py)?.make(fields)
    }
}

/// A tuple of `count` objects, each made when its place is filled.
pub fn tuple_of<'py>(
    py: Python<'py>,
    count: usize,
    mut each: impl FnMut(usize) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyTuple>> {
    // SAFETY: `PyTuple_New` returns a new tuple or NULL with an error set. Nothing else refers to it before it is
    // filled. `PyTuple_SetItem` takes over the reference it is given, and the index is inside; a tuple whose
    // places are still NULL may be dropped.
    unsafe {
        let tuple = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(count as isize))?;
        for index in 0..count {
            if ffi::PyTuple_SetItem(tuple.as_ptr(), index as isize, each(index)?.into_ptr()) != 0 {
                return Err(PyErr::fetch(py));
            }
        }
        Ok(tuple.cast_into_unchecked())
    }
}

/// Whether tuples with a single reference may be refilled: not where threads run without the interpreter's lock, and
/// not since Python 3.14, whose tuples remember their hash and whose frames borrow references.
fn may_refill(py: Python<'_>) -> bool {
    static ANSWER: PyOnceLock<bool> = PyOnceLock::new();
    let find = || -> PyResult<bool> {
        if py.version_info() < (3, 13) {
            return Ok(true);
        }
        let config = py.import("sysconfig")?;
        let free_threaded = config.call_method1("get_config_var", ("Py_GIL_DISABLED",))?;
        Ok(py.version_info() < (3, 14) && !free_threaded.is_truthy()?)
    };
    *ANSWER.get_or_init(py, || find().unwrap_or(false))
}

/// Replace values in a tuple; false, and nothing is done, if anything else refers to the tuple.
///
/// CPython does the same with the tuples that `zip` and `enumerate` give: making and freeing an object costs more
/// than the numbers in it.
pub fn refill<'py, const N: usize>(
    tuple: &Bound<'py, PyAny>,
    values: [Option<Bound<'py, PyAny>>; N],
) -> bool {
    // SAFETY: `tuple` is alive.
    unsafe { refill_at(tuple.py(), tuple.as_ptr(), values) }
}

/// The same of a tuple that is an item of a list or of a tuple.
///
/// Must be called only with a `holder` that has no other reference.
pub fn refill_item<'py, const N: usize>(
    holder: &Bound<'py, PyAny>,
    place: usize,
    values: [Option<Bound<'py, PyAny>>; N],
) -> bool {
    let (py, place) = (holder.py(), place as isize);
    // SAFETY: `holder` is alive. Both return a reference that is borrowed from it, which keeps it, or NULL with an
    // error set, which is cleared.
    unsafe {
        if ffi::Py_REFCNT(holder.as_ptr()) != 1 {
            return false;
        }
        let item = match ffi::PyList_Check(holder.as_ptr()) {
            0 => ffi::PyTuple_GetItem(holder.as_ptr(), place),
            _ => ffi::PyList_GetItem(holder.as_ptr(), place),
        };
        if item.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        refill_at(py, item, values)
    }
}

/// # Safety
///
/// `tuple` is alive, by one reference at least.
unsafe fn refill_at<const N: usize>(
    py: Python<'_>,
    tuple: *mut ffi::PyObject,
    values: [Option<Bound<'_, PyAny>>; N],
) -> bool {
    // SAFETY: of a tuple with one reference, the caller's, `PyTuple_SetItem` replaces an item; it takes over the
    // reference to the value, also when it fails, which it does only for an index outside.
    unsafe {
        let is_ours = ffi::PyTuple_Check(tuple) != 0
            && ffi::Py_REFCNT(tuple) == 1
            && ffi::PyTuple_Size(tuple) == N as isize;
        if !is_ours || !may_refill(py) {
            return false;
        }
        for (index, value) in values.into_iter().enumerate() {
            if let Some(value) = value
                && ffi::PyTuple_SetItem(tuple, index as isize, value.into_ptr()) != 0
            {
                ffi::PyErr_Clear();
                return false;
            }
        }
        true
    }
}

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

/// A table of 64-bit numbers, two columns, that arrays of numpy share.
#[pyclass(frozen, module = "depthcache._native")]
pub struct Table {
    /// `rows` of them, in memory of a `Vec` that `Drop` frees; only readers of the arrays and of the buffer touch them.
    cells: *mut [u64; 2],
    capacity: usize,
    kind: Kind,
    shape: [isize; 2],
    strides: [isize; 2],
}

/// What a cell is.
#[derive(Clone, Copy)]
enum Kind {
    Float,
    Integer,
}

impl Kind {
    /// As the `struct` module of Python writes it.
    fn format(self) -> &'static CStr {
        match self {
            Kind::Float => c"d",
            Kind::Integer => c"q",
        }
    }
}

// SAFETY: the memory belongs to this object alone and Rust never reads or writes it again until
// `Drop`, when no array and no buffer is left (each holds a reference to this object). What Python does with
// the shared memory follows the rules of every other writable buffer.
unsafe impl Send for Table {}
unsafe impl Sync for Table {}

impl Table {
    /// A table of float64.
    pub fn of_floats(rows: Vec<[f64; 2]>) -> Self {
        let mut rows = ManuallyDrop::new(rows);
        Self::of_cells(
            rows.as_mut_ptr().cast(),
            rows.len(),
            rows.capacity(),
            Kind::Float,
        )
    }

    /// A table of int64.
    pub fn of_integers(rows: Vec<[i64; 2]>) -> Self {
        let mut rows = ManuallyDrop::new(rows);
        Self::of_cells(
            rows.as_mut_ptr().cast(),
            rows.len(),
            rows.capacity(),
            Kind::Integer,
        )
    }

    /// `cells`: of a `Vec` of rows of two cells.
    fn of_cells(cells: *mut [u64; 2], rows: usize, capacity: usize, kind: Kind) -> Self {
        Self {
            cells,
            capacity,
            kind,
            shape: [rows as isize, 2],
            strides: [16, 8],
        }
    }

    /// An array of all rows.
    pub fn array(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let rows = self.shape[0] as usize;
        let table = Bound::new(py, self)?;
        match ArrayApi::get(py) {
            Some(api) => api.array(&table, 0..rows),
            None => as_array(&table),
        }
    }

    /// An array of the first rows, and one of all rows behind.
    pub fn arrays(self, py: Python<'_>, split: usize) -> PyResult<[Bound<'_, PyAny>; 2]> {
        let rows = self.shape[0] as usize;
        let table = Bound::new(py, self)?;
        let parts = [0..split, split..rows];
        let [first, rest] = match ArrayApi::get(py) {
            Some(api) => parts.map(|part| api.array(&table, part)),
            None => {
                let array = as_array(&table)?;
                parts.map(|Range { start, end }| {
                    array.get_item(PySlice::new(py, start as isize, end as isize, 1))
                })
            }
        };
        Ok([first?, rest?])
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: the memory came from a `Vec` of rows of two numbers with the size and the alignment of these, and is
        // given back once, here.
        drop(unsafe { Vec::from_raw_parts(self.cells, 0, self.capacity) });
    }
}

/// An array over the table's memory, by the buffer protocol.
fn as_array<'py>(table: &Bound<'py, Table>) -> PyResult<Bound<'py, PyAny>> {
    static AS_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = table.py();
    let find = || Ok::<_, PyErr>(py.import("numpy")?.getattr("asarray")?.unbind());
    AS_ARRAY.get_or_try_init(py, find)?.bind(py).call1((table,))
}

/// `PyArray_New`.
type NewArray = unsafe extern "C" fn(
    *mut ffi::PyTypeObject,
    c_int,
    *const isize,
    c_int,
    *const isize,
    *mut c_void,
    c_int,
    c_int,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// `PyArray_SetBaseObject`.
type SetBase = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> c_int;

/// Functions of numpy's C interface, which make an array of memory in a quarter of the time that the buffer protocol
/// takes. <https://numpy.org/doc/stable/reference/c-api/array.html> (read 2026-11-30)
struct ArrayApi {
    class: *mut ffi::PyTypeObject,
    new: NewArray,
    set_base: SetBase,
    /// The numbers of the types of `Kind`.
    types: [c_int; 2],
}

// SAFETY: a type and functions that live as long as the interpreter, which never unloads numpy.
unsafe impl Send for ArrayApi {}
unsafe impl Sync for ArrayApi {}

/// Where numpy keeps its functions, newest version first.
const HOMES: [&str; 2] = [
    "numpy._core._multiarray_umath",
    "numpy.core._multiarray_umath",
];
/// Places in its table of functions, the same in every version 1 and 2.
const GET_VERSION: usize = 0;
const ARRAY_TYPE: usize = 2;
const NEW: usize = 93;
const SET_BASE: usize = 282;
/// In the order of C, aligned, writeable.
const ORDINARY: c_int = 0x501;

impl ArrayApi {
    /// The functions; None where this numpy has others.
    fn get(py: Python<'_>) -> Option<&'static ArrayApi> {
        static FOUND: PyOnceLock<Option<ArrayApi>> = PyOnceLock::new();
        FOUND
            .get_or_init(py, || Self::find(py).unwrap_or_default())
            .as_ref()
    }

    fn find(py: Python<'_>) -> PyResult<Option<ArrayApi>> {
        let numpy = py.import("numpy")?;
        let home = HOMES.into_iter().find_map(|home| py.import(home).ok());
        let Some(capsule) = home.and_then(|home| home.getattr("_ARRAY_API").ok()) else {
            return Ok(None);
        };
        let number = |name: &str| {
            numpy
                .call_method1("dtype", (name,))?
                .getattr("num")?
                .extract()
        };
        let types = [number("float64")?, number("int64")?];
        // SAFETY: the capsule, which has no name, holds a table of pointers, which numpy documents as its interface and
        // has extended at its end only: those at these places are a type and functions of these signatures. That the
        // version is one of those is asked first, by the function that has been at the first place since version 1.
        unsafe {
            if ffi::PyCapsule_CheckExact(capsule.as_ptr()) == 0 {
                return Ok(None);
            }
            let table = ffi::PyCapsule_GetPointer(capsule.as_ptr(), ptr::null());
            if table.is_null() {
                return Err(PyErr::fetch(py));
            }
            let table = table.cast::<*mut c_void>();
            let version: unsafe extern "C" fn() -> c_uint =
                std::mem::transmute(*table.add(GET_VERSION));
            if !matches!(version() >> 24, 1 | 2) {
                return Ok(None);
            }
            Ok(Some(ArrayApi {
                class: (*table.add(ARRAY_TYPE)).cast(),
                new: std::mem::transmute::<*mut c_void, NewArray>(*table.add(NEW)),
                set_base: std::mem::transmute::<*mut c_void, SetBase>(*table.add(SET_BASE)),
                types,
            }))
        }
    }

    /// An array of some rows of a table, which lives as long as the array.
    fn array<'py>(
        &self,
        table: &Bound<'py, Table>,
        rows: Range<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, cells) = (table.py(), table.get());
        let shape = [rows.len() as isize, 2];
        // SAFETY: the rows are inside (checked), so their memory is there as long as the table, of which the array gets
        // a reference that `set_base` takes over, also when it fails. Without strides the rows follow each other.
        unsafe {
            assert!(rows.start <= rows.end && rows.end <= cells.shape[0] as usize);
            let made = (self.new)(
                self.class,
                2,
                shape.as_ptr(),
                self.types[cells.kind as usize],
                ptr::null(),
                cells.cells.add(rows.start).cast(),
                0,
                ORDINARY,
                ptr::null_mut(),
            );
            let made = Bound::from_owned_ptr_or_err(py, made)?;
            if (self.set_base)(made.as_ptr(), table.clone().into_ptr()) != 0 {
                return Err(PyErr::fetch(py));
            }
            Ok(made)
        }
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
            (*view).len = table.shape[0] * 16;
            (*view).readonly = 0;
            (*view).itemsize = 8;
            (*view).format = if asked(ffi::PyBUF_FORMAT) {
                table.kind.format().as_ptr().cast_mut()
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
        let Column { validity, .. } = &*columns.columns()[index];
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

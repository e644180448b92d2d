//! The structures of the Arrow C data and stream interface.
//!
//! Dropping a structure releases its contents, unless it was released or moved away (`release` is null then).
//! `export` fills them.
#![allow(
    dead_code,
    reason = "the fields are read by borrowers, in other programs"
)]

use std::ffi::{c_char, c_int, c_void};

/// The flag of a nullable field.
pub const NULLABLE: i64 = 2;

/// The type of a column or a table.
#[repr(C)]
#[derive(Debug)]
pub struct ArrowSchema {
    /// The type.
    pub(crate) format: *const c_char,
    /// The name.
    pub(crate) name: *const c_char,
    /// Metadata; null.
    pub(crate) metadata: *const c_char,
    /// Flags such as `NULLABLE`.
    pub(crate) flags: i64,
    /// Number of columns of a table.
    pub(crate) n_children: i64,
    /// The columns of a table.
    pub(crate) children: *mut *mut ArrowSchema,
    /// The dictionary of a column, or null.
    pub(crate) dictionary: *mut ArrowSchema,
    /// Releases the contents and sets itself to null; null in a released or moved structure.
    pub(crate) release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    /// For the exporter alone.
    pub(crate) private_data: *mut c_void,
}

/// The values of a column or a table.
#[repr(C)]
#[derive(Debug)]
pub struct ArrowArray {
    /// Number of values.
    pub(crate) length: i64,
    /// Number of null values.
    pub(crate) null_count: i64,
    /// Values to skip; 0.
    pub(crate) offset: i64,
    /// Number of buffers.
    pub(crate) n_buffers: i64,
    /// Number of columns of a table.
    pub(crate) n_children: i64,
    /// The buffers: validity, then values (for strings: offsets, then bytes).
    pub(crate) buffers: *mut *const c_void,
    /// The columns of a table.
    pub(crate) children: *mut *mut ArrowArray,
    /// The dictionary of a column, or null.
    pub(crate) dictionary: *mut ArrowArray,
    /// Releases the contents and sets itself to null; null in a released or moved structure.
    pub(crate) release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    /// For the exporter alone.
    pub(crate) private_data: *mut c_void,
}

/// A sequence of arrays with one schema.
#[repr(C)]
#[derive(Debug)]
pub struct ArrowArrayStream {
    /// Fills in the schema; returns 0 or an `errno` value.
    pub(crate) get_schema:
        Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowSchema) -> c_int>,
    /// Fills in the next array, at the end one with a null `release`; returns 0 or an `errno` value.
    pub(crate) get_next:
        Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowArray) -> c_int>,
    /// The last error, or null.
    pub(crate) get_last_error: Option<unsafe extern "C" fn(*mut ArrowArrayStream) -> *const c_char>,
    /// Releases the contents and sets itself to null.
    pub(crate) release: Option<unsafe extern "C" fn(*mut ArrowArrayStream)>,
    /// For the exporter alone.
    pub(crate) private_data: *mut c_void,
}

macro_rules! owned {
    ($($structure:ty),*) => {$(
        impl Drop for $structure {
            fn drop(&mut self) {
                if let Some(release) = self.release {
                    // SAFETY: only `export` fills these structures, with the matching `release`; it is called
                    // once, because it sets itself to null.
                    unsafe { release(self) };
                }
            }
        }

        // SAFETY: the pointers lead to memory of the structure itself, or of a table that never changes; any
        // thread may release them.
        unsafe impl Send for $structure {}
    )*};
}

owned!(ArrowSchema, ArrowArray, ArrowArrayStream);

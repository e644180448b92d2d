//! The structures of the Arrow C data and stream interface, field by field.
//!
//! The owner of one owns what it lends: dropping it gives that back, unless it was given back or moved
//! away (`release` is null then). Not here: what is put into them (`export`).
#![allow(
    dead_code,
    reason = "the fields are read by borrowers, in other programs"
)]

use std::ffi::{c_char, c_int, c_void};

/// The flag of a field whose values may be missing.
pub const NULLABLE: i64 = 2;

/// What a column or a table is.
#[repr(C)]
#[derive(Debug)]
pub struct ArrowSchema {
    /// The type.
    pub(crate) format: *const c_char,
    /// The name.
    pub(crate) name: *const c_char,
    /// Further facts; null.
    pub(crate) metadata: *const c_char,
    /// Among others `NULLABLE`.
    pub(crate) flags: i64,
    /// How many columns a table has.
    pub(crate) n_children: i64,
    /// The columns of a table.
    pub(crate) children: *mut *mut ArrowSchema,
    /// What the integers of a column mean, or null.
    pub(crate) dictionary: *mut ArrowSchema,
    /// Gives everything back and sets itself to null; null in what was given back or moved away.
    pub(crate) release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    /// The lender's own.
    pub(crate) private_data: *mut c_void,
}

/// The values of a column or a table.
#[repr(C)]
#[derive(Debug)]
pub struct ArrowArray {
    /// How many values.
    pub(crate) length: i64,
    /// How many of them are missing.
    pub(crate) null_count: i64,
    /// Values to skip; 0.
    pub(crate) offset: i64,
    /// How many buffers.
    pub(crate) n_buffers: i64,
    /// How many columns a table has.
    pub(crate) n_children: i64,
    /// The memory: validity, then values (texts: offsets, then bytes).
    pub(crate) buffers: *mut *const c_void,
    /// The columns of a table.
    pub(crate) children: *mut *mut ArrowArray,
    /// What the integers of a column mean, or null.
    pub(crate) dictionary: *mut ArrowArray,
    /// Gives everything back and sets itself to null; null in what was given back or moved away.
    pub(crate) release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    /// The lender's own.
    pub(crate) private_data: *mut c_void,
}

/// Arrays of one schema, one after another.
#[repr(C)]
#[derive(Debug)]
pub struct ArrowArrayStream {
    /// Fills in the schema; 0, or a number of `errno`.
    pub(crate) get_schema:
        Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowSchema) -> c_int>,
    /// Fills in the next array, or one whose `release` is null at the end; 0, or a number of `errno`.
    pub(crate) get_next:
        Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowArray) -> c_int>,
    /// What went wrong, or null.
    pub(crate) get_last_error: Option<unsafe extern "C" fn(*mut ArrowArrayStream) -> *const c_char>,
    /// Gives everything back and sets itself to null.
    pub(crate) release: Option<unsafe extern "C" fn(*mut ArrowArrayStream)>,
    /// The lender's own.
    pub(crate) private_data: *mut c_void,
}

macro_rules! owned {
    ($($structure:ty),*) => {$(
        impl Drop for $structure {
            fn drop(&mut self) {
                if let Some(release) = self.release {
                    // SAFETY: only `export` fills these structures, with the `release` that belongs to
                    // what they point to; it is called once, because it sets itself to null.
                    unsafe { release(self) };
                }
            }
        }

        // SAFETY: what the pointers lead to is the structure's own or a share of a table that never
        // changes; any thread may give it back.
        unsafe impl Send for $structure {}
    )*};
}

owned!(ArrowSchema, ArrowArray, ArrowArrayStream);

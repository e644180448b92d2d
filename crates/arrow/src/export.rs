//! Export a table without copying: its memory is shared, and lives until the last borrower releases it.
//!
//! Theory of operation. Every exported structure owns a `Hold` in its `private_data`: a reference to the table
//! (which keeps its memory alive), the pointer lists of the structure, and the structures of its columns.
//! `release` drops the hold. A borrower may move the structure of a column out of that of its table, by
//! copying it and setting `release` of the original to null. Therefore each column has its own hold and
//! reference, and the table's `release` skips moved columns.
//!
//! The `unsafe` code of this crate is here and, for dropping, in `abi`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;

use crate::abi::{ArrowArray, ArrowArrayStream, ArrowSchema, NULLABLE};
use crate::{Bits, Column, InstanceCount, LENT, Table, Texts, Values};

/// The address of empty buffers, because some readers reject null.
static NOTHING: [u64; 2] = [0; 2];

/// Keeps an exported structure of type `S` alive.
struct Hold<S> {
    _table: Arc<Table>,
    buffers: Vec<*const c_void>,
    children: Vec<*mut S>,
    dictionary: *mut S,
    _counted: InstanceCount,
}

impl<S> Hold<S> {
    fn new(
        table: &Arc<Table>,
        buffers: Vec<*const c_void>,
        children: Vec<S>,
        dictionary: Option<S>,
    ) -> Box<Self> {
        let boxed = |structure| Box::into_raw(Box::new(structure));
        Box::new(Hold {
            _table: table.clone(),
            buffers,
            children: children.into_iter().map(boxed).collect(),
            dictionary: dictionary.map_or(ptr::null_mut(), boxed),
            _counted: InstanceCount::new(&LENT),
        })
    }
}

impl<S> Drop for Hold<S> {
    fn drop(&mut self) {
        let dictionary = (!self.dictionary.is_null()).then_some(self.dictionary);
        for structure in self.children.drain(..).chain(dictionary) {
            // SAFETY: each pointer came from `Box::into_raw` in `new` and is used only here. Dropping
            // releases what the borrower has not moved out.
            drop(unsafe { Box::from_raw(structure) });
        }
    }
}

/// The schema of a table: a struct of its columns.
pub fn schema(table: &Arc<Table>) -> ArrowSchema {
    let children = table
        .columns()
        .iter()
        .map(|column| column_schema(table, column))
        .collect();
    filled_schema(c"+s", c"", 0, Hold::new(table, Vec::new(), children, None))
}

fn column_schema(table: &Arc<Table>, column: &Column) -> ArrowSchema {
    let texts = column.dictionary.as_ref().map(|_| {
        filled_schema(
            c"u",
            c"",
            NULLABLE,
            Hold::new(table, Vec::new(), Vec::new(), None),
        )
    });
    let hold = Hold::new(table, Vec::new(), Vec::new(), texts);
    filled_schema(column.values.format(), column.name, NULLABLE, hold)
}

fn filled_schema(
    format: &'static CStr,
    name: &'static CStr,
    flags: i64,
    mut hold: Box<Hold<ArrowSchema>>,
) -> ArrowSchema {
    ArrowSchema {
        format: format.as_ptr(),
        name: name.as_ptr(),
        metadata: ptr::null(),
        flags,
        n_children: hold.children.len() as i64,
        children: hold.children.as_mut_ptr(),
        dictionary: hold.dictionary,
        release: Some(release_schema),
        private_data: Box::into_raw(hold).cast(),
    }
}

/// The values of a table: a struct of its columns.
pub fn array(table: &Arc<Table>) -> ArrowArray {
    let children = table
        .columns()
        .iter()
        .map(|column| column_array(table, column))
        .collect();
    filled_array(
        table.len(),
        0,
        Hold::new(table, vec![ptr::null()], children, None),
    )
}

fn column_array(table: &Arc<Table>, column: &Column) -> ArrowArray {
    let texts = column
        .dictionary
        .as_ref()
        .map(|texts| texts_array(table, texts));
    let (validity, missing) = match &column.validity {
        Some(bits) if bits.unset() > 0 => (start(&bits.bytes), bits.unset()),
        _ => (ptr::null(), 0),
    };
    let hold = Hold::new(
        table,
        vec![validity, values_start(&column.values)],
        Vec::new(),
        texts,
    );
    filled_array(column.values.len(), missing, hold)
}

fn texts_array(table: &Arc<Table>, texts: &Texts) -> ArrowArray {
    let buffers = vec![ptr::null(), start(&texts.offsets), start(&texts.bytes)];
    filled_array(texts.len(), 0, Hold::new(table, buffers, Vec::new(), None))
}

fn filled_array(len: usize, missing: usize, mut hold: Box<Hold<ArrowArray>>) -> ArrowArray {
    ArrowArray {
        length: len as i64,
        null_count: missing as i64,
        offset: 0,
        n_buffers: hold.buffers.len() as i64,
        n_children: hold.children.len() as i64,
        buffers: hold.buffers.as_mut_ptr(),
        children: hold.children.as_mut_ptr(),
        dictionary: hold.dictionary,
        release: Some(release_array),
        private_data: Box::into_raw(hold).cast(),
    }
}

fn values_start(values: &Values) -> *const c_void {
    match values {
        Values::Int8(values) => start(values),
        Values::Int32(values) => start(values),
        Values::Int64(values) | Values::TimestampMicroseconds(values) => start(values),
        Values::Float64(values) => start(values),
        Values::Decimal128(values) => start(values),
        Values::Boolean(Bits { bytes, .. }) => start(bytes),
    }
}

fn start<T>(values: &[T]) -> *const c_void {
    if values.is_empty() {
        return NOTHING.as_ptr().cast();
    }
    values.as_ptr().cast()
}

/// The values of a column as bytes.
pub fn bytes(values: &Values) -> (*const c_void, usize) {
    let size = match values {
        Values::Int8(_) => 1,
        Values::Int32(_) => 4,
        Values::Int64(_) | Values::TimestampMicroseconds(_) | Values::Float64(_) => 8,
        Values::Decimal128(_) => 16,
        Values::Boolean(bits) => return (start(&bits.bytes), bits.bytes.len()),
    };
    (values_start(values), values.len() * size)
}

/// The bits as bytes.
pub fn bits(bits: &Bits) -> (*const c_void, usize) {
    (start(&bits.bytes), bits.bytes.len())
}

/// The table as a stream of one array.
pub fn stream(table: &Arc<Table>) -> ArrowArrayStream {
    let source = Box::new(StreamHold {
        table: table.clone(),
        is_done: false,
        _counted: InstanceCount::new(&LENT),
    });
    ArrowArrayStream {
        get_schema: Some(stream_schema),
        get_next: Some(stream_next),
        get_last_error: Some(stream_error),
        release: Some(release_stream),
        private_data: Box::into_raw(source).cast(),
    }
}

struct StreamHold {
    table: Arc<Table>,
    is_done: bool,
    _counted: InstanceCount,
}

// SAFETY of all functions below: borrowers call them by the rules of the interface, with a pointer to a
// structure that was filled here and is not released yet. `private_data` of a schema or an array is then a
// `Hold`, and that of a stream a `StreamHold`, each from `Box::into_raw`. None of them can panic: they only
// copy pointers, allocate and free.

unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    // SAFETY: see above.
    unsafe {
        drop(Box::from_raw(
            (*schema).private_data.cast::<Hold<ArrowSchema>>(),
        ));
        (*schema).private_data = ptr::null_mut();
        (*schema).release = None;
    }
}

unsafe extern "C" fn release_array(array: *mut ArrowArray) {
    // SAFETY: see above.
    unsafe {
        drop(Box::from_raw(
            (*array).private_data.cast::<Hold<ArrowArray>>(),
        ));
        (*array).private_data = ptr::null_mut();
        (*array).release = None;
    }
}

unsafe extern "C" fn stream_schema(stream: *mut ArrowArrayStream, into: *mut ArrowSchema) -> c_int {
    // SAFETY: see above; `into` is memory of the borrower to be filled, without contents to drop.
    unsafe {
        let source = &*(*stream).private_data.cast::<StreamHold>();
        into.write(schema(&source.table));
    }
    0
}

unsafe extern "C" fn stream_next(stream: *mut ArrowArrayStream, into: *mut ArrowArray) -> c_int {
    // SAFETY: as above. By the rules of the interface, one borrower at a time uses a stream.
    unsafe {
        let source = &mut *(*stream).private_data.cast::<StreamHold>();
        into.write(if source.is_done {
            ended()
        } else {
            array(&source.table)
        });
        source.is_done = true;
    }
    0
}

/// The array that marks the end of a stream.
fn ended() -> ArrowArray {
    ArrowArray {
        length: 0,
        null_count: 0,
        offset: 0,
        n_buffers: 0,
        n_children: 0,
        buffers: ptr::null_mut(),
        children: ptr::null_mut(),
        dictionary: ptr::null_mut(),
        release: None,
        private_data: ptr::null_mut(),
    }
}

unsafe extern "C" fn stream_error(_stream: *mut ArrowArrayStream) -> *const c_char {
    ptr::null()
}

unsafe extern "C" fn release_stream(stream: *mut ArrowArrayStream) {
    // SAFETY: see above.
    unsafe {
        drop(Box::from_raw((*stream).private_data.cast::<StreamHold>()));
        (*stream).private_data = ptr::null_mut();
        (*stream).release = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::alive;

    /// The counters belong to the process, so these tests must not run at the same time.
    static TURN: Mutex<()> = Mutex::new(());

    fn table() -> Arc<Table> {
        let mut validity = Bits::default();
        [true, false, true]
            .into_iter()
            .for_each(|set| validity.push(set));
        let codes = Column {
            name: c"symbol",
            values: Values::Int32(vec![0, 1, 0]),
            validity: None,
            dictionary: Some(Texts::new(["BTCUSDT", "ETHUSDT"])),
        };
        let prices = Column {
            name: c"price",
            values: Values::Float64(vec![1.5, 2.5, 3.5]),
            validity: Some(validity),
            dictionary: None,
        };
        Table::new(3, vec![codes, prices])
    }

    #[test]
    fn memory_lives_until_the_last_borrower_gives_it_back() {
        let _turn = TURN.lock();
        let table = table();
        let (mut kind, mut values) = (schema(&table), array(&table));
        drop(table);
        assert_eq!(alive(), (1, 3 + 1 + 3 + 1));
        // SAFETY: what is read was filled above; each is released once.
        unsafe {
            let price = *values.children.add(1);
            let numbers = (*(*price).buffers.add(1)).cast::<f64>();
            assert_eq!(std::slice::from_raw_parts(numbers, 3), [1.5, 2.5, 3.5]);
            assert_eq!(
                ((*price).null_count, *(*(*price).buffers).cast::<u8>()),
                (1, 0b101)
            );
            kind.release.expect("not released")(&mut kind);
            values.release.expect("not released")(&mut values);
        }
        assert!(kind.release.is_none() && values.release.is_none());
        assert_eq!(alive(), (0, 0));
    }

    #[test]
    fn a_column_that_was_moved_out_outlives_its_table() {
        let _turn = TURN.lock();
        let mut values = array(&table());
        // SAFETY: moving as the interface describes it.
        unsafe {
            let child = *values.children;
            let mut moved = ptr::read(child);
            (*child).release = None;
            values.release.expect("not released")(&mut values);
            assert_eq!(alive(), (1, 2));
            let texts = moved.dictionary;
            let bytes = (*(*texts).buffers.add(2)).cast::<u8>();
            assert_eq!(std::slice::from_raw_parts(bytes, 14), b"BTCUSDTETHUSDT");
            moved.release.expect("not released")(&mut moved);
        }
        assert_eq!(alive(), (0, 0));
    }

    #[test]
    fn a_stream_gives_its_schema_any_time_and_its_array_once() {
        let _turn = TURN.lock();
        let mut source = stream(&table());
        // SAFETY: calls as the interface describes them.
        unsafe {
            let (mut kind, mut first, mut second) = (schema(&table()), ended(), ended());
            kind.release.expect("not released")(&mut kind);
            assert_eq!(source.get_schema.expect("set")(&mut source, &mut kind), 0);
            assert_eq!(source.get_next.expect("set")(&mut source, &mut first), 0);
            assert_eq!(source.get_next.expect("set")(&mut source, &mut second), 0);
            source.release.expect("not released")(&mut source);
            assert_eq!((kind.n_children, first.length, first.n_children), (2, 3, 2));
            assert!(second.release.is_none());
            kind.release.expect("not released")(&mut kind);
            first.release.expect("not released")(&mut first);
        }
        assert_eq!(alive(), (0, 0));
    }

    #[test]
    fn a_table_without_rows_has_its_columns_and_no_null_memory() {
        let _turn = TURN.lock();
        let empty = Column {
            name: c"price",
            values: Values::Float64(Vec::new()),
            validity: None,
            dictionary: Some(Texts::new(Vec::<String>::new())),
        };
        let mut values = array(&Table::new(0, vec![empty]));
        // SAFETY: as above.
        unsafe {
            assert!(!(*(**values.children).buffers.add(1)).is_null());
            values.release.expect("not released")(&mut values);
        }
        assert_eq!(alive(), (0, 0));
    }

    #[test]
    #[should_panic(expected = "price")]
    fn columns_of_another_length_are_refused() {
        let short = Column {
            name: c"price",
            values: Values::Float64(vec![1.0]),
            validity: None,
            dictionary: None,
        };
        Table::new(2, vec![short]);
    }
}

//! Tables that own their memory, exported by the Arrow C data interface.
//!
//! `Table` is safe: named vectors of numbers. `export` lends it to other libraries without a copy, with the
//! structures of `abi`. The crate has only what this project needs: flat columns with at most one dictionary
//! each, no nesting, no offsets into buffers, and no import of arrays.
//!
//! Source: Arrow C data and C stream interface, <https://arrow.apache.org/docs/format/CDataInterface.html>
//! and `CStreamInterface.html` (read 2026-11-25).

pub mod abi;
pub mod export;
pub mod portable;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The values of a column.
#[derive(Debug, PartialEq)]
pub enum Values {
    /// int8
    Int8(Vec<i8>),
    /// int32
    Int32(Vec<i32>),
    /// int64
    Int64(Vec<i64>),
    /// float64
    Float64(Vec<f64>),
    /// decimal128 of 38 digits, `DECIMAL_SCALE` of them after the point
    Decimal128(Vec<i128>),
    /// microseconds since 1970, UTC
    TimestampMicroseconds(Vec<i64>),
    /// booleans, one bit each
    Boolean(Bits),
}

/// Decimal places of every `Values::Decimal128`.
pub const DECIMAL_SCALE: u8 = 18;

impl Values {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Values::Int8(values) => values.len(),
            Values::Int32(values) => values.len(),
            Values::Int64(values) | Values::TimestampMicroseconds(values) => values.len(),
            Values::Float64(values) => values.len(),
            Values::Decimal128(values) => values.len(),
            Values::Boolean(bits) => bits.len,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type in the notation of the C data interface.
    pub fn format(&self) -> &'static std::ffi::CStr {
        match self {
            Values::Int8(_) => c"c",
            Values::Int32(_) => c"i",
            Values::Int64(_) => c"l",
            Values::Float64(_) => c"g",
            Values::Decimal128(_) => c"d:38,18",
            Values::TimestampMicroseconds(_) => c"tsu:UTC",
            Values::Boolean(_) => c"b",
        }
    }
}

/// Booleans, the first in the lowest bit of the first byte.
#[derive(Debug, Default, PartialEq)]
pub struct Bits {
    bytes: Vec<u8>,
    len: usize,
    unset: usize,
}

impl Bits {
    /// Append one.
    #[inline]
    pub fn push(&mut self, set: bool) {
        if self.len.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if set {
            self.bytes[self.len / 8] |= 1 << (self.len % 8);
        } else {
            self.unset += 1;
        }
        self.len += 1;
    }

    /// Append `count` copies of a value.
    pub fn extend(&mut self, set: bool, count: usize) {
        let end = self.len + count;
        let first = self.len;
        self.len = end;
        self.bytes.resize(end.div_ceil(8), 0);
        if !set {
            self.unset += count;
            return;
        }
        // Bits below the first in its byte stay; bits from the end on in its byte stay unset.
        let (from, to) = (first / 8, end / 8);
        let (below, beyond) = ((1u8 << (first % 8)) - 1, (1u8 << (end % 8)) - 1);
        if from == to {
            if count > 0 {
                self.bytes[from] |= beyond & !below;
            }
            return;
        }
        self.bytes[from] |= !below;
        self.bytes[from + 1..to].fill(u8::MAX);
        if beyond != 0 {
            self.bytes[to] |= beyond;
        }
    }

    /// Number of false values.
    pub fn unset(&self) -> usize {
        self.unset
    }
}

/// Strings that a column refers to by index.
#[derive(Debug, PartialEq)]
pub struct Texts {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
}

impl Texts {
    /// A dictionary of these strings in this order. Their total size must be below 2 GiB, as for names of
    /// markets.
    pub fn new<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Texts {
        let (mut offsets, mut bytes) = (vec![0], Vec::new());
        for text in texts {
            bytes.extend_from_slice(text.as_ref().as_bytes());
            offsets.push(i32::try_from(bytes.len()).expect("names are short"));
        }
        Texts { offsets, bytes }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.offsets.windows(2).map(|ends| {
            let bytes = &self.bytes[ends[0] as usize..ends[1] as usize];
            std::str::from_utf8(bytes).expect("they were texts")
        })
    }
}

/// One column.
#[derive(Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: &'static std::ffi::CStr,
    /// The values, or the indices into `dictionary`.
    pub values: Values,
    /// Which values are valid; None if all are.
    pub validity: Option<Bits>,
    /// The strings that the indices refer to.
    pub dictionary: Option<Texts>,
}

/// Columns of equal length that never change.
#[derive(Debug)]
pub struct Table {
    len: usize,
    columns: Vec<Arc<Column>>,
    _counted: InstanceCount,
}

impl Table {
    /// A table with this number of rows. Panics if a column has another length: that is a bug of the caller,
    /// and readers would read beyond its memory.
    pub fn new(len: usize, columns: Vec<Column>) -> Arc<Table> {
        Self::shared(len, columns.into_iter().map(Arc::new).collect())
    }

    /// The same of columns that other tables may have, too.
    pub fn shared(len: usize, columns: Vec<Arc<Column>>) -> Arc<Table> {
        for column in &columns {
            let validity = column.validity.as_ref().map_or(len, |bits| bits.len);
            assert_eq!(
                (column.values.len(), validity),
                (len, len),
                "{:?}",
                column.name
            );
        }
        let _counted = InstanceCount::new(&TABLES);
        Arc::new(Table {
            len,
            columns,
            _counted,
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The columns in order.
    pub fn columns(&self) -> &[Arc<Column>] {
        &self.columns
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Table) -> bool {
        self.columns == other.columns
    }
}

static TABLES: AtomicUsize = AtomicUsize::new(0);
static LENT: AtomicUsize = AtomicUsize::new(0);

/// Counts live instances, for leak tests.
#[derive(Debug)]
struct InstanceCount(&'static AtomicUsize);

impl InstanceCount {
    fn new(counter: &'static AtomicUsize) -> InstanceCount {
        counter.fetch_add(1, Ordering::Relaxed);
        InstanceCount(counter)
    }
}

impl Drop for InstanceCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Number of live tables, and of live exported structures, in this process.
pub fn alive() -> (usize, usize) {
    (TABLES.load(Ordering::Relaxed), LENT.load(Ordering::Relaxed))
}

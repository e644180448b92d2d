//! A table as bytes and back, for another process or a file.
//!
//! The bytes begin with their version. Reading checks lengths, strings and indices into dictionaries, because
//! borrowers of a table rely on them. Invalid bytes are an error, never a panic.

use std::ffi::CStr;
use std::sync::Arc;

use crate::{Bits, Column, Table, Texts, Values};

/// The version of the bytes. Any other is refused.
const VERSION: u8 = 1;

/// Why bytes are not a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTable(pub &'static str);

type Read<T> = Result<T, BadTable>;

impl Table {
    /// The table as bytes, without the column names.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put_count(&mut bytes, self.len);
        for column in &self.columns {
            put_values(&mut bytes, &column.values);
            bytes.push(column.validity.is_some().into());
            column
                .validity
                .iter()
                .for_each(|bits| bytes.extend_from_slice(&bits.bytes));
            bytes.push(column.dictionary.is_some().into());
            if let Some(texts) = &column.dictionary {
                put_count(&mut bytes, texts.len());
                for text in texts.iter() {
                    put_count(&mut bytes, text.len());
                    bytes.extend_from_slice(text.as_bytes());
                }
            }
        }
        bytes
    }

    /// The table from `to_bytes`, with these column names, each with its allowed types.
    pub fn from_bytes(
        bytes: &[u8],
        columns: &[(&'static CStr, &[&CStr])],
    ) -> Result<Arc<Table>, BadTable> {
        let mut reader = Reader(bytes);
        if reader.byte()? != VERSION {
            return Err(BadTable("it was written by another version of depthcache"));
        }
        let len = reader.count()?;
        let mut made = Vec::new();
        for (name, formats) in columns {
            let column = reader.column(name, len)?;
            if !formats.contains(&column.values.format()) {
                return Err(BadTable("a column has another type"));
            }
            made.push(column);
        }
        match reader.0 {
            [] => Ok(Table::new(len, made)),
            _ => Err(BadTable("it has trailing data")),
        }
    }
}

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend_from_slice(&(count as u64).to_le_bytes());
}

fn put_values(bytes: &mut Vec<u8>, values: &Values) {
    let tag = match values {
        Values::Int8(_) => 0,
        Values::Int32(_) => 1,
        Values::Int64(_) => 2,
        Values::Float64(_) => 3,
        Values::Decimal128(_) => 4,
        Values::TimestampMicroseconds(_) => 5,
        Values::Boolean(_) => 6,
    };
    bytes.push(tag);
    match values {
        Values::Int8(values) => put(bytes, values, |value| value.to_le_bytes()),
        Values::Int32(values) => put(bytes, values, |value| value.to_le_bytes()),
        Values::Int64(values) | Values::TimestampMicroseconds(values) => {
            put(bytes, values, |value| value.to_le_bytes());
        }
        Values::Float64(values) => put(bytes, values, |value| value.to_le_bytes()),
        Values::Decimal128(values) => put(bytes, values, |value| value.to_le_bytes()),
        Values::Boolean(bits) => bytes.extend_from_slice(&bits.bytes),
    }
}

fn put<T: Copy, const N: usize>(bytes: &mut Vec<u8>, values: &[T], write: impl Fn(T) -> [u8; N]) {
    values
        .iter()
        .for_each(|value| bytes.extend_from_slice(&write(*value)));
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(BadTable("it is truncated"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Read<u8> {
        Ok(self.take(1)?[0])
    }

    fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BadTable("a flag is neither 0 nor 1")),
        }
    }

    fn count(&mut self) -> Read<usize> {
        let count = u64::from_le_bytes(self.take(8)?.try_into().expect("so many were taken"));
        usize::try_from(count).map_err(|_| BadTable("it is truncated"))
    }

    fn column(&mut self, name: &'static CStr, len: usize) -> Read<Column> {
        let values = self.values(len)?;
        let validity = match self.flag()? {
            true => Some(self.bits(len)?),
            false => None,
        };
        let dictionary = match self.flag()? {
            true => Some(self.texts(&values)?),
            false => None,
        };
        Ok(Column {
            name,
            values,
            validity,
            dictionary,
        })
    }

    fn values(&mut self, len: usize) -> Read<Values> {
        Ok(match self.byte()? {
            0 => Values::Int8(self.several(len, i8::from_le_bytes)?),
            1 => Values::Int32(self.several(len, i32::from_le_bytes)?),
            2 => Values::Int64(self.several(len, i64::from_le_bytes)?),
            3 => Values::Float64(self.several(len, f64::from_le_bytes)?),
            4 => Values::Decimal128(self.several(len, i128::from_le_bytes)?),
            5 => Values::TimestampMicroseconds(self.several(len, i64::from_le_bytes)?),
            6 => Values::Boolean(self.bits(len)?),
            _ => return Err(BadTable("a column has another type")),
        })
    }

    fn several<T, const N: usize>(&mut self, len: usize, read: fn([u8; N]) -> T) -> Read<Vec<T>> {
        let bytes = len.checked_mul(N).ok_or(BadTable("it is truncated"))?;
        let each = |bytes: &[u8]| read(bytes.try_into().expect("so many were taken"));
        Ok(self.take(bytes)?.chunks_exact(N).map(each).collect())
    }

    fn bits(&mut self, len: usize) -> Read<Bits> {
        let bytes = self.take(len.div_ceil(8))?;
        let mut bits = Bits::default();
        (0..len).for_each(|index| bits.push(bytes[index / 8] >> (index % 8) & 1 == 1));
        Ok(bits)
    }

    fn texts(&mut self, values: &Values) -> Read<Texts> {
        let (mut texts, mut size) = (Vec::new(), 0);
        for _ in 0..self.count()? {
            let count = self.count()?;
            let text = std::str::from_utf8(self.take(count)?);
            texts.push(text.map_err(|_| BadTable("a text is not valid UTF-8"))?);
            size += count;
        }
        let inside = |index: i64| usize::try_from(index).is_ok_and(|index| index < texts.len());
        let fits = match values {
            Values::Int8(indices) => indices.iter().all(|index| inside((*index).into())),
            Values::Int32(indices) => indices.iter().all(|index| inside((*index).into())),
            _ => false,
        };
        if !fits || i32::try_from(size).is_err() {
            return Err(BadTable("a name does not belong to it"));
        }
        Ok(Texts::new(texts))
    }
}

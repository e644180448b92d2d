//! Levels of many books as a stream of Arrow, with the columns of `depthcache.Columns`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Float64Array, Int8Array, Int32Array,
    Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{Field, Schema};
use depthcache_book::frozen::Frozen;
use depthcache_book::message::MAX_SCALE;
use depthcache_book::query::columns::{
    DictionaryColumn, NumberColumn, OptionalColumn, SelectedBooks, Selection,
};

/// Where the schema's metadata lists what is missing, as JSON.
const MISSING: &str = "depthcache.missing";

/// Columns that may lack a value.
const OPTIONAL: [&str; 2] = ["event_time", "updated_ns"];

/// Digits of every decimal column.
const PRECISION: u8 = 38;

/// All levels of these books, one row each.
pub fn stream(books: &[Frozen], exact: bool, missing: &[u8]) -> Vec<u8> {
    let selection = Selection::default();
    let mut selected = SelectedBooks::new(exact, books.len(), &selection);
    books.iter().for_each(|book| selected.add(book, &selection));
    let (shape, columns) = (selected.shape(), selected.columns());
    let arrays: [(&str, ArrayRef); 11] = [
        ("exchange", words(shape.exchange)),
        ("symbol", words(shape.symbol)),
        ("side", sides(shape.side)),
        ("level", Arc::new(Int32Array::from(shape.level))),
        ("price", numbers(columns.price)),
        ("quantity", numbers(columns.quantity)),
        (
            "proven",
            Arc::new(BooleanArray::from_iter(columns.proven.iter().map(Some))),
        ),
        ("update_id", Arc::new(Int64Array::from(columns.update_id))),
        ("event_time", times(columns.event_time_us)),
        ("updated_ns", optional(columns.updated_ns)),
        ("status", words(shape.status)),
    ];
    let fields: Vec<Field> = arrays
        .iter()
        .map(|(name, array)| {
            let is_optional = OPTIONAL.contains(name);
            Field::new(*name, array.data_type().clone(), is_optional)
        })
        .collect();
    let metadata = HashMap::from([(
        MISSING.to_owned(),
        String::from_utf8_lossy(missing).into_owned(),
    )]);
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let arrays = arrays.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).expect("columns of one length");
    let mut out = Vec::new();
    let written = StreamWriter::try_new(&mut out, &schema).and_then(|mut writer| {
        writer.write(&batch)?;
        writer.finish()
    });
    written.expect("a Vec takes everything");
    out
}

fn words(column: DictionaryColumn) -> ArrayRef {
    let keys = Int32Array::from(column.codes);
    let entries = Arc::new(StringArray::from(column.entries));
    Arc::new(DictionaryArray::<Int32Type>::new(keys, entries))
}

fn sides(codes: Vec<i8>) -> ArrayRef {
    let entries = Arc::new(StringArray::from(vec!["bid", "ask"]));
    Arc::new(DictionaryArray::<Int8Type>::new(
        Int8Array::from(codes),
        entries,
    ))
}

fn numbers(column: NumberColumn) -> ArrayRef {
    match column {
        NumberColumn::Floats(values) => Arc::new(Float64Array::from(values)),
        NumberColumn::Exact(values) => {
            let decimals = Decimal128Array::from(values)
                .with_precision_and_scale(PRECISION, MAX_SCALE as i8)
                .expect("both are in range");
            Arc::new(decimals)
        }
    }
}

fn times(column: OptionalColumn) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(given(column)).with_timezone("UTC"))
}

fn optional(column: OptionalColumn) -> ArrayRef {
    Arc::new(Int64Array::from(given(column)))
}

fn given(column: OptionalColumn) -> Vec<Option<i64>> {
    let pairs = column.values.iter().zip(column.is_valid.iter());
    pairs
        .map(|(value, is_valid)| is_valid.then_some(*value))
        .collect()
}

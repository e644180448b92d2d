//! Frames and bodies as Python hands them over: `bytes`, `bytearray`, `memoryview` or `str`.
//!
//! `bytes` and `str` cannot change and are read where they are. The others are copied once: their
//! owner may change them while a book is waited for without the interpreter lock.

use std::borrow::Cow;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};

/// The bytes of `value`; `name` is what the argument is called in the `TypeError`.
pub fn bytes<'a>(value: &'a Bound<'_, PyAny>, name: &str) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return of_text(text);
    }
    if let Ok(array) = value.cast::<PyByteArray>() {
        return Ok(Cow::Owned(array.to_vec()));
    }
    if let Ok(view) = value.cast::<PyMemoryView>() {
        return of_view(view, name);
    }
    Err(PyTypeError::new_err(format!(
        "{name} must be bytes, bytearray, memoryview or str, not {}",
        value.get_type().fully_qualified_name()?
    )))
}

/// UTF-8 of a text. Lone surrogates have none; they are passed on as bytes that are not UTF-8, so
/// that such a text is as malformed as the same bytes would be.
fn of_text<'a>(text: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(utf8) = text.to_str() {
        return Ok(Cow::Borrowed(utf8.as_bytes()));
    }
    let bytes = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
    Ok(Cow::Owned(bytes.cast::<PyBytes>()?.as_bytes().to_vec()))
}

fn of_view<'a>(view: &Bound<'_, PyMemoryView>, name: &str) -> PyResult<Cow<'a, [u8]>> {
    let contiguous = PyBuffer::<u8>::get(view)
        .ok()
        .filter(|buffer| buffer.is_c_contiguous());
    match contiguous {
        Some(buffer) => Ok(Cow::Owned(buffer.to_vec(view.py())?)),
        None => Err(PyTypeError::new_err(format!(
            "{name} must be a contiguous memoryview of bytes"
        ))),
    }
}

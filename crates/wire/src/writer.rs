//! Write JSON in pieces: keys with commas, strings, numbers, levels.

use depthcache_book::query::{Number, NumberLevel};

/// The format of prices and quantities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// As strings with all digits that the exchange sends: `"61837.63000000"`.
    Text,
    /// As the nearest float: `61837.63`.
    Float,
}

/// An unfinished object; `end` closes it.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// Open an object at the end of the buffer.
    pub fn begin(out: &'a mut Vec<u8>) -> Object<'a> {
        out.push(b'{');
        Object {
            out,
            is_empty: true,
        }
    }

    /// Close it.
    pub fn end(self) {
        self.out.push(b'}');
    }

    /// Write a key; the caller then writes its value. Keys come from this crate and need no escapes.
    pub fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A key with a string.
    pub fn text(&mut self, key: &str, text: &str) {
        string(self.key(key), text);
    }

    /// A key with true or false.
    pub fn flag(&mut self, key: &str, flag: bool) {
        let word: &[u8] = if flag { b"true" } else { b"false" };
        self.key(key).extend_from_slice(word);
    }

    /// A key with a whole number.
    pub fn integer(&mut self, key: &str, number: i64) {
        integer(self.key(key), number);
    }

    /// The same, or null.
    pub fn optional(&mut self, key: &str, number: Option<i64>) {
        match number {
            Some(number) => self.integer(key, number),
            None => self.null(key),
        }
    }

    /// A key with a float in its shortest form, or null for what JSON cannot write.
    pub fn float(&mut self, key: &str, number: Option<f64>) {
        float(self.key(key), number);
    }

    /// A key with null.
    pub fn null(&mut self, key: &str) {
        null(self.key(key));
    }

    /// A key with an object, to be ended before the next key.
    pub fn object(&mut self, key: &str) -> Object<'_> {
        Object::begin(self.key(key))
    }
}

/// Null.
pub fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

/// A whole number.
pub fn integer(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    let mantissa = number.unsigned_abs().into();
    Number { mantissa, scale: 0 }.append_to(out);
}

/// A float in its shortest form, or null for what JSON cannot write.
pub fn float(out: &mut Vec<u8>, number: Option<f64>) {
    match number.filter(|number| number.is_finite()) {
        Some(number) => serde_json::to_writer(out, &number).expect("a Vec takes everything"),
        None => null(out),
    }
}

/// A string with its escapes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a Vec takes everything");
}

/// A price or quantity as a string, or as the nearest float in its shortest form.
pub fn number(out: &mut Vec<u8>, number: Number, numbers: Numbers) {
    match numbers {
        Numbers::Text => {
            out.push(b'"');
            number.append_to(out);
            out.push(b'"');
        }
        Numbers::Float => {
            serde_json::to_writer(out, &number.to_f64()).expect("a Vec takes everything");
        }
    }
}

/// A level: `[price, quantity]`.
pub fn level(out: &mut Vec<u8>, level: NumberLevel, numbers: Numbers) {
    out.push(b'[');
    number(out, level.price, numbers);
    out.push(b',');
    number(out, level.quantity, numbers);
    out.push(b']');
}

/// A list of levels.
pub fn levels(
    out: &mut Vec<u8>,
    levels: impl ExactSizeIterator<Item = NumberLevel>,
    numbers: Numbers,
) {
    /// `["61837.63000000","0.00120000"],`
    const USUAL_BYTES: usize = 32;
    out.reserve(levels.len() * USUAL_BYTES + 2);
    out.push(b'[');
    for (index, each) in levels.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        level(out, each, numbers);
    }
    out.push(b']');
}

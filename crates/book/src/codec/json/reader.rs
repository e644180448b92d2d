//! A strict reader of JSON bytes: no tree, no copies; values are read or stepped over.
//!
//! It checks every byte it passes, so that what follows a value is known to be valid JSON too.

use std::borrow::Cow;

use memchr::memchr2;

use super::number::{integer, word_at};
use crate::ascii;

/// What is wrong, and at which byte.
pub type Fault = (&'static str, usize);

const DEEPEST: usize = 64;

/// A place in a text that is known to be valid UTF-8.
pub struct Reader<'a> {
    /// The whole text.
    pub bytes: &'a [u8],
    /// The next byte.
    pub at: usize,
}

impl<'a> Reader<'a> {
    /// The next byte, if any.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Step over white space.
    #[inline]
    pub fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Step over one byte that must be there.
    #[inline]
    pub fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<(), Fault> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err((otherwise, self.at))
    }

    /// Step over exactly this text; false, and nothing done, where something else is next.
    #[inline(always)]
    pub fn step_over(&mut self, text: &[u8]) -> bool {
        let is_next = self.bytes[self.at..].starts_with(text);
        self.at += if is_next { text.len() } else { 0 };
        is_next
    }

    /// After a value: true when another one follows, false at the closing byte.
    #[inline]
    pub fn more(&mut self, close: u8) -> Result<bool, Fault> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(("a comma or the closing bracket is missing", self.at)),
        }
    }

    /// Open an object or array: true when it has something in it.
    #[inline]
    pub fn open(&mut self, open: u8, close: u8, otherwise: &'static str) -> Result<bool, Fault> {
        self.expect(open, otherwise)?;
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// A key and its colon; the reader is at the value afterwards.
    #[inline]
    pub fn key(&mut self) -> Result<Cow<'a, str>, Fault> {
        let key = self.string()?;
        self.space();
        self.expect(b':', "a colon is missing after a key")?;
        self.space();
        Ok(key)
    }

    /// A string, unescaped where it has escapes.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.at;
        self.expect(b'"', "a string is missing")?;
        let rest = &self.bytes[self.at..];
        let Some(length) = memchr2(b'"', b'\\', rest) else {
            return Err(("a string is not terminated", start));
        };
        if let Some(control) = rest[..length].iter().position(|byte| *byte < 0x20) {
            return Err(("a string contains a control character", self.at + control));
        }
        if rest[length] == b'\\' {
            return self.escaped(start).map(Cow::Owned);
        }
        self.at += length + 1;
        text(&rest[..length], start).map(Cow::Borrowed)
    }

    #[cold]
    fn escaped(&mut self, start: usize) -> Result<String, Fault> {
        let mut value = String::new();
        loop {
            let rest = &self.bytes[self.at..];
            let Some(length) = memchr2(b'"', b'\\', rest) else {
                return Err(("a string is not terminated", start));
            };
            if let Some(control) = rest[..length].iter().position(|byte| *byte < 0x20) {
                return Err(("a string contains a control character", self.at + control));
            }
            value.push_str(text(&rest[..length], self.at)?);
            self.at += length + 1;
            if rest[length] == b'"' {
                return Ok(value);
            }
            value.push(self.escape()?);
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, Fault> {
        let position = self.at;
        let kind = self
            .peek()
            .ok_or(("a string is not terminated", position))?;
        self.at += 1;
        Ok(match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.four_hex()?;
                let code = if (0xD800..0xDC00).contains(&first) {
                    if self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
                        return Err(("a surrogate is unpaired", position));
                    }
                    self.at += 2;
                    let second = self.four_hex()?;
                    if !(0xDC00..0xE000).contains(&second) {
                        return Err(("a surrogate is unpaired", position));
                    }
                    0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                } else {
                    first
                };
                char::from_u32(code).ok_or(("a surrogate is unpaired", position))?
            }
            _ => return Err(("a string contains an unknown escape", position)),
        })
    }

    fn four_hex(&mut self) -> Result<u32, Fault> {
        let position = self.at;
        let figures = self
            .bytes
            .get(position..position + 4)
            .ok_or(("an escape is incomplete", position))?;
        if !figures.iter().all(u8::is_ascii_hexdigit) {
            return Err(("an escape needs four hexadecimal digits", position));
        }
        self.at += 4;
        Ok(figures.iter().fold(0, |value, digit| {
            value * 16 + char::from(*digit).to_digit(16).unwrap_or(0)
        }))
    }

    /// A plain integer of 0 to `i64::MAX`.
    #[inline]
    pub fn integer(&mut self) -> Result<i64, Fault> {
        let start = self.at;
        let mut value = 0i64;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(i64::from(digit - b'0')))
                .ok_or(("an id or time does not fit into 64 bits", start))?;
            self.at += 1;
        }
        let length = self.at - start;
        if length == 0 || (length > 1 && self.bytes[start] == b'0') {
            return Err(("an id or time must be an integer", start));
        }
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err(("an id or time must be an integer", start));
        }
        Ok(value)
    }

    /// A plain integer behind exactly this key, if a comma or brace follows; else
    /// nothing is read.
    #[inline(always)]
    pub fn integer_after(&mut self, key: &[u8]) -> Option<i64> {
        if !self.bytes[self.at..].starts_with(key) {
            return None;
        }
        let (value, end) = integer(self.bytes, self.at + key.len())?;
        if !matches!(self.bytes.get(end), Some(b',' | b'}')) {
            return None;
        }
        self.at = end;
        Some(value)
    }

    /// A string without escapes behind exactly this key and opening quote; else
    /// nothing is read.
    #[inline(always)]
    pub fn string_after(&mut self, key: &[u8]) -> Option<&'a str> {
        if !self.bytes[self.at..].starts_with(key) {
            return None;
        }
        let rest = &self.bytes[self.at + key.len()..];
        let length = plain_length(rest)?;
        if rest.get(length) != Some(&b'"') {
            return None;
        }
        let text = ascii::text(&rest[..length])?;
        self.at += key.len() + length + 1;
        Some(text)
    }

    /// Step over any value, checking it; `depth` is how deep it is nested, 1 for the whole message.
    pub fn skip(&mut self, depth: usize) -> Result<(), Fault> {
        let next = self.peek();
        if depth > DEEPEST && matches!(next, Some(b'{' | b'[')) {
            return Err(("nesting is deeper than 64 levels", self.at));
        }
        match next {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{') => {
                let mut another = self.open(b'{', b'}', "")?;
                while another {
                    self.key()?;
                    self.skip(depth + 1)?;
                    another = self.more(b'}')?;
                }
                Ok(())
            }
            Some(b'[') => {
                let mut another = self.open(b'[', b']', "")?;
                while another {
                    self.skip(depth + 1)?;
                    another = self.more(b']')?;
                }
                Ok(())
            }
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(("a value is missing", self.at)),
        }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(("a value is missing", self.at))
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.figures();
        if whole == 0 || (whole > 1 && self.bytes[self.at - whole] == b'0') {
            return Err(("a number is malformed", start));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.figures() == 0 {
                return Err(("a number is malformed", start));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.figures() == 0 {
                return Err(("a number is malformed", start));
            }
        }
        Ok(())
    }

    fn figures(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }
}

/// How many bytes of a string come before the first quote, backslash or control character.
#[inline(always)]
fn plain_length(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH_BITS: u64 = 0x80 * ONES;
    // The high bit of the first byte below a bound; above it anything may be set.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH_BITS;
    let mut at = 0;
    loop {
        let word = word_at(bytes, at)?;
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let special = below(word, 0x20) | quote | backslash;
        if special != 0 {
            return Some(at + special.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
}

/// Bytes between ASCII marks of a text that is known to be valid UTF-8.
fn text(bytes: &[u8], at: usize) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| ("the text is not valid UTF-8", at))
}

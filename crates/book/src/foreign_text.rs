//! Names from outside, in frames: which of them can be a symbol, and how one is shown.

use std::borrow::Cow;

/// Characters of a symbol; the longest live ones are options of 19 (Binance, 2025-11).
const LONGEST: usize = 40;

/// Ranges of characters that are no part of a name: controls, spaces, format and direction marks, line
/// separators, private use and tags (Unicode 16). The reference has the same.
const NO_NAMES: [(u32, u32); 15] = [
    (0x00, 0x20),
    (0x7f, 0xa0),
    (0xad, 0xad),
    (0x61c, 0x61c),
    (0x1680, 0x1680),
    (0x180e, 0x180e),
    (0x2000, 0x200f),
    (0x2028, 0x202f),
    (0x205f, 0x206f),
    (0x3000, 0x3000),
    (0xd800, 0xf8ff),
    (0xfeff, 0xfeff),
    (0xfff0, 0xfffb),
    (0xe_0000, 0xe_0fff),
    (0xf_0000, 0x10_ffff),
];

/// Whether a book without a symbol may take this one.
pub fn can_be_symbol(name: &str) -> bool {
    name.chars().count() <= LONGEST && !name.chars().any(is_no_name)
}

fn is_no_name(letter: char) -> bool {
    let number = u32::from(letter);
    NO_NAMES
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&number))
}

/// A text in which nothing moves a cursor or turns the direction of reading: what does is shown as an escape.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_hidden = |letter| letter != ' ' && is_no_name(letter);
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match is_hidden(letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// A name in quotes, as a reason shows it: escaped, and cut where it is too long for a name.
pub fn shown(name: &str) -> String {
    match name.char_indices().nth(LONGEST) {
        None => format!("{name:?}"),
        Some((end, _)) => format!("{:?}…", &name[..end]),
    }
}

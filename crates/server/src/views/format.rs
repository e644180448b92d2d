//! How messages are written: the same keys and values as JSON, as MessagePack, and as server-sent events.

use depthcache_book::query::{LevelRun, Number};
use depthcache_wire::{Numbers, writer};
use rmp::encode;

/// How the messages of a connection are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON, in the text messages of a WebSocket.
    Json,
    /// MessagePack, in the binary messages of a WebSocket.
    MessagePack,
    /// JSON, in the events of a stream over HTTP.
    Events,
}

impl Format {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// Writes one message.
pub struct Writer {
    out: Vec<u8>,
    is_packed: bool,
    /// JSON: a value was written that the next one is separated from.
    follows: bool,
    numbers: Numbers,
}

impl Writer {
    /// `kind` and `id`: the first lines of an event.
    pub fn new(format: Format, numbers: Numbers, kind: &str, id: Option<&str>) -> Writer {
        let mut out = Vec::with_capacity(512);
        if format == Format::Events {
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(kind.as_bytes());
            if let Some(id) = id {
                out.extend_from_slice(b"\nid: ");
                out.extend_from_slice(id.as_bytes());
            }
            out.extend_from_slice(b"\ndata: ");
        }
        Writer {
            out,
            is_packed: format == Format::MessagePack,
            follows: false,
            numbers,
        }
    }

    pub fn done(self) -> Vec<u8> {
        self.out
    }

    /// A map of so many keys.
    pub fn map(&mut self, keys: u32) {
        match self.is_packed {
            true => {
                let _ = encode::write_map_len(&mut self.out, keys); // a Vec takes everything
            }
            false => self.open(b'{'),
        }
    }

    pub fn end_map(&mut self) {
        self.close(b'}');
    }

    /// A list of so many values.
    pub fn list(&mut self, values: usize) {
        match self.is_packed {
            true => {
                let values = u32::try_from(values).unwrap_or(u32::MAX);
                let _ = encode::write_array_len(&mut self.out, values);
            }
            false => self.open(b'['),
        }
    }

    pub fn end_list(&mut self) {
        self.close(b']');
    }

    /// A key; its value is to follow. Keys are of this crate and need no escapes.
    pub fn key(&mut self, key: &str) {
        match self.is_packed {
            true => {
                let _ = encode::write_str(&mut self.out, key);
            }
            false => {
                self.separate();
                self.out.push(b'"');
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(b"\":");
                self.follows = false;
            }
        }
    }

    pub fn text(&mut self, text: &str) {
        match self.is_packed {
            true => {
                let _ = encode::write_str(&mut self.out, text);
            }
            false => {
                self.separate();
                writer::string(&mut self.out, text);
            }
        }
    }

    pub fn integer(&mut self, number: Option<i64>) {
        match (self.is_packed, number) {
            (true, Some(number)) => {
                let _ = encode::write_sint(&mut self.out, number);
            }
            (true, None) => {
                let _ = encode::write_nil(&mut self.out);
            }
            (false, Some(number)) => {
                self.separate();
                writer::integer(&mut self.out, number);
            }
            (false, None) => {
                self.separate();
                writer::null(&mut self.out);
            }
        }
    }

    pub fn flag(&mut self, flag: bool) {
        match self.is_packed {
            true => {
                let _ = encode::write_bool(&mut self.out, flag);
            }
            false => {
                self.separate();
                let word: &[u8] = if flag { b"true" } else { b"false" };
                self.out.extend_from_slice(word);
            }
        }
    }

    /// Price and quantity of each level.
    pub fn levels(&mut self, run: &LevelRun) {
        if !self.is_packed {
            self.separate();
            return writer::levels(&mut self.out, run.iter(), self.numbers);
        }
        self.list(run.len());
        for level in run.iter() {
            self.list(2);
            self.number(level.price);
            self.number(level.quantity);
        }
    }

    fn number(&mut self, number: Number) {
        let _ = match self.numbers {
            Numbers::Float => encode::write_f64(&mut self.out, number.to_f64()).is_ok(),
            Numbers::Text => encode::write_str(&mut self.out, &number.to_string()).is_ok(),
        };
    }

    fn open(&mut self, bracket: u8) {
        self.separate();
        self.out.push(bracket);
        self.follows = false;
    }

    fn close(&mut self, bracket: u8) {
        if !self.is_packed {
            self.out.push(bracket);
            self.follows = true;
        }
    }

    fn separate(&mut self) {
        if self.follows {
            self.out.push(b',');
        }
        self.follows = true;
    }
}

/// Complete a message that ends with a number which only its receiver has: `head` was written up to its key.
pub fn completed(head: &[u8], number: i64, format: Format) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len() + 24);
    out.extend_from_slice(head);
    match format {
        Format::MessagePack => {
            let _ = encode::write_sint(&mut out, number);
        }
        Format::Json => {
            writer::integer(&mut out, number);
            out.push(b'}');
        }
        Format::Events => {
            writer::integer(&mut out, number);
            out.extend_from_slice(b"}\n\n");
        }
    }
    out
}

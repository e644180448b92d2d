//! The state of one of a book server's books, in the stream that carries the book's diffs:
//! `{"e":"bookState","s":"BTCUSDT","status":"synced","reason":"","u":123,"server":"…","generation":1}`.
//!
//! Written by `crates/server/src/exchange/states.rs`; the reference is `src/depthcache/reference/relay.py`.

use super::look_at_top;
use super::reader::{Fault, Reader};

/// The state of a server's book.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookState {
    /// The word of its status.
    pub status: String,
    /// Why it is not synced; empty if it is.
    pub reason: String,
    /// `u` of the last diff sent before this; None before one.
    pub update_id: Option<i64>,
    /// Identifies the server.
    pub server: String,
    /// Changes when the diffs do not lead to the server's current levels.
    pub generation: i64,
}

/// The state in a valid frame; None if it carries anything else.
pub fn book_state(frame: &[u8]) -> Option<BookState> {
    read(frame).ok().flatten()
}

fn read(frame: &[u8]) -> Result<Option<BookState>, Fault> {
    let mut reader = Reader {
        bytes: frame,
        at: 0,
    };
    let (mut stream, mut data) = (None, None);
    reader.space();
    look_at_top(&mut reader, &mut stream, &mut data)?;
    let Some(at) = data else {
        return Ok(None);
    };
    reader.at = at;
    let mut state = BookState::default();
    let (mut is_state, mut has_status) = (false, false);
    let mut another = reader.open(b'{', b'}', "a state must be an object")?;
    while another {
        let key = reader.key()?;
        let is_text = reader.peek() == Some(b'"');
        match &*key {
            "e" if is_text => is_state = reader.string()? == "bookState",
            "status" if is_text => {
                state.status = reader.string()?.into_owned();
                has_status = true;
            }
            "reason" if is_text => state.reason = reader.string()?.into_owned(),
            "server" if is_text => state.server = reader.string()?.into_owned(),
            "u" if reader.peek() != Some(b'n') => state.update_id = Some(reader.integer()?),
            "generation" => state.generation = reader.integer()?,
            _ => reader.skip(3)?,
        }
        another = reader.more(b'}')?;
    }
    Ok((is_state && has_status).then_some(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(data: &str) -> Vec<u8> {
        format!(r#"{{"stream":"btcusdt@depth@100ms@state1","data":{data}}}"#).into_bytes()
    }

    #[test]
    fn a_state_is_read_and_unknown_keys_are_stepped_over() {
        let frame = wrapped(
            r#"{"e":"bookState","s":"BTCUSDT","status":"buffering","reason":"a \"gap\"","since":[{"x":1}],"u":12,"server":"s","generation":3}"#,
        );
        let expected = BookState {
            status: "buffering".into(),
            reason: "a \"gap\"".into(),
            update_id: Some(12),
            server: "s".into(),
            generation: 3,
        };
        assert_eq!(book_state(&frame), Some(expected));
    }

    #[test]
    fn what_is_no_state_is_none() {
        for data in [
            r#"{"e":"bookTicker","status":"synced","u":1}"#,
            r#"{"e":"bookState","u":1}"#,
            r#"{"e":"bookState","status":"synced","u":-1}"#,
            r#"{"e":"bookState","status":7}"#,
            "[]",
        ] {
            assert_eq!(book_state(&wrapped(data)), None, "{data}");
        }
        let early = wrapped(r#"{"e":"bookState","status":"empty","u":null}"#);
        assert_eq!(book_state(&early).expect("a state").update_id, None);
    }
}

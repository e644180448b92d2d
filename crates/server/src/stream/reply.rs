//! Replies to operations: `{"type", "request", …}`, errors in their one shape.

use depthcache_wire::writer::string;
use serde_json::Value;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::problem::Problem;
use crate::views::Format;

/// The type of a reply, and its fields as JSON, each with a comma before it.
pub type Reply = (&'static str, Vec<u8>);

/// A reply as JSON; `request` is what the client calls its request.
pub fn reply(request: Option<&Value>, done: Result<Reply, Problem>) -> Vec<u8> {
    let mut out = b"{\"type\":".to_vec();
    let (kind, fields) = done.unwrap_or_else(|problem| {
        let mut fields = b",\"error\":".to_vec();
        problem.write(&mut fields);
        ("error", fields)
    });
    string(&mut out, kind);
    out.extend_from_slice(b",\"request\":");
    out.extend_from_slice(request.unwrap_or(&Value::Null).to_string().as_bytes());
    out.extend_from_slice(&fields);
    out.push(b'}');
    out
}

/// JSON as a message of any format; `kind`: of an event.
pub fn written(json: &[u8], kind: &str, format: Format) -> Message {
    let text = |bytes: Vec<u8>| Message::Text(Utf8Bytes::try_from(bytes).unwrap_or_default());
    match format {
        Format::Json => text(json.to_vec()),
        Format::Events => text([b"event: ", kind.as_bytes(), b"\ndata: ", json, b"\n\n"].concat()),
        Format::MessagePack => {
            let value: Value = serde_json::from_slice(json).unwrap_or_default();
            Message::Binary(rmp_serde::to_vec_named(&value).unwrap_or_default().into())
        }
    }
}

/// A list of texts.
pub fn texts(out: &mut Vec<u8>, texts: &[String]) {
    out.push(b'[');
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, text);
    }
    out.push(b']');
}

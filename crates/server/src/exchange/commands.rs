//! Control messages of a stream connection, and their replies.
//!
//! Replies and errors are those of the exchange (spot docs web-socket-streams, 2026-07-21; error texts as observed,
//! 2021-2026): never wrapped, errors nested: `{"error":{"code":2,"msg":"…"},"id":1}`. The same rules in Python, for
//! the simulated exchange: `src/depthcache/simulator/commands.py`.

use std::collections::HashMap;
use std::sync::Arc;

use depthcache_wire::Family;
use serde::Deserialize;
use serde_json::Value;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Subscribe(Vec<String>),
    Unsubscribe(Vec<String>),
    List,
    /// Whether frames are wrapped.
    SetCombined(bool),
    GetCombined,
}

/// A message that is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub code: u8,
    pub words: String,
    /// Its id, where it could be read.
    pub id: Value,
}

const METHODS: [&str; 5] = [
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST_SUBSCRIPTIONS",
    "SET_PROPERTY",
    "GET_PROPERTY",
];

/// The command of a message and its id.
pub fn parse(family: Family, text: &str) -> Result<(Command, Value), Refused> {
    let refuse = |code, words: String, id| Err(Refused { code, words, id });
    let message: Value = match serde_json::from_str(text) {
        Ok(message) => message,
        Err(why) => {
            let (line, column) = (why.line(), why.column());
            let words = format!("Invalid JSON: expected value at line {line} column {column}");
            return refuse(3, words, Value::Null);
        }
    };
    let invalid = |words: &str| format!("Invalid request: {words}");
    let Value::Object(message) = message else {
        let words = invalid("expected an object at line 1 column 1");
        return refuse(2, words, Value::Null);
    };
    let missing = |name: &str| {
        invalid(&format!(
            "missing field `{name}` at line 1 column {}",
            text.len()
        ))
    };
    let id = message.get("id").cloned().unwrap_or_default();
    if let Err(allowed) = check_id(family, &id) {
        let words = invalid(&format!("request ID must be {allowed}"));
        return refuse(2, words, Value::Null);
    }
    let method = match message.get("method") {
        None => return refuse(2, missing("method"), id),
        Some(Value::String(method)) => method.clone(),
        Some(other) => other.to_string(),
    };
    if !METHODS.contains(&method.as_str()) {
        let named = METHODS.map(|each| format!("`{each}`")).join(", ");
        let method = crate::problem::shortened(&method);
        let words = invalid(&format!(
            "unknown variant `{method}`, expected one of {named} at line 1 column 1"
        ));
        return refuse(2, words, id);
    }
    let params = message.get("params");
    let listed = params.and_then(Value::as_array).map(Vec::as_slice);
    let result = match method.as_str() {
        "LIST_SUBSCRIPTIONS" => Ok(Command::List),
        "GET_PROPERTY" => property(listed, 1).map(|_| Command::GetCombined),
        "SET_PROPERTY" => property(listed, 2).and_then(|value| match value {
            Some(Value::Bool(is_combined)) => Ok(Command::SetCombined(*is_combined)),
            _ => Err((1, "Invalid value type: expected Boolean")),
        }),
        _ => {
            if params.is_none() {
                return refuse(2, missing("params"), id);
            }
            let names: Option<Vec<String>> = listed.and_then(|listed| {
                let names = listed
                    .iter()
                    .map(|name| name.as_str().filter(|name| !name.is_empty()));
                names.map(|name| name.map(str::to_owned)).collect()
            });
            match names {
                Some(names) if method == "SUBSCRIBE" => Ok(Command::Subscribe(names)),
                Some(names) => Ok(Command::Unsubscribe(names)),
                None => Err((2, "Invalid request: invalid stream")),
            }
        }
    };
    match result {
        Ok(command) => Ok((command, id)),
        Err((code, words)) => refuse(code, words.to_owned(), id),
    }
}

/// What depthcache's own clients say beside `params`.
#[derive(Debug, Default, Deserialize)]
pub struct Extras {
    /// By stream, the last id of the client's book: `"resume":{"btcusdt@depth@100ms@state1":123}`.
    #[serde(default)]
    pub resume: HashMap<String, i64>,
    /// The client can connect to other nodes: `"moves":true`.
    #[serde(default)]
    pub moves: bool,
}

impl Extras {
    pub fn of(text: &str) -> Extras {
        if !text.contains("\"resume\"") && !text.contains("\"moves\"") {
            return Extras::default();
        }
        serde_json::from_str(text).unwrap_or_default()
    }
}

/// Ids that a family takes: spot an integer of 64 bits, a text or null (docs 2026-07-21); the documents of futures say
/// unsigned integer, but the exchange's SDKs send texts (UM 18.1.0, CM 14.1.0, 2026-11); options refuse texts (reported
/// 2025-11).
fn check_id(family: Family, id: &Value) -> Result<(), &'static str> {
    const MOST: usize = 36;
    let is_short = |text: &str| (1..=MOST).contains(&text.chars().count());
    let (is_fine, allowed) = match family {
        Family::Spot => {
            let is_plain = |text: &str| {
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            let is_fine = match id {
                Value::Null => true,
                Value::Number(number) => number.is_i64(),
                Value::String(text) => is_short(text) && is_plain(text),
                _ => false,
            };
            (is_fine, "an integer, a text or null")
        }
        Family::Linear | Family::Inverse => {
            let is_fine = match id {
                Value::Number(number) => number.is_u64(),
                Value::String(text) => is_short(text),
                _ => false,
            };
            (is_fine, "an unsigned integer or a text")
        }
        Family::Options => (id.is_u64(), "an unsigned integer"),
    };
    if is_fine { Ok(()) } else { Err(allowed) }
}

/// The value of the property `combined`, the only one there is.
fn property(params: Option<&[Value]>, count: usize) -> Result<Option<&Value>, (u8, &'static str)> {
    let params = params.unwrap_or_default();
    match params.first() {
        Some(Value::String(name)) if name == "combined" => {}
        Some(Value::String(_)) => return Err((0, "Unknown property")),
        _ => return Err((2, "Invalid request: property name must be a string")),
    }
    match params.len() {
        len if len > count => Err((2, "Invalid request: too many parameters")),
        len if len < count => Err((1, "Invalid value type: expected Boolean")),
        _ => Ok(params.get(1)),
    }
}

/// The reply to a command that was done.
pub fn done(result: &Value, id: &Value) -> String {
    format!(r#"{{"result":{result},"id":{id}}}"#)
}

/// The reply to one that is refused.
pub fn refused(why: &Refused) -> String {
    let (code, words, id) = (why.code, Value::from(why.words.as_str()), &why.id);
    format!(r#"{{"error":{{"code":{code},"msg":{words}}},"id":{id}}}"#)
}

/// An error that names the streams because of which a subscription was refused.
pub fn refused_streams<'a>(why: &Refused, names: impl Iterator<Item = &'a str>) -> String {
    let (code, words, id) = (why.code, Value::from(why.words.as_str()), &why.id);
    let names = Value::Array(names.map(Value::from).collect());
    format!(r#"{{"error":{{"code":{code},"msg":{words},"streams":{names}}},"id":{id}}}"#)
}

/// A refusal of streams whose books other nodes hold: where each is, the best address first.
pub fn refused_moved<'a, A: Iterator<Item = &'a str>>(
    why: &Refused,
    holders: impl Iterator<Item = (&'a str, A)>,
) -> String {
    let (code, words, id) = (why.code, Value::from(why.words.as_str()), &why.id);
    let holders: serde_json::Map<String, Value> = holders
        .map(|(name, addresses)| (name.to_owned(), addresses.collect()))
        .collect();
    let names: Value = holders.keys().map(String::as_str).collect();
    let holders = Value::Object(holders);
    format!(
        r#"{{"error":{{"code":{code},"msg":{words},"streams":{names},"holders":{holders}}},"id":{id}}}"#
    )
}

/// Where the nodes of the cluster are, for clients that can move.
pub fn nodes(addresses: &[Arc<str>]) -> String {
    let addresses: Value = addresses.iter().map(|each| &**each).collect();
    format!(r#"{{"e":"nodes","nodes":{addresses}}}"#)
}

/// Where the book of a stream is that is served here for its readers alone.
pub fn holders(stream: &str, addresses: &[Arc<str>]) -> String {
    let stream = Value::from(stream);
    let addresses: Value = addresses.iter().map(|each| &**each).collect();
    format!(r#"{{"e":"holders","holders":{{{stream}:{addresses}}}}}"#)
}

/// A payload as combined connections get it: with its stream.
pub fn wrapped(stream: &str, event: &str) -> String {
    let stream = Value::from(stream);
    format!(r#"{{"stream":{stream},"data":{event}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(family: Family, text: &str) -> String {
        let reply = match parse(family, text) {
            Ok((command, id)) => format!("{command:?} {id}"),
            Err(why) => refused(&why),
        };
        reply.replace("\"", "'")
    }

    #[test]
    fn commands_are_read() {
        for (text, expected) in [
            (
                r#"{"method":"SUBSCRIBE","params":["a@depth"],"id":1}"#,
                "Subscribe(['a@depth']) 1",
            ),
            (
                r#"{"method":"UNSUBSCRIBE","params":[],"id":"x-1"}"#,
                "Unsubscribe([]) 'x-1'",
            ),
            (r#"{"method":"LIST_SUBSCRIPTIONS"}"#, "List null"),
            (
                r#"{"method":"SET_PROPERTY","params":["combined",true],"id":-3}"#,
                "SetCombined(true) -3",
            ),
            (
                r#"{"method":"GET_PROPERTY","params":["combined"],"id":null}"#,
                "GetCombined null",
            ),
        ] {
            assert_eq!(reply(Family::Spot, text), expected);
        }
    }

    #[test]
    fn an_error_may_name_the_streams_that_it_is_about() {
        let why = Refused {
            code: 100,
            words: "not \"here\"".to_owned(),
            id: Value::from(7),
        };
        assert_eq!(
            refused_streams(&why, ["a@depth", "b@depth"].into_iter()),
            r#"{"error":{"code":100,"msg":"not \"here\"","streams":["a@depth","b@depth"]},"id":7}"#
        );
    }

    #[test]
    fn a_client_that_can_move_learns_where_books_and_nodes_are() {
        let extras = Extras::of(r#"{"method":"SUBSCRIBE","moves":true,"resume":{"a@depth":7}}"#);
        assert!(extras.moves);
        assert_eq!(extras.resume["a@depth"], 7);
        assert!(!Extras::of(r#"{"method":"SUBSCRIBE","moves":1}"#).moves);
        let why = Refused {
            code: 101,
            words: "elsewhere".to_owned(),
            id: Value::from(7),
        };
        let holders = [("a@depth", ["h1:1", "h2:1"].into_iter())].into_iter();
        assert_eq!(
            refused_moved(&why, holders),
            r#"{"error":{"code":101,"msg":"elsewhere","streams":["a@depth"],"holders":{"a@depth":["h1:1","h2:1"]}},"id":7}"#
        );
        let there: [Arc<str>; 2] = ["h1:1".into(), "h2:1".into()];
        assert_eq!(nodes(&there), r#"{"e":"nodes","nodes":["h1:1","h2:1"]}"#);
    }

    #[test]
    fn errors_are_those_of_the_exchange() {
        let named =
            "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`";
        for (text, code, words) in [
            ("x", 3, "Invalid JSON: expected value at line 1 column 1"),
            (
                "[]",
                2,
                "Invalid request: expected an object at line 1 column 1",
            ),
            (
                "{}",
                2,
                "Invalid request: missing field `method` at line 1 column 2",
            ),
            (
                r#"{"method":"SUBSCRIBE"}"#,
                2,
                "Invalid request: missing field `params` at line 1 column 22",
            ),
            (
                r#"{"method":"SUBSCRIBE","params":"a"}"#,
                2,
                "Invalid request: invalid stream",
            ),
            (
                r#"{"method":"SUBSCRIBE","params":[1]}"#,
                2,
                "Invalid request: invalid stream",
            ),
            (
                r#"{"method":"SUBSCRIBE","params":[""]}"#,
                2,
                "Invalid request: invalid stream",
            ),
            (
                r#"{"method":"SET_PROPERTY","params":["combined"]}"#,
                1,
                "Invalid value type: expected Boolean",
            ),
            (
                r#"{"method":"SET_PROPERTY","params":["combined",1]}"#,
                1,
                "Invalid value type: expected Boolean",
            ),
            (
                r#"{"method":"GET_PROPERTY","params":["color"]}"#,
                0,
                "Unknown property",
            ),
            (
                r#"{"method":"GET_PROPERTY"}"#,
                2,
                "Invalid request: property name must be a string",
            ),
            (
                r#"{"method":"GET_PROPERTY","params":["combined",1]}"#,
                2,
                "Invalid request: too many parameters",
            ),
            (
                r#"{"method":"SUBSCRIBE","params":[],"id":true}"#,
                2,
                "Invalid request: request ID must be an integer, a text or null",
            ),
        ] {
            let expected = format!("{{'error':{{'code':{code},'msg':'{words}'}},'id':null}}");
            assert_eq!(reply(Family::Spot, text), expected, "{text}");
        }
        let unknown = reply(Family::Spot, r#"{"method":"SUB","id":7}"#);
        let words = format!("unknown variant `SUB`, expected one of {named} at line 1 column 1");
        assert_eq!(
            unknown,
            format!("{{'error':{{'code':2,'msg':'Invalid request: {words}'}},'id':7}}")
        );
    }

    #[test]
    fn ids_are_those_that_a_family_takes() {
        for (family, takes) in [
            (Family::Spot, [true, true, true, true, false]),
            (Family::Linear, [true, false, true, false, false]),
            (Family::Options, [true, false, false, false, false]),
        ] {
            for (id, is_taken) in ["7", "-7", "\"a-b\"", "null", "1.5"].into_iter().zip(takes) {
                let text = format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#);
                assert_eq!(parse(family, &text).is_ok(), is_taken, "{family:?} {id}");
            }
        }
    }

    #[test]
    fn a_payload_is_wrapped_byte_for_byte() {
        assert_eq!(
            wrapped("币安人生usdt@depth", r#"{"u": 1}"#),
            r#"{"stream":"币安人生usdt@depth","data":{"u": 1}}"#
        );
    }

    #[test]
    fn whatever_is_sent_is_answered_in_json() {
        let valid =
            r#"{"method":"SUBSCRIBE","params":["btcusdt@depth",1,null,{"a":[true]}],"id":"a-1"}"#;
        let mut seed = 7u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for _ in 0..5_000 {
            let mut text: Vec<char> = valid.chars().collect();
            for _ in 0..=random(4) {
                let at = random(text.len());
                match random(3) {
                    0 => {
                        text[at] =
                            ['"', '{', '}', '[', ']', '\\', '0', '-', '币', '\u{0}'][random(10)]
                    }
                    1 => drop(text.drain(at..)),
                    _ => text.insert(at, text[random(text.len())]),
                }
                if text.is_empty() {
                    text.push(' ');
                }
            }
            let text: String = text.into_iter().collect();
            if let Err(why) = parse(Family::Spot, &text) {
                let reply: Value = serde_json::from_str(&refused(&why)).expect("JSON");
                assert!(reply["error"]["code"].is_u64(), "{text}");
            }
        }
    }
}

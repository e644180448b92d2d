//! `/v1/ws`: the operations that a client sends, the replies to them, and the messages of its subscriptions.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::response::Response;
use depthcache_wire::writer::{Object, string};
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};
use tokio::time::{Sleep, sleep};
use tokio_tungstenite::tungstenite::Message;

use super::reader::Reader;
use super::reply::{Reply, reply, texts, written};
use super::request::{FIELDS, SubscriptionSpec, check_names, refused, unfollowed, whole};
use crate::access::{Lease, Role};
use crate::call::Call;
use crate::cluster::ClusterBook;
use crate::following;
use crate::problem::Problem;
use crate::sender::Sender;
use crate::shared::Shared;
use crate::socket::{self, Closing, Outgoing, Session};
use crate::views::Format;

/// The subprotocols; the first where a client names none.
const JSON: &str = "depthcache.v1.json";
const MESSAGE_PACK: &str = "depthcache.v1.msgpack";

/// Open the socket.
pub fn socket(call: &Call<'_>) -> Result<Response, Problem> {
    let (shared, request) = (call.shared, call.request);
    let address = call.sender().map(|sender| sender.address);
    let is_node = call.sender().is_some_and(Sender::is_node);
    let is_known = is_node || request.headers.contains_key(AUTHORIZATION); // and was checked
    socket::open(shared, request, &[JSON, MESSAGE_PACK], |protocol| {
        let format = match protocol {
            Some(MESSAGE_PACK) => Format::MessagePack,
            _ => Format::Json,
        };
        Client {
            shared: shared.clone(),
            reader: Reader::new(
                shared.clone(),
                format,
                address,
                shared.cluster.clone().filter(|_| !is_node),
            ),
            format,
            replies: VecDeque::new(),
            held: 0,
            follows: !is_node && shared.cluster.is_some(),
            pending: None,
            deferred: VecDeque::new(),
            stranger: (!is_known).then(|| Box::pin(sleep(shared.limits.idle))),
            lease: shared.tokens.lease(&request.headers).filter(|_| !is_node),
        }
    })
}

/// A client on a socket.
struct Client {
    shared: Arc<Shared>,
    reader: Reader,
    format: Format,
    replies: VecDeque<Message>,
    /// Bytes of all replies.
    held: usize,
    /// Whether books of other nodes are begun here for it.
    follows: bool,
    /// A subscription that waits for such books.
    pending: Option<Pending>,
    /// Messages that came meanwhile.
    deferred: VecDeque<Message>,
    /// How long a client that sent no token yet may go on so.
    stranger: Option<Pin<Box<Sleep>>>,
    /// What its token permits; None for a node, and before it sent one.
    lease: Option<Lease>,
}

/// A subscription, once its books are here.
struct Pending {
    fields: Map<String, Value>,
    books: Pin<Box<dyn Future<Output = Result<(), Problem>> + Send>>,
}

impl Session for Client {
    fn on_message(&mut self, message: Message) -> Result<(), Closing> {
        if self.pending.is_some() {
            self.held += message.len();
            self.deferred.push_back(message);
            return self.check_held();
        }
        let fields = self.parsed(&message);
        let Ok(fields) = fields else {
            return self.perform(fields);
        };
        match self.missing(&fields) {
            Ok(books) if books.is_empty() => self.perform(Ok(fields)),
            Ok(books) => {
                let shared = self.shared.clone();
                let books = Box::pin(async move { following::follow_all(&shared, books).await });
                self.pending = Some(Pending { fields, books });
                Ok(())
            }
            Err(why) => {
                self.reply(&reply(request_of(&fields).as_ref(), Err(why)));
                self.check_held()
            }
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Outgoing> {
        if let Err(closing) = self.poll_pending(context) {
            return Poll::Ready(Outgoing::Close(closing));
        }
        if let Some(reply) = self.replies.pop_front() {
            self.held -= reply.len();
            return Poll::Ready(Outgoing::Message(reply));
        }
        if let Some(stranger) = &mut self.stranger {
            return stranger
                .as_mut()
                .poll(context)
                .map(|()| Outgoing::Close(Closing::policy("no token came in time")));
        }
        self.reader.poll_next(context).map(Outgoing::Message)
    }

    fn lease(&mut self) -> Option<&mut Lease> {
        self.lease.as_mut()
    }
}

impl Client {
    /// The books that a message needs here, and that other nodes hold.
    fn missing(&self, fields: &Map<String, Value>) -> Result<Vec<Arc<ClusterBook>>, Problem> {
        let is_subscription = fields.get("op").is_some_and(|op| op == "subscribe");
        match is_subscription && self.follows && self.stranger.is_none() {
            true => unfollowed(fields, &self.shared),
            false => Ok(Vec::new()),
        }
    }

    /// Subscribe where the books are here now, and go on with what came meanwhile.
    fn poll_pending(&mut self, context: &mut Context<'_>) -> Result<(), Closing> {
        while let Some(pending) = &mut self.pending {
            let Poll::Ready(done) = pending.books.as_mut().poll(context) else {
                return Ok(());
            };
            let fields = self.pending.take().map(|pending| pending.fields);
            let fields = fields.unwrap_or_default();
            match done {
                Ok(()) => self.perform(Ok(fields))?,
                Err(why) => self.reply(&reply(request_of(&fields).as_ref(), Err(why))),
            }
            while self.pending.is_none()
                && let Some(message) = self.deferred.pop_front()
            {
                self.held -= message.len();
                self.on_message(message)?;
            }
        }
        Ok(())
    }

    fn perform(&mut self, fields: Result<Map<String, Value>, Problem>) -> Result<(), Closing> {
        let request = fields.as_ref().ok().and_then(request_of);
        let done = fields.and_then(|fields| self.act(&fields));
        let is_refused = done.is_err() && self.stranger.is_some();
        self.reply(&reply(request.as_ref(), done));
        if is_refused {
            return Err(Closing::policy(
                "the first message must be {\"op\":\"auth\"} with a token",
            ));
        }
        self.check_held()
    }

    fn check_held(&self) -> Result<(), Closing> {
        match self.held > self.shared.limits.held_bytes {
            true => Err(Closing::policy("replies are not taken")),
            false => Ok(()),
        }
    }

    fn parsed(&self, message: &Message) -> Result<Map<String, Value>, Problem> {
        let is_text = matches!(message, Message::Text(_));
        let value: Result<Value, String> = match (self.format, message) {
            (Format::MessagePack, Message::Binary(bytes)) => {
                let mut rest = &bytes[..];
                match rmp_serde::from_read(&mut rest) {
                    Ok(Plain(value)) if rest.is_empty() => Ok(value),
                    Ok(_) => Err("there is more than one value".to_owned()),
                    Err(why) => Err(why.to_string()),
                }
            }
            (Format::MessagePack, _) => Err("it must be binary: MessagePack".to_owned()),
            (_, Message::Text(text)) => serde_json::from_str(text).map_err(|why| why.to_string()),
            _ => Err("it must be text: JSON".to_owned()),
        };
        let what = if is_text { "JSON" } else { "MessagePack" };
        match value {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(other) => Err(refused("message", &other, "an object with the field op")),
            Err(why) => {
                let message = format!("the message cannot be read as {what}: {why}");
                Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "malformed_message",
                    message,
                ))
            }
        }
    }

    fn act(&mut self, fields: &Map<String, Value>) -> Result<Reply, Problem> {
        if let Some(request) = fields.get("request").filter(|request| !is_request(request)) {
            let allowed = format!(
                "a whole number of 64 bits, text of at most {MOST_REQUEST} characters, or null"
            );
            return Err(refused("request", request, &allowed));
        }
        let op = fields.get("op").unwrap_or(&Value::Null);
        if self.stranger.is_some() && op != "auth" {
            return Err(Problem::unauthorized());
        }
        let own = |names: &[&'static str]| [&["op", "request"], names].concat();
        match op.as_str() {
            Some("auth") => {
                check_names(fields, &own(&["token"]))?;
                self.authenticate(fields.get("token"))
            }
            Some("subscribe") => {
                check_names(fields, &own(&FIELDS))?;
                self.subscribe(fields)
            }
            Some("unsubscribe") => {
                check_names(fields, &own(&["subscription"]))?;
                self.unsubscribe(fields.get("subscription"))
            }
            Some("list") => {
                check_names(fields, &own(&[]))?;
                Ok(self.list())
            }
            _ => Err(refused("op", op, "auth, subscribe, unsubscribe, list")),
        }
    }

    fn authenticate(&mut self, token: Option<&Value>) -> Result<Reply, Problem> {
        let secret = token.and_then(Value::as_str).unwrap_or_default();
        let tokens = &self.shared.tokens;
        match tokens.role_of(secret.as_bytes()) {
            None | Some(Role::Exchange) => Err(Problem::unauthorized()),
            Some(role) => {
                self.stranger = None;
                self.lease = Some(tokens.lease_of(secret.as_bytes()));
                let mut out = b",\"role\":".to_vec();
                string(&mut out, role.as_str());
                Ok(("authenticated", out))
            }
        }
    }

    fn subscribe(&mut self, fields: &Map<String, Value>) -> Result<Reply, Problem> {
        let wanted = SubscriptionSpec::parse(fields, &self.shared.registry)?;
        let begun = self.reader.subscribe(wanted)?;
        let mut out = format!(",\"subscription\":{},\"server\":", begun.number).into_bytes();
        string(&mut out, &begun.server);
        out.extend_from_slice(b",\"view\":");
        string(&mut out, &begun.view);
        out.extend_from_slice(b",\"books\":");
        texts(&mut out, &begun.books);
        Ok(("subscribed", out))
    }

    fn unsubscribe(&mut self, number: Option<&Value>) -> Result<Reply, Problem> {
        let ended = match number {
            None => self.reader.unsubscribe_all(),
            Some(value) => {
                let found = whole(value).filter(|number| self.reader.unsubscribe(*number));
                let allowed = "the number of a subscription of this connection, or nothing for all";
                vec![found.ok_or_else(|| refused("subscription", value, allowed))?]
            }
        };
        let numbers: Vec<String> = ended.iter().map(u64::to_string).collect();
        let out = format!(",\"subscriptions\":[{}]", numbers.join(","));
        Ok(("unsubscribed", out.into_bytes()))
    }

    fn list(&self) -> Reply {
        let mut out = b",\"subscriptions\":[".to_vec();
        for (index, (number, subscription, books)) in self.reader.subscriptions().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let mut line = Object::begin(&mut out);
            line.integer("subscription", i64::try_from(number).unwrap_or(i64::MAX));
            texts(line.key("symbols"), &subscription.selectors.given);
            line.text("view", &subscription.view.name());
            texts(line.key("books"), &books);
            line.end();
        }
        out.push(b']');
        ("subscriptions", out)
    }

    fn reply(&mut self, json: &[u8]) {
        let message = written(json, "reply", self.format);
        self.held += message.len();
        self.replies.push_back(message);
    }
}

/// A value that JSON can express: NaN in MessagePack would otherwise be read as null.
struct Plain(Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(given: D) -> Result<Plain, D::Error> {
        given.deserialize_any(PlainVisitor).map(Plain)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value that JSON can express")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        let number = Number::from_f64(number);
        number
            .map(Value::Number)
            .ok_or_else(|| E::custom("numbers must be finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(Plain(value)) = list.next_element()? {
            found.push(value);
        }
        Ok(Value::Array(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut found = Map::new();
        while let Some((name, Plain(value))) = map.next_entry::<String, Plain>()? {
            found.insert(name, value);
        }
        Ok(Value::Object(found))
    }
}

/// A reply repeats what its request is called.
const MOST_REQUEST: usize = 64;

fn request_of(fields: &Map<String, Value>) -> Option<Value> {
    fields.get("request").cloned().filter(is_request)
}

fn is_request(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::String(text) => text.chars().count() <= MOST_REQUEST,
        _ => false,
    }
}

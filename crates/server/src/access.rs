//! Who may do what: tokens with roles, and requests that a browser makes for a foreign page.
//!
//! A page of another site can make a browser of this host send requests to a loopback address. Two rules stop it:
//! the host that a request names must be an address, `localhost` or a name that the owner allows (against DNS
//! rebinding), and what a browser sends for another origin is refused. No response allows another origin (CORS).

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use axum::http::request::Parts;
use http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN, REFERER, USER_AGENT};
use http::uri::{Authority, PathAndQuery};
use http::{Method, StatusCode};
use ring::digest::{SHA256, digest};
use subtle::{Choice, ConstantTimeEq};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::problem::{Problem, shortened};
use crate::table::Access;

/// What the holder of a token may do; each may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read books in the exchange's own protocol: a key that clients have in their paths.
    Exchange,
    /// Read books and statistics.
    Read,
    /// The same, as another node of the cluster: what it reads is of this server alone. No token has it.
    Node,
    /// Begin and end books, too.
    Manage,
}

impl Role {
    /// The word of the role.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Exchange => "exchange",
            Role::Read => "read",
            Role::Node => "node",
            Role::Manage => "manage",
        }
    }

    /// The role of a token by its word, if there is one.
    pub fn parse(word: &str) -> Option<Role> {
        [Role::Exchange, Role::Read, Role::Manage]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

/// A secret and what it permits. It has no `Debug`: it must not be printed.
pub struct Token {
    /// What it permits.
    pub role: Role,
    /// What is sent after `Bearer`.
    pub secret: String,
}

/// What the nodes of a cluster keep of a token: they know it without having its secret.
pub struct SharedToken {
    /// What it permits.
    pub role: Role,
    /// SHA-256 of the secret.
    pub digest: Digest,
    /// When it ends; None for never.
    pub until: Option<SystemTime>,
}

/// All tokens of a server.
pub struct Tokens {
    given: Vec<Token>,
    /// These alone count, once there are some.
    shared: watch::Sender<Option<Vec<SharedToken>>>,
}

/// Ends when what a sender showed is not good any more.
pub type Lease = Pin<Box<dyn Future<Output = ()> + Send>>;

type Digest = [u8; 32];

impl Tokens {
    pub fn new(given: Vec<Token>) -> Tokens {
        Tokens {
            given,
            shared: watch::Sender::default(),
        }
    }

    /// Take these from now on, and no others.
    pub fn replace(&self, tokens: Vec<SharedToken>) {
        self.shared.send_replace(Some(tokens));
    }

    /// The role of the sender; None without a token that is known. Each known token is compared in full, in a
    /// time that does not depend on how much of it is right.
    pub fn role(&self, headers: &HeaderMap) -> Option<Role> {
        self.role_of(secret_of(headers)?)
    }

    /// The role of a secret that was sent otherwise than in a header.
    pub fn role_of(&self, secret: &[u8]) -> Option<Role> {
        if let Some(tokens) = &*self.shared.borrow() {
            return role_of_shared(tokens, &digest_of(secret)).map(|(role, _)| role);
        }
        let mut found = None;
        for token in &self.given {
            let same: Choice = token.secret.as_bytes().ct_eq(secret);
            if bool::from(same) {
                found = found.max(Some(token.role));
            }
        }
        found
    }

    /// Whether a secret is a key of the exchange's protocol; None where the nodes of a cluster share no such keys.
    pub fn is_exchange_key(&self, secret: &[u8]) -> Option<bool> {
        let shared = self.shared.borrow();
        let tokens = shared.as_ref()?;
        let has_keys = tokens.iter().any(|token| token.role == Role::Exchange);
        let found = role_of_shared(tokens, &digest_of(secret));
        has_keys.then(|| found.is_some_and(|(role, _)| role == Role::Exchange))
    }

    /// What a sender showed in a header is good until then; None where it showed nothing.
    pub fn lease(&self, headers: &HeaderMap) -> Option<Lease> {
        secret_of(headers).map(|secret| self.lease_of(secret))
    }

    /// The same of a secret. Tokens of a server by itself never end.
    pub fn lease_of(&self, secret: &[u8]) -> Lease {
        /// The system's clock may be set meanwhile.
        const LOOK: Duration = Duration::from_secs(60);
        let (digest, mut changes) = (digest_of(secret), self.shared.subscribe());
        Box::pin(async move {
            loop {
                let found = changes
                    .borrow_and_update()
                    .as_ref()
                    .map(|tokens| role_of_shared(tokens, &digest).map(|(_, until)| until));
                let until = match found {
                    Some(None) => return,
                    Some(Some(until)) => until,
                    None => None,
                };
                let left = until.map(|until| until.duration_since(SystemTime::now()));
                let left = left.map(|left| left.unwrap_or_default().min(LOOK));
                let changed = changes.changed();
                let is_over = match left {
                    None => changed.await.is_err(),
                    Some(left) => timeout(left, changed).await.is_ok_and(|each| each.is_err()),
                };
                if is_over {
                    return std::future::pending().await; // the server has ended
                }
            }
        })
    }

    /// Whether a sender may use a route. `proven`: the role of its connection, where that has one.
    pub fn check(
        &self,
        access: Access,
        headers: &HeaderMap,
        proven: Option<Role>,
    ) -> Result<(), Problem> {
        let needed = match access {
            Access::Open => return Ok(()),
            Access::Message if !headers.contains_key(AUTHORIZATION) => return Ok(()),
            Access::Read | Access::Message => Role::Read,
            Access::Node => Role::Node,
            Access::Manage => Role::Manage,
        };
        match self.role(headers).max(proven) {
            None => Err(Problem::unauthorized()),
            Some(role) if role < needed => {
                let message = format!(
                    "this needs a token with the role {}; yours has {}",
                    needed.as_str(),
                    role.as_str()
                );
                Err(Problem::forbidden("role_too_low", message)
                    .text("role", role.as_str())
                    .text("needed", needed.as_str()))
            }
            Some(_) => Ok(()),
        }
    }
}

fn secret_of(headers: &HeaderMap) -> Option<&[u8]> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (first, second) = (given.next()?, given.next());
    bearer(first.as_bytes()).filter(|_| second.is_none())
}

fn digest_of(secret: &[u8]) -> Digest {
    let made = digest(&SHA256, secret);
    made.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// What a token permits, and when that ends. The digest, not the secret, is compared: how much of it is right tells
/// nothing.
fn role_of_shared(tokens: &[SharedToken], digest: &Digest) -> Option<(Role, Option<SystemTime>)> {
    let now = SystemTime::now();
    tokens
        .iter()
        .filter(|token| token.digest == *digest)
        .filter(|token| token.until.is_none_or(|until| now < until))
        .map(|token| (token.role, token.until))
        .max_by_key(|(role, _)| *role)
}

fn bearer(header: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, secret) = header.split_at_checked(SCHEME.len())?;
    (scheme.eq_ignore_ascii_case(SCHEME) && !secret.is_empty()).then_some(secret)
}

/// Whether a proxy forwarded the request: the address of the connection is then not the sender's.
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    let marks = ["forwarded", "x-forwarded-for", "x-real-ip"];
    marks.iter().any(|name| headers.contains_key(*name))
}

/// Whether the sender seems to be a browser. Browsers before 2023 do not name the site that made the request, a page can
/// suppress the referrer, and a link in an email looks like a typed address: without a secret, no browser begins or ends
/// a book.
pub fn is_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).map(|agent| agent.as_bytes());
    let marks = ["sec-fetch-site", ORIGIN.as_str(), REFERER.as_str()];
    agent.is_some_and(|agent| agent.starts_with(b"Mozilla/"))
        || marks.iter().any(|name| headers.contains_key(*name))
}

/// Take a key out of the path of a request, `/k/<key>/…`: nothing else sees it, so that no error can repeat it.
pub fn take_key(request: &mut Parts) -> Option<String> {
    let path = request.uri.path_and_query()?;
    let rest = path.as_str().strip_prefix("/k/")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (key, rest) = rest.split_at(end);
    let key = key.to_owned();
    let rest = match rest.starts_with('/') {
        true => rest.to_owned(),
        false => format!("/{rest}"),
    };
    let mut uri = request.uri.clone().into_parts();
    uri.path_and_query = PathAndQuery::try_from(rest).ok();
    request.uri = http::Uri::from_parts(uri).unwrap_or_default();
    Some(key)
}

/// Which hosts and origins a server takes requests for.
#[derive(Debug)]
pub struct Origins {
    /// Names beside addresses and `localhost`, in lower case.
    names: Vec<String>,
}

impl Origins {
    pub fn new(names: impl IntoIterator<Item = String>) -> Origins {
        Origins {
            names: names
                .into_iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
        }
    }

    /// Refuse what a foreign page makes a browser send. `is_page`: whether the path is a page that a link may lead
    /// to. `is_tls`: whether the request came so.
    pub fn check(&self, request: &Parts, is_page: bool, is_tls: bool) -> Result<(), Problem> {
        let scheme = if is_tls { "https" } else { "http" };
        let host = self.host(request)?;
        let headers = &request.headers;
        for origin in headers.get_all(ORIGIN) {
            let origin = origin.to_str().unwrap_or("not a text");
            let is_own = origin
                .strip_prefix(scheme)
                .and_then(|rest| rest.strip_prefix("://"))
                .is_some_and(|named| named.eq_ignore_ascii_case(host.as_str()));
            if !is_own {
                let message = format!(
                    "requests for the origin {:?} are not answered here",
                    shortened(origin)
                );
                return Err(
                    Problem::forbidden("foreign_origin", message).text("origin", shortened(origin))
                );
            }
        }
        let Some(site) = headers.get("sec-fetch-site") else {
            return Ok(());
        };
        let is_link = is_page
            && matches!(request.method, Method::GET | Method::HEAD)
            && headers
                .get("sec-fetch-mode")
                .is_some_and(|mode| mode == "navigate");
        match site.as_bytes() {
            b"same-origin" | b"none" => Ok(()),
            _ if is_link => Ok(()),
            _ => Err(Problem::forbidden(
                "foreign_site",
                "a page of another site made this request",
            )),
        }
    }

    /// The host that a request is for.
    fn host(&self, request: &Parts) -> Result<Authority, Problem> {
        let mut named = request.headers.get_all(HOST).iter();
        let (first, second) = (named.next(), named.next());
        let header = first.map(|host| Authority::try_from(host.as_bytes()).ok());
        let host = match (header, request.uri.authority(), second) {
            (Some(Some(host)), None, None) => host,
            (None, Some(host), None) => host.clone(), // HTTP/2
            (Some(Some(host)), Some(other), None)
                if host.as_str().eq_ignore_ascii_case(other.as_str()) =>
            {
                host
            }
            _ => {
                let message = "a request must name one host, in one Host header";
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "invalid_host",
                    message,
                ));
            }
        };
        if !host.as_str().contains('@') && self.is_allowed(host.host()) {
            return Ok(host);
        }
        let message = format!(
            "requests for the host {:?} are not answered here; allowed are addresses, localhost and \
             the names of the option hosts",
            shortened(host.as_str())
        );
        Err(Problem::forbidden("foreign_host", message).text("host", shortened(host.as_str())))
    }

    /// An address cannot be a name that was rebound.
    fn is_allowed(&self, host: &str) -> bool {
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        host.eq_ignore_ascii_case("localhost")
            || bare.map_or_else(
                || host.parse::<std::net::Ipv4Addr>().is_ok(),
                |inner| inner.parse::<std::net::Ipv6Addr>().is_ok(),
            )
            || self
                .names
                .iter()
                .any(|name| host.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get("/v1/books");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("they are headers").into_parts().0
    }

    fn judged(origins: &Origins, headers: &[(&str, &str)], is_page: bool) -> Option<StatusCode> {
        origins
            .check(&parts(headers), is_page, false)
            .err()
            .map(|problem| problem.status)
    }

    #[test]
    fn addresses_and_named_hosts_pass_and_other_names_are_refused() {
        let origins = Origins::new(["Books.example".to_owned()]);
        for host in [
            "127.0.0.1:42081",
            "localhost",
            "LOCALHOST:1",
            "[::1]:80",
            "10.0.0.1",
            "books.example:443",
        ] {
            assert_eq!(judged(&origins, &[("host", host)], false), None, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "user@127.0.0.1",
            "0x7f.1",
        ] {
            assert_eq!(
                judged(&origins, &[("host", host)], false),
                Some(StatusCode::FORBIDDEN),
                "{host}"
            );
        }
    }

    #[test]
    fn a_request_names_exactly_one_host() {
        let origins = Origins::new([]);
        let bad = Some(StatusCode::BAD_REQUEST);
        assert_eq!(judged(&origins, &[], false), bad);
        assert_eq!(judged(&origins, &[("host", "")], false), bad);
        let twice = [("host", "127.0.0.1"), ("host", "127.0.0.1")];
        assert_eq!(judged(&origins, &twice, false), bad);
    }

    #[test]
    fn only_the_own_origin_passes() {
        let origins = Origins::new([]);
        let judge = |origin| {
            judged(
                &origins,
                &[("host", "127.0.0.1:80"), ("origin", origin)],
                true,
            )
        };
        assert_eq!(judge("http://127.0.0.1:80"), None);
        for foreign in [
            "https://127.0.0.1:80",
            "http://127.0.0.1:81",
            "http://127.0.0.1",
            "http://evil.example",
            "null",
        ] {
            assert_eq!(judge(foreign), Some(StatusCode::FORBIDDEN), "{foreign}");
        }
    }

    #[test]
    fn other_sites_may_link_to_pages_and_nothing_else() {
        let origins = Origins::new([]);
        let judge = |site, mode, is_page| {
            let headers = [
                ("host", "127.0.0.1"),
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
            ];
            judged(&origins, &headers, is_page)
        };
        let refused = Some(StatusCode::FORBIDDEN);
        assert_eq!(judge("same-origin", "cors", false), None);
        assert_eq!(judge("none", "navigate", false), None);
        assert_eq!(judge("cross-site", "navigate", true), None);
        assert_eq!(judge("cross-site", "navigate", false), refused);
        assert_eq!(judge("cross-site", "no-cors", true), refused);
        assert_eq!(judge("same-site", "cors", false), refused);
    }

    #[test]
    fn a_token_has_its_role_and_a_part_of_it_has_none() {
        let tokens = Tokens::new(vec![
            Token {
                role: Role::Read,
                secret: "dcr_one".to_owned(),
            },
            Token {
                role: Role::Manage,
                secret: "dca_two".to_owned(),
            },
        ]);
        let role = |header: &str| tokens.role(&parts(&[("authorization", header)]).headers);
        assert_eq!(role("Bearer dcr_one"), Some(Role::Read));
        assert_eq!(role("bearer dca_two"), Some(Role::Manage));
        for wrong in [
            "Bearer dcr_on",
            "Bearer dcr_one1",
            "Bearer ",
            "dcr_one",
            "Basic dcr_one",
            "Bearer  dcr_one",
        ] {
            assert_eq!(role(wrong), None, "{wrong}");
        }
        let twice = [
            ("authorization", "Bearer dcr_one"),
            ("authorization", "Bearer dca_two"),
        ];
        assert_eq!(tokens.role(&parts(&twice).headers), None);
    }

    #[test]
    fn the_role_read_cannot_manage() {
        let tokens = Tokens::new(vec![Token {
            role: Role::Read,
            secret: "dcr_one".to_owned(),
        }]);
        let headers = parts(&[("authorization", "Bearer dcr_one")]).headers;
        let status = |access| {
            tokens
                .check(access, &headers, None)
                .err()
                .map(|problem| problem.status)
        };
        assert_eq!(status(Access::Open), None);
        assert_eq!(status(Access::Read), None);
        assert_eq!(status(Access::Manage), Some(StatusCode::FORBIDDEN));
        assert_eq!(status(Access::Node), Some(StatusCode::FORBIDDEN));
        let nobody = parts(&[]).headers;
        let proven = |access| tokens.check(access, &nobody, Some(Role::Node)).is_ok();
        assert!(proven(Access::Node) && !proven(Access::Manage));
        assert!(tokens.check(Access::Read, &nobody, None).is_err());
    }

    #[test]
    fn tokens_of_a_cluster_count_alone_until_they_end() {
        let tokens = Tokens::new(vec![Token {
            role: Role::Manage,
            secret: "dca_given".to_owned(),
        }]);
        let shared = |secret: &str, role, seconds: Option<i64>| SharedToken {
            role,
            digest: digest(&SHA256, secret.as_bytes())
                .as_ref()
                .try_into()
                .expect("32 bytes"),
            until: seconds.map(|seconds| {
                let by = Duration::from_secs(seconds.unsigned_abs());
                match seconds < 0 {
                    true => SystemTime::now() - by,
                    false => SystemTime::now() + by,
                }
            }),
        };
        tokens.replace(vec![
            shared("dcr_old", Role::Read, Some(60)),
            shared("dcr_ended", Role::Read, Some(-1)),
            shared("dcr_new", Role::Read, None),
            shared("dca_new", Role::Manage, None),
        ]);
        for (secret, role) in [
            ("dcr_old", Some(Role::Read)),
            ("dcr_new", Some(Role::Read)),
            ("dca_new", Some(Role::Manage)),
            ("dcr_ended", None),
            ("dca_given", None),
            ("dcr_ne", None),
        ] {
            assert_eq!(tokens.role_of(secret.as_bytes()), role, "{secret}");
        }
        tokens.replace(Vec::new());
        assert_eq!(tokens.role_of(b"dca_given"), None);
    }

    #[test]
    fn a_key_is_taken_out_of_the_path() {
        for (given, key, left) in [
            (
                "/k/abc/binance.com/ws?a=1",
                Some("abc"),
                "/binance.com/ws?a=1",
            ),
            ("/k/abc", Some("abc"), "/"),
            ("/k/abc?x=1", Some("abc"), "/?x=1"),
            ("/k//binance.com/ws", Some(""), "/binance.com/ws"),
            ("/binance.com/k/abc", None, "/binance.com/k/abc"),
            (
                "http://host:1/k/a/v1/books",
                Some("a"),
                "http://host:1/v1/books",
            ),
        ] {
            let request = Request::get(given).body(()).expect("a request");
            let mut parts = request.into_parts().0;
            assert_eq!(take_key(&mut parts).as_deref(), key, "{given}");
            assert_eq!(parts.uri.to_string(), left);
        }
    }
}

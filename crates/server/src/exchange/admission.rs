//! Who may use the exchange's protocol: its clients send no token.
//!
//! Where only programs of this machine can connect, all of them; else those of networks that the owner named, and those
//! that send a key in the path: `/k/<key>/binance.com/…`. A token of the server's own API is as good. Browsers are refused
//! before (`Origins`). The key is taken out of the path before anything else looks at it (`access`), so that it is in no error.

use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use super::refusal::Refusal;
use super::rules::ExchangeOptions;
use crate::access::{Lease, is_browser, is_forwarded};
use crate::shared::ProtocolRequest;

/// Who was let in.
pub struct Admitted {
    pub admission: Admission,
    /// How long that lasts; None where nothing of it ends.
    pub lease: Option<Lease>,
}

/// What a sender may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Begin books, if the server allows that. A browser needs a secret, because an image tag is enough to make it send
    /// the request.
    pub begins: bool,
    /// Another node of the cluster, which gets what this server holds itself.
    pub is_node: bool,
}

impl Admission {
    const fn of(begins: bool) -> Admission {
        Admission {
            begins,
            is_node: false,
        }
    }
}

/// Whether a sender is answered.
pub fn check(options: &ExchangeOptions, request: &ProtocolRequest) -> Result<Admitted, Refusal> {
    let admitted = |admission, lease| Ok(Admitted { admission, lease });
    if request.sender.is_node() {
        let node = Admission {
            begins: false,
            is_node: true,
        };
        return admitted(node, None);
    }
    let (headers, tokens) = (&request.parts.headers, &request.shared.tokens);
    if let Some(key) = &request.key {
        let known = options.key.as_ref();
        let known = known.map_or(&[][..], |known| known.0.as_bytes());
        let is_own = bool::from(known.ct_eq(key.as_bytes())) && !known.is_empty();
        let is_shared = tokens.is_exchange_key(key.as_bytes());
        return match is_shared.unwrap_or(is_own) {
            true => admitted(
                Admission::of(true),
                is_shared.map(|_| tokens.lease_of(key.as_bytes())),
            ),
            false => Err(Refusal::forbidden("The key in the path is not known here.")),
        };
    }
    let has_token = tokens.role(headers).is_some();
    if !has_token && headers.contains_key(AUTHORIZATION) {
        return Err(Refusal::forbidden("The token is not known here."));
    }
    let mut networks = options.allow.iter();
    // A proxy on this machine may have any client.
    let is_neighbour = (options.is_open && !is_forwarded(headers))
        || networks.any(|network| network.has(request.sender.address));
    if is_neighbour || has_token {
        let begins = has_token || !is_browser(headers);
        let lease = tokens.lease(headers).filter(|_| !is_neighbour);
        return admitted(Admission::of(begins), lease);
    }
    Err(Refusal::forbidden(
        "Programs on other machines need a token, or a key in the path, /k/<key>/<exchange>/…, unless the owner of this \
         server allows their address.",
    ))
}

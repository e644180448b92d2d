//! The paths that clients of the old cluster (UBDCC 0.9) know: the one source of their router and their statistics.
//! `compat` answers them.

use depthcache_book::query::Side;

/// What answers a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Side(Side),
    Cluster,
    List,
    Info,
    /// All books in one answer; the old cluster had none.
    All,
    Test,
    /// Gone with release 2.9, and without effect before.
    License,
    /// The owner decides.
    Managing,
}

/// A path of the contract.
#[derive(Debug)]
pub struct Endpoint {
    /// It.
    pub path: &'static str,
    /// What an answer calls itself.
    pub event: &'static str,
    /// The name in statistics, logs, and for the owner.
    pub name: &'static str,
    /// What answers.
    pub kind: Kind,
    /// Whether it is asked by GET.
    pub takes_get: bool,
    /// Whether it is asked by POST.
    pub takes_post: bool,
}

const fn endpoint(
    path: &'static str,
    event: &'static str,
    name: &'static str,
    kind: Kind,
) -> Endpoint {
    Endpoint {
        path,
        event,
        name,
        kind,
        takes_get: true,
        takes_post: false,
    }
}

/// Begin and end books by GET and by POST: releases differ.
const fn managing(path: &'static str, event: &'static str, name: &'static str) -> Endpoint {
    Endpoint {
        takes_post: true,
        ..endpoint(path, event, name, Kind::Managing)
    }
}

/// All of them.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint(
        "/get_asks",
        "GET_ASKS",
        "compat_get_asks",
        Kind::Side(Side::Asks),
    ),
    endpoint(
        "/get_bids",
        "GET_BIDS",
        "compat_get_bids",
        Kind::Side(Side::Bids),
    ),
    endpoint(
        "/get_cluster_info",
        "GET_CLUSTER_INFO",
        "compat_get_cluster_info",
        Kind::Cluster,
    ),
    endpoint(
        "/get_depthcache_list",
        "GET_DEPTHCACHE_LIST",
        "compat_get_depthcache_list",
        Kind::List,
    ),
    endpoint(
        "/get_depthcache_info",
        "GET_DEPTHCACHE_INFO",
        "compat_get_depthcache_info",
        Kind::Info,
    ),
    endpoint(
        "/get_all_depthcaches",
        "GET_ALL_DEPTHCACHES",
        "compat_get_all_depthcaches",
        Kind::All,
    ),
    endpoint("/test", "TEST", "compat_test", Kind::Test),
    endpoint(
        "/submit_license",
        "SUBMIT_LICENSE",
        "compat_submit_license",
        Kind::License,
    ),
    managing(
        "/create_depthcache",
        "CREATE_DEPTHCACHE",
        "compat_create_depthcache",
    ),
    managing(
        "/create_depthcaches",
        "CREATE_DEPTHCACHES",
        "compat_create_depthcaches",
    ),
    managing(
        "/stop_depthcache",
        "STOP_DEPTHCACHE",
        "compat_stop_depthcache",
    ),
    Endpoint {
        takes_get: false, // a secret has no place in an address
        ..managing(
            "/add_credentials",
            "ADD_CREDENTIALS",
            "compat_add_credentials",
        )
    },
    managing(
        "/remove_credentials",
        "REMOVE_CREDENTIALS",
        "compat_remove_credentials",
    ),
    managing(
        "/get_credentials_list",
        "GET_CREDENTIALS_LIST",
        "compat_get_credentials_list",
    ),
];

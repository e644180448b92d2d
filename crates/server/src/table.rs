//! The table of routes: the one source of the router, of access and of the OpenAPI document.

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody who can connect.
    Open,
    /// Tokens of the role read, and above.
    Read,
    /// The same, in the header or in the first message: a browser sends no header with a WebSocket.
    Message,
    /// Other nodes of the cluster, and tokens of the role manage.
    Node,
    /// Tokens of the role manage.
    Manage,
}

/// Where a parameter is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterLocation {
    /// In the path.
    Path,
    /// In the query.
    Query,
}

/// A parameter of a route.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Where it is given.
    pub location: ParameterLocation,
    /// Its JSON schema.
    pub schema: &'static str,
    /// What it does.
    pub words: &'static str,
    /// Whether it must be given.
    pub required: bool,
}

/// A route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// GET, PUT, POST, PATCH or DELETE.
    pub method: &'static str,
    /// The path; parameters in braces.
    pub path: &'static str,
    /// A name of its own, for programs that are made from the document.
    pub name: &'static str,
    /// What it does, in one line.
    pub words: &'static str,
    /// Who may use it.
    pub access: Access,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// The statuses of responses that are no errors.
    pub successes: &'static [u16],
    /// The statuses of errors of its own, besides those of access and limits.
    pub errors: &'static [u16],
    pub(crate) endpoint: Endpoint,
}

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Books,
    /// A read of the book that the path names.
    OfBook(BookRead),
    Stats,
    Metrics,
    Healthy,
    Ready,
    Document,
    Socket,
    Stream,
    Authority,
    Joining,
    Delegated,
}

/// What is read of one book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BookRead {
    Levels,
    Best,
    Fill,
    Depth,
    Imbalance,
    Prices,
    SizeToMove,
    Grouped,
}

const fn path(name: &'static str, words: &'static str) -> Parameter {
    Parameter {
        name,
        location: ParameterLocation::Path,
        schema: r#"{"type":"string"}"#,
        words,
        required: true,
    }
}

const fn query(name: &'static str, schema: &'static str, words: &'static str) -> Parameter {
    Parameter {
        name,
        location: ParameterLocation::Query,
        schema,
        words,
        required: false,
    }
}

const fn needed(parameter: Parameter) -> Parameter {
    Parameter {
        required: true,
        ..parameter
    }
}

const EXCHANGE: Parameter = path("exchange", "The exchange's name, such as binance.com.");
const SYMBOL: Parameter = path("symbol", "The symbol, in any case.");
const NODE: Parameter = path("node", "The id of a node, as the list of nodes has it.");
const SINCE: Parameter = query(
    "since",
    r#"{"type":"string"}"#,
    "The `at` of an earlier response: only what has changed since then.",
);
const MOVES: Parameter = query(
    "moves",
    r#"{"type":"string"}"#,
    "The `moves_at` of an earlier response: only later moves.",
);
const LEVELS: Parameter = query(
    "levels",
    r#"{"anyOf":[{"type":"integer","minimum":0},{"const":"all"}],"default":20}"#,
    "Levels of each side, or all.",
);
const EXACT: Parameter = query(
    "exact",
    r#"{"type":"boolean","default":true}"#,
    "Prices and quantities as text with every digit; false: as floats.",
);
const ON_STALE: Parameter = query(
    "on_stale",
    r#"{"enum":["raise","serve","wait"],"default":"raise"}"#,
    "What a book does that is not synced: status 425, the last known book, or wait_s of waiting first.",
);
const MAX_AGE: Parameter = query(
    "max_age",
    r#"{"type":"number","exclusiveMinimum":0}"#,
    "Status 425 for a book whose last update was received more seconds ago.",
);
const WAIT: Parameter = query(
    "wait_s",
    r#"{"type":"number","exclusiveMinimum":0,"maximum":30,"default":5}"#,
    "With on_stale=wait: how many seconds to wait for the book.",
);
const BPS: Parameter = query(
    "bps",
    r#"{"type":"number","exclusiveMinimum":0}"#,
    "The distance from the mid in basis points.",
);

const GROUP: &str = "Sum levels up to multiples of this step of prices.";

const SIDE: Parameter = needed(query(
    "side",
    r#"{"enum":["buy","sell"]}"#,
    "buy walks the asks, sell the bids.",
));

const OF_BOOK: &[u16] = &[400, 404, 410, 425];

/// A server that is no node of a cluster has none of these routes, and a change may be on too few disks.
const OF_CLUSTER: &[u16] = &[400, 404, 503];

const fn get(
    path: &'static str,
    name: &'static str,
    words: &'static str,
    access: Access,
    endpoint: Endpoint,
) -> Route {
    Route {
        method: "GET",
        path,
        name,
        words,
        access,
        parameters: &[],
        successes: &[200],
        errors: &[],
        endpoint,
    }
}

/// A request about the cluster: the owner answers it.
const fn cluster(
    method: &'static str,
    path: &'static str,
    name: &'static str,
    words: &'static str,
) -> Route {
    let access = match method.as_bytes() {
        b"GET" => Access::Read,
        _ => Access::Manage,
    };
    Route {
        method,
        errors: OF_CLUSTER,
        ..get(path, name, words, access, Endpoint::Delegated)
    }
}

/// The paths on which strangers ask the owner.
pub const JOINING: [&str; 2] = ["/v1/cluster/join", "/v1/cluster/renew"];

/// The paths on which books are followed.
pub const FOLLOWING: [&str; 2] = ["/v1/ws", "/v1/stream"];

/// All routes.
pub const ROUTES: &[Route] = &[
    Route {
        parameters: &[
            query(
                "exchange",
                r#"{"type":"string"}"#,
                "Only books of this exchange.",
            ),
            query(
                "symbol",
                r#"{"type":"string"}"#,
                "Only symbols of this pattern: * for any text, ? for any character.",
            ),
            query(
                "status",
                r#"{"type":"string"}"#,
                "Only books of this status.",
            ),
            query(
                "limit",
                r#"{"type":"integer","minimum":1,"maximum":1000,"default":100}"#,
                "Books at most.",
            ),
            query(
                "cursor",
                r#"{"type":"string"}"#,
                "The `next` of the page before.",
            ),
            query(
                "symbols",
                r#"{"type":"string"}"#,
                "Whole books instead of a list: SYMBOL or EXCHANGE/SYMBOL with commas between them, or patterns.",
            ),
            LEVELS,
            EXACT,
            ON_STALE,
            MAX_AGE,
            WAIT,
        ],
        errors: &[400],
        ..get(
            "/v1/books",
            "list_books",
            "List books with their states; or read many at once.",
            Access::Read,
            Endpoint::Books,
        )
    },
    Route {
        parameters: &[EXCHANGE, SYMBOL, LEVELS, EXACT, ON_STALE, MAX_AGE, WAIT],
        successes: &[200, 304],
        errors: OF_BOOK,
        ..get(
            "/v1/books/{exchange}/{symbol}",
            "read_book",
            "Read both sides of a book at one update id.",
            Access::Read,
            Endpoint::OfBook(BookRead::Levels),
        )
    },
    Route {
        method: "PUT",
        parameters: &[EXCHANGE, SYMBOL],
        successes: &[200, 201],
        errors: &[400, 404, 409, 503],
        ..get(
            "/v1/books/{exchange}/{symbol}",
            "begin_book",
            "Begin a book; without effect for one that is there.",
            Access::Manage,
            Endpoint::Delegated,
        )
    },
    Route {
        method: "DELETE",
        parameters: &[EXCHANGE, SYMBOL],
        successes: &[204],
        errors: &[400, 404, 503],
        ..get(
            "/v1/books/{exchange}/{symbol}",
            "end_book",
            "End a book; without effect for one that is not there.",
            Access::Manage,
            Endpoint::Delegated,
        )
    },
    Route {
        parameters: &[EXCHANGE, SYMBOL, EXACT, ON_STALE, MAX_AGE, WAIT],
        errors: OF_BOOK,
        ..get(
            "/v1/books/{exchange}/{symbol}/best",
            "read_best",
            "Read the best bid and ask of one update id.",
            Access::Read,
            Endpoint::OfBook(BookRead::Best),
        )
    },
    Route {
        parameters: &[
            EXCHANGE,
            SYMBOL,
            SIDE,
            query(
                "base",
                r#"{"type":"number","exclusiveMinimum":0}"#,
                "The size in the base asset (contracts on COIN-M); or quote.",
            ),
            query(
                "quote",
                r#"{"type":"number","exclusiveMinimum":0}"#,
                "The size in the quote asset; or base.",
            ),
            ON_STALE,
            MAX_AGE,
            WAIT,
        ],
        errors: OF_BOOK,
        ..get(
            "/v1/books/{exchange}/{symbol}/fill",
            "read_fill",
            "What a market order would get.",
            Access::Read,
            Endpoint::OfBook(BookRead::Fill),
        )
    },
    Route {
        parameters: &[EXCHANGE, SYMBOL, needed(BPS), ON_STALE, MAX_AGE, WAIT],
        errors: OF_BOOK,
        ..get(
            "/v1/books/{exchange}/{symbol}/depth",
            "read_depth",
            "What rests within a distance of the mid.",
            Access::Read,
            Endpoint::OfBook(BookRead::Depth),
        )
    },
    Route {
        parameters: &[EXCHANGE, SYMBOL, LEVELS, BPS, ON_STALE, MAX_AGE, WAIT],
        errors: OF_BOOK,
        ..get(
            "/v1/books/{exchange}/{symbol}/imbalance",
            "read_imbalance",
            "How the sides compare, from -1 to 1; of the best level unless levels or bps is given.",
            Access::Read,
            Endpoint::OfBook(BookRead::Imbalance),
        )
    },
    Route {
        parameters: &[EXCHANGE, SYMBOL, ON_STALE, MAX_AGE, WAIT],
        errors: OF_BOOK,
        ..get(
            "/v1/books/{exchange}/{symbol}/prices",
            "read_prices",
            "Best bid and ask, mid, microprice, spread and spread in basis points.",
            Access::Read,
            Endpoint::OfBook(BookRead::Prices),
        )
    },
    Route {
        parameters: &[EXCHANGE, SYMBOL, SIDE, needed(BPS), ON_STALE, MAX_AGE, WAIT],
        errors: OF_BOOK,
        ..get(
            "/v1/books/{exchange}/{symbol}/size_to_move",
            "read_size_to_move",
            "What a market order takes that moves the best price by a distance.",
            Access::Read,
            Endpoint::OfBook(BookRead::SizeToMove),
        )
    },
    Route {
        parameters: &[
            EXCHANGE,
            SYMBOL,
            needed(query(
                "group",
                r#"{"type":"number","exclusiveMinimum":0}"#,
                GROUP,
            )),
            LEVELS,
            ON_STALE,
            MAX_AGE,
            WAIT,
        ],
        errors: OF_BOOK,
        ..get(
            "/v1/books/{exchange}/{symbol}/grouped",
            "read_grouped",
            "Levels summed at multiples of a price, best first; levels are groups of each side.",
            Access::Read,
            Endpoint::OfBook(BookRead::Grouped),
        )
    },
    Route {
        successes: &[101],
        errors: &[426],
        ..get(
            FOLLOWING[0],
            "open_socket",
            "Follow many books on a WebSocket, in JSON or MessagePack.",
            Access::Message,
            Endpoint::Socket,
        )
    },
    Route {
        parameters: &[
            needed(query(
                "symbols",
                r#"{"type":"string"}"#,
                "SYMBOL or EXCHANGE/SYMBOL with commas between them, or patterns with * and ?.",
            )),
            query(
                "mode",
                r#"{"enum":["every","latest","interval","best","levels","status"],"default":"latest"}"#,
                "When there is a message.",
            ),
            query(
                "levels",
                r#"{"anyOf":[{"type":"integer","minimum":1,"maximum":100000},{"const":"all"}],"default":20}"#,
                "Levels of each side, or groups of them; or all.",
            ),
            query("group", r#"{"type":"number","exclusiveMinimum":0}"#, GROUP),
            query(
                "interval_ms",
                r#"{"type":"integer","minimum":1,"maximum":3600000,"default":1000}"#,
                "The interval of the mode interval.",
            ),
            query(
                "on_stale",
                r#"{"enum":["raise","serve","wait"],"default":"raise"}"#,
                "A book that is not synced: only its state, the last known levels, too, or nothing.",
            ),
            EXACT,
            query(
                "resume",
                r#"{"type":"integer"}"#,
                "Go on after this id of one book, where the server still can; Last-Event-ID does the same.",
            ),
            query(
                "server",
                r#"{"type":"string"}"#,
                "The server that gave this id.",
            ),
            query(
                "complete",
                r#"{"type":"boolean","default":false}"#,
                "The last message had complete: then another server may go on, too, with exact=false.",
            ),
        ],
        errors: &[400, 404],
        ..get(
            FOLLOWING[1],
            "stream_books",
            "Follow books as server-sent events.",
            Access::Read,
            Endpoint::Stream,
        )
    },
    get(
        "/v1/stats",
        "read_stats",
        "Books by status, connections and requests of this server.",
        Access::Read,
        Endpoint::Stats,
    ),
    get(
        "/metrics",
        "read_metrics",
        "The same, and every book, for Prometheus.",
        Access::Read,
        Endpoint::Metrics,
    ),
    cluster(
        "GET",
        "/v1/cluster",
        "read_cluster",
        "The cluster as this node sees it: nodes, books with their replicas, request weight.",
    ),
    cluster(
        "GET",
        "/v1/cluster/nodes",
        "list_cluster_nodes",
        "The nodes of the cluster alone.",
    ),
    cluster(
        "GET",
        "/v1/cluster/moves",
        "list_cluster_moves",
        "Which books came to this node and went, and why, newest last.",
    ),
    Route {
        parameters: &[SINCE, MOVES],
        ..cluster(
            "GET",
            "/v1/cluster/overview",
            "read_cluster_overview",
            "Nodes, counts of books, request weight of all nodes, and what has changed since an earlier look.",
        )
    },
    Route {
        parameters: &[
            query(
                "exchange",
                r#"{"type":"string"}"#,
                "Only books of this exchange.",
            ),
            query(
                "search",
                r#"{"type":"string"}"#,
                "Only books whose symbol or exchange has each of these words.",
            ),
            query(
                "only",
                r#"{"enum":["wrong","lacking"]}"#,
                "wrong: synced on fewer nodes than is possible now; lacking: on fewer nodes than wanted.",
            ),
            query(
                "limit",
                r#"{"type":"integer","minimum":1,"maximum":1000,"default":250}"#,
                "Books at most.",
            ),
            query(
                "cursor",
                r#"{"type":"string"}"#,
                "The `next` of the page before.",
            ),
        ],
        ..cluster(
            "GET",
            "/v1/cluster/books",
            "list_cluster_books",
            "The books that the cluster keeps: wanted replicas, holders and their states, why one is not synced.",
        )
    },
    Route {
        parameters: &[
            MOVES,
            query(
                "reasons",
                r#"{"type":"string"}"#,
                "The `reasons_digest` of an earlier response: reasons that are still the same are left out.",
            ),
        ],
        ..cluster(
            "GET",
            "/v1/cluster/node",
            "read_cluster_node",
            "What the node that is asked knows alone: its version, request weight, moves, and why its books are not synced.",
        )
    },
    Route {
        access: Access::Node,
        ..cluster(
            "GET",
            "/v1/cluster/check",
            "check_cluster_node",
            "What this node finds when it checks itself and tries the ports of all others.",
        )
    },
    cluster(
        "POST",
        "/v1/cluster/check",
        "check_cluster",
        "The same of every node that answers, asked by this one.",
    ),
    cluster(
        "GET",
        "/v1/cluster/certificates",
        "list_cluster_certificates",
        "Authorities, the certificates of nodes and access tokens: until when each is valid, and what is being replaced.",
    ),
    Route {
        successes: &[202],
        ..cluster(
            "POST",
            "/v1/cluster/certificates",
            "renew_cluster_certificates",
            "All nodes get new certificates now; those that do not run, when they are back.",
        )
    },
    cluster(
        "PUT",
        "/v1/cluster/books",
        "put_cluster_books",
        "Keep books with exactly these replicas and settings, new ones and others: exchange, symbols, replicas, settings.",
    ),
    cluster(
        "POST",
        "/v1/cluster/books",
        "create_cluster_books",
        "Add books to the cluster: exchange, symbols, replicas, settings.",
    ),
    cluster(
        "PATCH",
        "/v1/cluster/books",
        "change_cluster_books",
        "Change replicas or settings of books that the cluster keeps.",
    ),
    cluster(
        "DELETE",
        "/v1/cluster/books",
        "stop_cluster_books",
        "End books of the cluster: exchange, symbols.",
    ),
    Route {
        parameters: &[NODE],
        ..cluster(
            "POST",
            "/v1/cluster/nodes/{node}/drain",
            "drain_cluster_node",
            "Move all books away from a node; or, with draining false, let it hold books again.",
        )
    },
    Route {
        parameters: &[NODE],
        ..cluster(
            "DELETE",
            "/v1/cluster/nodes/{node}",
            "remove_cluster_node",
            "Remove a node from the cluster and refuse it from now on.",
        )
    },
    Route {
        parameters: &[path(
            "role",
            "read, manage or exchange: a new access token; join: a token for one further node.",
        )],
        successes: &[201],
        errors: &[400, 404, 409, 503],
        ..cluster(
            "POST",
            "/v1/cluster/tokens/{role}",
            "rotate_cluster_token",
            "A new token; the earlier ones of its role end after a while.",
        )
    },
    Route {
        successes: &[202],
        errors: &[400, 404, 409, 503],
        ..cluster(
            "POST",
            "/v1/cluster/leave",
            "leave_cluster",
            "This node hands its books over, leaves the cluster for good, and ends.",
        )
    },
    Route {
        errors: &[404],
        ..get(
            "/v1/cluster/authority",
            "read_cluster_authority",
            "The certificates of the authority of this cluster, in PEM: check them against the hash in a join token.",
            Access::Open,
            Endpoint::Authority,
        )
    },
    Route {
        successes: &[202],
        errors: &[400, 404, 409, 503],
        ..cluster(
            "POST",
            "/v1/cluster/authority",
            "rotate_cluster_authority",
            "Let a new authority take over; all nodes get certificates of it by themselves.",
        )
    },
    Route {
        method: "POST",
        errors: &[400, 403, 404, 503],
        ..get(
            JOINING[0],
            "join_cluster",
            "Redeem a join token; the secret in the body is the proof. Nodes ask this, not people.",
            Access::Open,
            Endpoint::Joining,
        )
    },
    Route {
        method: "POST",
        errors: &[400, 403, 404, 503],
        ..get(
            JOINING[1],
            "renew_node_certificate",
            "Get a new certificate for a node, with a request that its current key signed.",
            Access::Open,
            Endpoint::Joining,
        )
    },
    get(
        "/healthz",
        "check_health",
        "Whether the server runs.",
        Access::Open,
        Endpoint::Healthy,
    ),
    Route {
        errors: &[503],
        ..get(
            "/readyz",
            "check_ready",
            "Whether books can be read: all came once, here or on another node of the cluster, and not all are lost.",
            Access::Open,
            Endpoint::Ready,
        )
    },
    get(
        "/docs",
        "read_docs",
        "This API for people.",
        Access::Open,
        Endpoint::Document,
    ),
    get(
        "/openapi.json",
        "read_openapi",
        "This API as an OpenAPI document.",
        Access::Open,
        Endpoint::Document,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_path_are_those_that_a_route_declares() {
        for route in ROUTES {
            let in_path: Vec<&str> = route
                .path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            let declared: Vec<&str> = route
                .parameters
                .iter()
                .filter(|each| each.location == ParameterLocation::Path)
                .map(|each| each.name)
                .collect();
            assert_eq!(in_path, declared, "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn only_what_tells_nothing_of_books_is_open() {
        let open: Vec<&str> = ROUTES
            .iter()
            .filter(|route| route.access == Access::Open)
            .map(|route| route.path)
            .collect();
        let joining = ["/v1/cluster/authority", JOINING[0], JOINING[1]];
        let told = ["/healthz", "/readyz", "/docs", "/openapi.json"];
        assert_eq!(open, [&joining[..], &told[..]].concat());
        let changing = ROUTES.iter().filter(|route| route.method != "GET");
        for route in changing.filter(|route| !JOINING.contains(&route.path)) {
            assert_eq!(
                route.access,
                Access::Manage,
                "{} {}",
                route.method,
                route.path
            );
        }
    }
}

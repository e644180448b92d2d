"""The wanted set: which books a cluster keeps, in how many replicas and with which settings; and its nodes.

A replicated map with five kinds of entries: books, registered nodes, nodes that were removed and are
refused, the digests of access tokens, and authorities that take over from another. Every edit gets a stamp of
this node's hybrid clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from depthcache.cluster.core.access_tokens import AccessToken, Role
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.replicated_map import ALIVE, Cell, Delta, ReplicatedMap, Value, is_alive, latest
from depthcache.cluster.core.stamps import EARLIEST, HybridClock, Stamp
from depthcache.cluster.errors import BookNotWanted
from depthcache.errors import InvalidArgument

__all__ = ["CertificateReport", "Changed", "NextAuthority", "WantedBook", "WantedSet", "parse_replicas"]

_BOOK, _NODE, _DENIED, _TOKEN, _AUTHORITY = "book", "node", "denied", "token", "authority"
_REPLICAS, _DRAINING, _UNTIL, _ROLE = "replicas", "draining", "until_ms", "role"
_SERVER, _EPHEMERAL = "server", "ephemeral"
_LISTEN, _TRUSTS, _ISSUER, _ISSUES = "listen", "trusts", "issuer", "issues"
_CERTIFICATE, _ENDS, _REPLACE = "certificate", "certificate_until_ms", "replace_certificate"
_PEM, _SIGNATURE, _IS_FINAL = "pem", "signature", "is_final"
_MOST_REPLICAS = 64
_ROLES: Mapping[Value, Role] = {each.value: each for each in Role}
_GIVEN = Stamp(1, 0, "")
"""Of tokens that all nodes have from the secrets that they were started with: older than every edit, so that
the end of a token outlasts the secrets that a node is started with again."""


def parse_replicas(given: object) -> int:
    """How many nodes are to hold a book. Raises InvalidArgument for anything but 1 to 64."""
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= _MOST_REPLICAS:
        raise InvalidArgument(name="replicas", value=given, allowed=f"1 to {_MOST_REPLICAS}")
    return given


@dataclass(frozen=True, slots=True)
class WantedBook:
    """A book that the cluster keeps.

    Attributes:
        key: its exchange and symbol.
        replicas: how many nodes hold it, if there are as many.
        settings: what else was said about it, such as `depth`, by name.
    """

    key: BookKey
    replicas: int
    settings: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True, slots=True)
class NextAuthority:
    """An authority that takes over from another.

    Attributes:
        hash: of its certificate.
        certificate: in PEM.
        signature: of the certificate, by the authority before it: nodes believe nothing else.
        is_final: whether all nodes have certificates of it, so that the one before is trusted no longer.
    """

    hash: str
    certificate: str
    signature: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class CertificateReport:
    """What a node says about its certificates: hashes of authorities.

    Attributes:
        trusts: the authorities that it trusts.
        issuer: the one that signed its own certificate.
        issues: whether it has a key of an authority.
        certificate: SHA-256 of its own certificate, in hexadecimal; empty of a release that does not say it.
        until_ms: when its own certificate ends, in milliseconds since 1970; 0 if unknown.
    """

    trusts: frozenset[str]
    issuer: str
    issues: bool
    certificate: str = ""
    until_ms: int = 0


@dataclass(frozen=True, slots=True)
class Changed:
    """What an edit changed: books, and whether anything about nodes."""

    books: frozenset[BookKey] = frozenset()
    nodes: bool = False


@dataclass(slots=True)
class WantedSet:
    """The wanted set of one node. Edits return what the other nodes merge."""

    node: str
    map: ReplicatedMap = field(default_factory=ReplicatedMap)
    clock: HybridClock = field(init=False)
    _books: dict[BookKey, WantedBook] = field(init=False, default_factory=dict[BookKey, WantedBook])
    _others: set[str] = field(init=False, default_factory=set[str])
    """The keys of all entries that are no books: few, and asked for at every message."""

    def __post_init__(self) -> None:
        self.clock = HybridClock(self.node)

    # --- getters ---------------------------------------------------------------------------

    def books(self) -> Mapping[BookKey, WantedBook]:
        """All wanted books."""
        return self._books

    def created_ms(self, key: BookKey) -> int:
        """When a wanted book was created, in milliseconds since 1970; 0 for one that is not wanted."""
        made = self.map.made(_text(key))
        return 0 if made is None else made.wall_ms

    def registered(self) -> frozenset[str]:
        """The nodes that belong to the cluster, whether they run or not."""
        return self._ids(_NODE)

    def joined(self) -> tuple[str, ...]:
        """The registered nodes in the order in which they joined."""
        return tuple(sorted(self.registered(), key=lambda peer: self.map.made(f"{_NODE} {peer}") or EARLIEST))

    def denied(self) -> frozenset[str]:
        """The nodes that were removed and are refused."""
        return self._ids(_DENIED)

    def listens(self) -> dict[str, str]:
        """Where the registered nodes talk to each other, host and port by id, as far as that is known."""
        return self._texts(_LISTEN)

    def servers(self) -> dict[str, str]:
        """Where the servers of the registered nodes are, as `listens`."""
        return self._texts(_SERVER)

    def draining(self) -> frozenset[str]:
        """The nodes that are to own no books."""
        return frozenset(peer for peer, value in self._fields(_DRAINING).items() if value)

    def drained_runs(self) -> dict[str, int]:
        """The nodes that are to own no books until they start again, and the run that was drained."""
        found = self._fields(_DRAINING).items()
        return {peer: run for peer, run in found if isinstance(run, int) and not isinstance(run, bool)}

    def ephemeral(self) -> frozenset[str]:
        """The nodes that leave for good when they end, and are forgotten when they stay away."""
        return frozenset(peer for peer, value in self._fields(_EPHEMERAL).items() if value)

    def tokens(self) -> list[AccessToken]:
        """The access tokens, those that have ended included."""
        found: list[AccessToken] = []
        for digest in sorted(self._ids(_TOKEN)):
            fields = self.map.fields(f"{_TOKEN} {digest}")
            role, until_ms = _ROLES.get(fields.get(_ROLE)), fields.get(_UNTIL)
            if role is not None:
                found.append(AccessToken(digest, role, until_ms if isinstance(until_ms, int) else None))
        return found

    def authorities(self) -> tuple[NextAuthority, ...]:
        """Authorities that take over, or did last."""
        found: list[NextAuthority] = []
        for hash_ in sorted(self._ids(_AUTHORITY)):
            fields = self.map.fields(f"{_AUTHORITY} {hash_}")
            certificate, signature = fields.get(_PEM), fields.get(_SIGNATURE)
            if isinstance(certificate, str) and isinstance(signature, str):
                found.append(NextAuthority(hash_, certificate, signature, fields.get(_IS_FINAL) is True))
        return tuple(found)

    def certificates(self) -> Mapping[str, CertificateReport]:
        """What the registered nodes say about their certificates, by id; those alone that said something."""
        found: dict[str, CertificateReport] = {}
        for peer in self.registered():
            fields = self.map.fields(f"{_NODE} {peer}")
            trusts, issuer = fields.get(_TRUSTS), fields.get(_ISSUER)
            if isinstance(trusts, str) and isinstance(issuer, str):
                issues, certificate, until_ms = (
                    fields.get(_ISSUES) is True,
                    fields.get(_CERTIFICATE),
                    fields.get(_ENDS),
                )
                found[peer] = CertificateReport(
                    frozenset(trusts.split()),
                    issuer,
                    issues,
                    certificate if isinstance(certificate, str) else "",
                    until_ms if isinstance(until_ms, int) else 0,
                )
        return found

    def replaced_certificates(self) -> dict[str, str]:
        """The certificates that nodes are to replace, by node: each is done once it reports another one."""
        return self._texts(_REPLACE)

    # --- edits -----------------------------------------------------------------------------

    def create(
        self, *keys: BookKey, replicas: int, settings: Mapping[str, Value], wall_ms: int
    ) -> tuple[Delta, Changed]:
        """Want books, with exactly these settings. `wall_ms`: the system's clock, for this and all edits."""
        fields, stamp = {**settings, _REPLICAS: replicas}, self.clock.tick(wall_ms)
        return self._edited(_joined(self.map.create(_text(key), fields, stamp) for key in keys))

    def change(
        self, *keys: BookKey, replicas: int | None, settings: Mapping[str, Value], wall_ms: int
    ) -> tuple[Delta, Changed]:
        """Set some settings of wanted books; None sets one back to its default, but leaves `replicas`. Raises
        BookNotWanted."""
        self._check(keys)
        fields = dict(settings) if replicas is None else {**settings, _REPLICAS: replicas}
        stamp = self.clock.tick(wall_ms)
        return self._edited(_joined(self.map.change(_text(key), fields, stamp) for key in keys))

    def stop(self, *keys: BookKey, wall_ms: int) -> tuple[Delta, Changed]:
        """Want books no longer. Raises BookNotWanted."""
        self._check(keys)
        stamp = self.clock.tick(wall_ms)
        return self._edited(_joined(self.map.delete(_text(key), stamp) for key in keys))

    def register(
        self, node: str, *, listen: str = "", is_ephemeral: bool = False, wall_ms: int
    ) -> tuple[Delta, Changed]:
        """A node belongs to the cluster: tombstones wait for it. `listen`: where others connect to it."""
        fields: dict[str, Value] = {_LISTEN: listen} if listen else {}
        if is_ephemeral:
            fields[_EPHEMERAL] = True
        return self._edited(self.map.create(f"{_NODE} {node}", fields, self.clock.tick(wall_ms)))

    def give_tokens(self, digests: Mapping[str, Role]) -> tuple[Delta, Changed]:
        """The tokens of the secrets that all nodes are started with. Every other edit of them is newer."""
        return self._edited(
            _joined(
                self.map.create(f"{_TOKEN} {digest}", {_ROLE: role.value, _UNTIL: None}, _GIVEN)
                for digest, role in digests.items()
            )
        )

    def drain(
        self, node: str, *, draining: bool, until_after: int | None = None, wall_ms: int
    ) -> tuple[Delta, Changed]:
        """Whether a node is to own no books. `until_after`: the run of its process with which that ends."""
        value: Value = until_after if draining and until_after is not None else draining
        return self._edited(self.map.change(f"{_NODE} {node}", {_DRAINING: value}, self.clock.tick(wall_ms)))

    def report_ephemeral(self, is_ephemeral: bool, *, wall_ms: int) -> tuple[Delta, Changed]:
        """Whether this node leaves for good when it ends."""
        fields: dict[str, Value] = {_EPHEMERAL: is_ephemeral}
        return self._edited(self.map.change(f"{_NODE} {self.node}", fields, self.clock.tick(wall_ms)))

    def forget(self, node: str, *, wall_ms: int) -> tuple[Delta, Changed]:
        """A node has left for good."""
        return self._edited(self.map.delete(f"{_NODE} {node}", self.clock.tick(wall_ms)))

    def deny(self, node: str, *, until_ms: int, wall_ms: int) -> tuple[Delta, Changed]:
        """Refuse a node; `until_ms`: when its certificate ends, in milliseconds since 1970."""
        stamp = self.clock.tick(wall_ms)
        gone = self.map.delete(f"{_NODE} {node}", stamp)
        denied = self.map.create(f"{_DENIED} {node}", {_UNTIL: until_ms}, stamp)
        return self._edited({**gone, **denied})

    def rotate_token(
        self, digest: str, *, role: Role, old_until_ms: int, wall_ms: int
    ) -> tuple[Delta, Changed]:
        """A new token of a role, by the digest of its secret; the role's others end at `old_until_ms`."""
        stamp = self.clock.tick(wall_ms)
        delta = dict(self.map.create(f"{_TOKEN} {digest}", {_ROLE: role.value, _UNTIL: None}, stamp))
        for token in self.tokens():
            is_open = token.until_ms is None or token.until_ms > old_until_ms
            if token.role is role and token.digest != digest and is_open:
                delta |= self.map.change(f"{_TOKEN} {token.digest}", {_UNTIL: old_until_ms}, stamp)
        return self._edited(delta)

    def trust(self, certificate: str, *, hash_: str, signature: str, wall_ms: int) -> tuple[Delta, Changed]:
        """An authority takes over, in PEM, signed by the one before; those that took over before are done."""
        stamp = self.clock.tick(wall_ms)
        delta: dict[str, Mapping[str, Cell]] = {}
        for each in (each for each in self.authorities() if each.is_final):
            delta |= self.map.delete(f"{_AUTHORITY} {each.hash}", stamp)
        fields: dict[str, Value] = {_PEM: certificate, _SIGNATURE: signature, _IS_FINAL: False}
        return self._edited({**delta, **self.map.create(f"{_AUTHORITY} {hash_}", fields, stamp)})

    def finish_authority(self, hash_: str, *, wall_ms: int) -> tuple[Delta, Changed]:
        """All nodes have certificates of this authority."""
        stamp = self.clock.tick(wall_ms)
        return self._edited(self.map.change(f"{_AUTHORITY} {hash_}", {_IS_FINAL: True}, stamp))

    def report_certificate(self, report: CertificateReport, *, wall_ms: int) -> tuple[Delta, Changed]:
        """What this node says about its certificates."""
        fields: dict[str, Value] = {
            _TRUSTS: " ".join(sorted(report.trusts)),
            _ISSUER: report.issuer,
            _ISSUES: report.issues,
            _CERTIFICATE: report.certificate,
            _ENDS: report.until_ms,
        }
        return self._edited(self.map.change(f"{_NODE} {self.node}", fields, self.clock.tick(wall_ms)))

    def replace_certificates(self, *, wall_ms: int) -> tuple[Delta, Changed]:
        """Every node is to replace the certificate that it reported last; those that reported none cannot."""
        stamp = self.clock.tick(wall_ms)
        return self._edited(
            _joined(
                self.map.change(f"{_NODE} {peer}", {_REPLACE: each.certificate}, stamp)
                for peer, each in sorted(self.certificates().items())
                if each.certificate
            )
        )

    def report_address(self, *, listen: str, server: str, wall_ms: int) -> tuple[Delta, Changed]:
        """Where this node is now, host and port: for other nodes, and its server."""
        fields: dict[str, Value] = {_LISTEN: listen, _SERVER: server}
        return self._edited(self.map.change(f"{_NODE} {self.node}", fields, self.clock.tick(wall_ms)))

    def drop_ended(self, *, wall_ms: int) -> tuple[Delta, Changed]:
        """Forget removed nodes whose certificates have ended, and ended tokens; empty if there are none."""
        ended: dict[str, Mapping[str, Cell]] = {}
        for key in sorted(self._others):
            kind = key.partition(" ")[0]  # other kinds of a newer build may begin alike
            until_ms = self.map.fields(key).get(_UNTIL) if kind in (_DENIED, _TOKEN) else None
            if isinstance(until_ms, int | float) and until_ms <= wall_ms:
                ended |= self.map.delete(key, self.clock.tick(wall_ms))
        return self._edited(ended)

    # --- what comes from elsewhere ---------------------------------------------------------

    def merge(self, delta: Delta) -> Changed:
        """Take an edit of another node."""
        self.clock.observe(latest(delta))
        return self._on_changed(self.map.merge(delta))

    def adopt(self, content: Delta, floor: Stamp) -> Changed:
        """Take everything that another node, or this node's file, has."""
        self.clock.observe(max(latest(content), floor))
        return self._on_changed(self.map.adopt(content, floor))

    def registered_at(self, content: Delta, node: str) -> Stamp | None:
        """When a node was registered, by the content of another node; None if it is not there."""
        cells = content.get(f"{_NODE} {node}", {})
        return cells[ALIVE][0] if is_alive(cells) else None

    def is_denied_in(self, content: Delta, node: str) -> bool:
        """Whether a node was removed, by the content of another node."""
        return is_alive(content.get(f"{_DENIED} {node}", {}))

    def names(self, content: Delta, nodes: Iterable[str]) -> frozenset[str]:
        """Those of some nodes that the content of another node has, also as deleted ones."""
        return frozenset(peer for peer in nodes if f"{_NODE} {peer}" in content)

    def meet(self, content: Delta, floor: Stamp, *, since: Stamp, wall_ms: int) -> tuple[Delta, Changed]:
        """As `adopt`, of a node whose floor was raised without this one: keep what it has not seen, by making
        it again. Returns the edit for the other nodes, too.

        `since`: the newest edit that the node had seen. If it had seen none, what it has is no old news
        either, and is made again for the nodes that this one knows."""
        self.clock.observe(max(latest(content), floor))
        given = {key for key in self._others if self.map.made(key) == _GIVEN and key not in content}
        unseen = self.map.unseen(content, floor, since=since) - given
        ignored = self.map.ignored(content) if since == EARLIEST else set[str]()
        ended = {key for key in ignored if content[key].get(ALIVE, (EARLIEST, False))[0] == _GIVEN}
        stamp = self.clock.tick(wall_ms)
        changed = self.map.merge(content, takes_old=since == EARLIEST)
        edit = dict(self.map.refresh((unseen | ignored) - ended, stamp))
        for key in ended:
            edit |= self.map.delete(key, stamp)
        changed |= self.map.adopt(content, floor)
        return edit, self._on_changed(changed | set(edit))

    # --- helpers ---------------------------------------------------------------------------

    def _check(self, keys: Iterable[BookKey]) -> None:
        for key in (key for key in keys if key not in self._books):
            raise BookNotWanted(exchange=key.exchange, symbol=key.symbol)

    def _edited(self, delta: Delta) -> tuple[Delta, Changed]:
        return delta, self._on_changed(set(delta))

    def _on_changed(self, keys: set[str]) -> Changed:
        books: set[BookKey] = set()
        for text in keys:
            kind, _, rest = text.partition(" ")
            if kind == _BOOK:
                key = BookKey(*rest.split(" ", 1)) if " " in rest else BookKey(rest, "")
                books.add(key)
                self._read_book(text, key)
            elif text in self.map:
                self._others.add(text)
            else:
                self._others.discard(text)
        return Changed(frozenset(books), any(not text.startswith(f"{_BOOK} ") for text in keys))

    def _read_book(self, text: str, key: BookKey) -> None:
        if text not in self.map:
            self._books.pop(key, None)
            return
        fields = self.map.fields(text)
        replicas = fields.pop(_REPLICAS, 1)
        is_right = isinstance(replicas, int) and 1 <= replicas <= _MOST_REPLICAS
        settings = tuple(sorted(each for each in fields.items() if each[1] is not None))  # None: set back
        self._books[key] = WantedBook(
            key, replicas if is_right and isinstance(replicas, int) else 1, settings
        )

    def _texts(self, name: str) -> dict[str, str]:
        """A field of the registered nodes that is a text, by id."""
        return {peer: each for peer, each in self._fields(name).items() if isinstance(each, str)}

    def _fields(self, name: str) -> dict[str, Value]:
        """A field of the registered nodes, by id."""
        return {peer: self.map.fields(f"{_NODE} {peer}").get(name) for peer in self.registered()}

    def _ids(self, kind: str) -> frozenset[str]:
        return frozenset(key.partition(" ")[2] for key in self._others if key.startswith(f"{kind} "))


def _joined(deltas: Iterable[Delta]) -> Delta:
    return {key: cells for delta in deltas for key, cells in delta.items()}


def _text(key: BookKey) -> str:
    return f"{_BOOK} {key.exchange} {key.symbol}"

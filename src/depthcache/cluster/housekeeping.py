"""Keeps the tokens, certificates, authorities and removals of a running node up to date, once a second.

The wanted set has what all nodes agreed on, the data folder what this node has done about it. `Housekeeping`
compares the two and acts: it renews the certificate once a day, gives the valid tokens to the server, and
reopens the session of the messaging engine for a new certificate, authority or removal. Nodes reopen in
turns, so that no two lose sight of each other at the same time.

**A new authority takes over in three steps.** Each begins once all registered nodes have done the one before:
they trust both; they have certificates of the new one; they drop the old one. Nodes trust a new authority
only if a trusted one signed it. So a node that is down delays the rotation, and is not locked out by it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from depthcache import logs
from depthcache.cluster.authority import (
    Authority,
    authority_hash,
    authority_hashes,
    began_at,
    hosts_of,
    is_signed,
    issuer_of,
    make_node_key,
    node_of,
    pem_blocks,
    sign,
)
from depthcache.cluster.core.access_tokens import AccessToken, Role, digest_of
from depthcache.cluster.core.join_tokens import JoinToken, JoinTokens
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.wanted_set import CertificateReport, NextAuthority
from depthcache.cluster.data_folder import DataFolder, Identity, authority_name
from depthcache.cluster.errors import ChangeNotStored, JoinRefused
from depthcache.cluster.given_peers import GivenPeers
from depthcache.cluster.join_client import renew_certificate
from depthcache.cluster.joining import REMOVED, RUNS_TWICE, Issuer
from depthcache.cluster.runner import DENIED_MS, Clock, NodeRunner
from depthcache.cluster.token_files import make_secret, token_name
from depthcache.errors import DepthCacheError, UsageError

__all__ = ["Housekeeping", "NodeServer", "ReopenableNetwork", "renew_at"]

_EVERY_S = 1.0
_RENEW_AFTER = timedelta(days=1)
_JITTER = 0.1
"""Nodes that joined together do not renew together."""
_RETRY_NS = 60_000_000_000
_TELL_AGAIN_NS = 60_000_000_000
_FIRST_LOOK_NS = 10_000_000_000
"""Within this after the start, a node that can sign is waited for: the others are seen one after another."""
_ALONE_NS = 10_000_000_000
_ASK_AGAIN_NS = 600_000_000_000
"""How long a node sees none of the others before it asks them whether it is to end, and then again."""
_ABSENT_NS = 30_000_000_000
"""How long another node is away before its port is tried, and then again."""
_OPEN_AGAIN_NS = 600_000_000_000
"""How often the session is opened again for nodes that are away although their ports take connections."""
_REACH_S = 2.0
_MEND_AGAIN_NS = 60_000_000_000
_SLOT_MS = 2_000
"""Nodes reopen in turns of the system's clock, in the first half of each: a second apart, far longer than
one is unseen."""
_FILES = {Role.READ: "read", Role.MANAGE: "admin", Role.EXCHANGE: "exchange"}
_ROLES = {Role.EXCHANGE: "exchange", Role.READ: "read", Role.MANAGE: "manage", Role.JOIN: "manage"}
"""What a token may do at the native server."""
_SIGNED = b"depthcache authority\n"


class NodeServer(Protocol):
    """What housekeeping needs of the server of a node."""

    def use(self, identity: Identity) -> None:
        """Serve with this certificate, and trust and show these authorities, from now on."""

    def set_tokens(self, tokens: Sequence[tuple[str, bytes, int | None]]) -> None:
        """Take these tokens alone: role, digest, and when it ends in milliseconds since 1970."""

    def set_denied(self, nodes: Sequence[str]) -> None:
        """Refuse these nodes."""


class ReopenableNetwork(Protocol):
    """What housekeeping needs of the messaging engine."""

    def unseen(self) -> tuple[str, ...]:
        """Nodes that are heard, but not seen as alive, which only another session can mend."""
        ...

    async def reopen(self, *, peers: tuple[str, ...], denied: tuple[str, ...]) -> None:
        """Use the certificates in the data folder, connect to these nodes, and refuse those, from now on."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """What the session of the messaging engine was opened with."""

    authority: str
    certificate: str
    denied: frozenset[str]


def _renew_certificate(
    given: Identity, addresses: Sequence[str], authority: str, process: Node | None
) -> Awaitable[str]:
    return renew_certificate(given, addresses, authority=authority, process=process)


async def _reaches(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_REACH_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, ValueError):  # TimeoutError is an OSError
        return False
    writer.close()
    return True


class Housekeeping:
    """The housekeeping of one node. Call `run`, or `look` once a second; the rest is for management."""

    def __init__(
        self,
        folder: DataFolder,
        runner: NodeRunner,
        network: ReopenableNetwork,
        server: NodeServer,
        *,
        clock: Clock,
        denied: Sequence[str] = (),
        on_secrets: Callable[[], None] = lambda: None,
        given: GivenPeers | None = None,
        renew: Callable[[Identity, Sequence[str], str, Node | None], Awaitable[str]] = _renew_certificate,
        reaches: Callable[[str], Awaitable[bool]] = _reaches,
    ) -> None:
        """`denied`: whom the session refuses already. `on_secrets`: the shared secrets changed here. `given`:
        the nodes that this one was told to look for.
        `reaches`: whether a host and port take connections."""
        self._folder, self._runner, self._network, self._server = folder, runner, network, server
        self._clock, self._on_secrets, self._renew = clock, on_secrets, renew
        self._reaches, self._given = reaches, given
        self._absent: dict[str, int] = {}
        """Since when other nodes are away."""
        self._reach_ns = 0
        """When to try the ports of such nodes again."""
        self._must_open = False
        self._tokens = JoinTokens()
        self._served: tuple[AccessToken, ...] = ()
        self._told: Identity | None = None
        self._refused: frozenset[str] | None = None
        self._secrets = ""
        self._next_try_ns = 0
        self._failed: tuple[str, int] = ("", 0)
        """Why the last look failed, and when that was written."""
        self._began_ns = clock.now_ns()
        self._ask_ns = self._began_ns + _ALONE_NS
        """When to ask whether this node was removed, or runs twice."""
        self._mended_ns: dict[str, int] = {}
        """When the session was reopened because of a node that was heard, but not seen."""
        self._opened = self._wanted_session(frozenset(denied))

    # --- for management ------------------------------------------------------------------------

    def issuer(self) -> Issuer | None:
        """Who lets nodes join here; None where this node has no key of the authority."""
        authority = self._signing()
        return None if authority is None else Issuer(authority, self._tokens)

    def issue_join_token(self) -> JoinToken:
        """A token for one further node. Raises JoinRefused: too many are open; UsageError: no key here."""
        issuer = self.issuer()
        if issuer is None:
            raise self._without_key()
        secret = make_secret("read").removeprefix("dcr_")
        return issuer.issue(secret=secret, now_ns=self._clock.now_ns())

    async def rotate_token(self, role: Role, *, overlap_s: float) -> str:
        """The secret of a new token for any role but joining; earlier ones of it end after `overlap_s`.

        Nodes that are up accept it within about a second (each looks once a second), the others when they are
        back. The secret is on disk before the earlier tokens are given an end. Raises ChangeNotStored,
        UsageError, OSError; after an OSError nothing has changed.
        """
        if role not in _FILES:
            raise UsageError("a token for a further node is issued, not rotated")
        name, wall_ms = _FILES[role], self._clock.wall_ms()
        secret = make_secret(name)
        until_ms = wall_ms + int(overlap_s * 1_000)
        self._folder.credentials.put(self._next_token(name), {"secret": secret}, wall_ms=wall_ms)
        await self._runner.rotate_token(digest_of(secret), role=role, old_until_ms=until_ms)
        self._serve_tokens()
        try:
            self._finish_tokens()
        except OSError as error:  # the secret is on disk: `look` tries again
            logs.node_housekeeping_failed(what="writing a new token", error=error)
        return secret

    async def rotate_authority(self) -> str:
        """Let a new authority take over; the hash of its certificate. It takes some seconds.

        Raises UsageError where this node has no key of the authority, or another rotation is under way;
        ChangeNotStored: then it goes on later.
        """
        own = self._folder.authorities()
        if not own:
            raise self._without_key()
        reports = self._runner.core.wanted.certificates().values()
        if len(own) > 1 or any(len(each.trusts) > 1 for each in reports):
            raise UsageError(
                "the authority is already being replaced: wait until all nodes have new certificates"
            )
        given = self._folder.identity
        successor = Authority.create(given.cluster, now=self._now())
        both = successor.certificate + given.authority
        self._folder.write_authorities((successor, *own), trusted=both)
        logs.authority_trusted(authority=successor.hash)
        await self._announce()
        return successor.hash

    async def renew_certificates(self) -> None:
        """Let every node get a new certificate now, or as soon as it is back. Raises ChangeNotStored."""
        await self._runner.record(lambda found, wall_ms: found.replace_certificates(wall_ms=wall_ms))

    async def remove(self, node: str) -> None:
        """Remove a node from the cluster, and refuse it for longer than any certificate of it can last.

        Raises ChangeNotStored.
        """
        await self._runner.deny(node, until_ms=self._clock.wall_ms() + DENIED_MS)
        self._serve_denied()

    # --- what happens by itself ----------------------------------------------------------------

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            try:
                await self.look()
                self._failed = ("", 0)
            except (DepthCacheError, OSError) as error:
                self._on_failed(error)
            await asyncio.sleep(_EVERY_S)

    def _on_failed(self, error: Exception) -> None:
        now_ns, (before, at_ns) = self._clock.now_ns(), self._failed
        if str(error) != before or now_ns - at_ns >= _TELL_AGAIN_NS:
            self._failed = str(error), now_ns
            logs.node_housekeeping_failed(what="housekeeping", error=error)

    async def look(self) -> None:
        """Do what is due. Raises OSError; what failed is tried again."""
        self._serve_tokens()
        self._serve_denied()
        self._finish_tokens()
        if self._secrets != (digest := self._folder.credentials.digest()):
            self._folder.write_tokens()
            self._secrets = digest
        self._follow_authorities()
        self._share_authorities()
        await self._ask_whether_to_end()
        await self._renew_certificate()
        if self._told != self._folder.identity:
            self._server.use(self._folder.identity)
            self._told = self._folder.identity
        await self._look_for_absent()
        if self._given is not None and await self._given.look():
            self._must_open = True
        await self._reopen()
        await self._report()
        await self._finish_rotation()

    def _next_token(self, name: str) -> str:
        """The name of a secret that is not that of a token file yet: not before its digest is in the wanted
        set."""
        return f"next token {name} of {self._runner.core.members.me.id}"

    def _finish_tokens(self) -> None:
        """Write new tokens into their files, as soon as they are accepted."""
        accepted = {each.digest for each in self._runner.core.wanted.tokens()}
        store, wall_ms = self._folder.credentials, self._clock.wall_ms()
        for name in _FILES.values():
            secret = store.get(self._next_token(name)).get("secret")
            if secret is not None and digest_of(secret) in accepted:
                store.put(token_name(name), {"secret": secret}, wall_ms=wall_ms)
                store.remove(self._next_token(name), wall_ms=wall_ms)
                self._folder.write_tokens()
                self._on_secrets()

    def _serve_tokens(self) -> None:
        tokens = tuple(self._runner.core.wanted.tokens())
        if tokens != self._served and tokens:
            known = {each.digest for each in self._served}
            roles = sorted({each.role.value for each in tokens if each.digest not in known})
            if roles and known:
                logs.access_tokens_changed(roles=", ".join(roles))
            self._server.set_tokens(
                [(_ROLES[each.role], bytes.fromhex(each.digest), each.until_ms) for each in tokens]
            )
            self._served = tokens

    def _serve_denied(self) -> None:
        denied = self._runner.core.wanted.denied()
        if denied != self._refused:
            self._server.set_denied(sorted(denied))
            self._refused = denied

    async def _ask_whether_to_end(self) -> None:
        """A node that was removed while it was away sees none of the others, and so does a copy of one that
        runs, and one that is cut off: it asks their servers which it is."""
        core, now_ns = self._runner.core, self._clock.now_ns()
        if core.members.alive():
            self._ask_ns = now_ns + _ALONE_NS
        given = self._folder.identity
        servers = {peer: at for peer, at in core.wanted.servers().items() if peer != given.node.id}
        if now_ns < self._ask_ns or not servers:
            return
        self._ask_ns = now_ns + _ASK_AGAIN_NS
        try:
            await self._renew(given, sorted(servers.values()), "", core.members.me)
        except JoinRefused as error:
            if error.reason == REMOVED:
                self._runner.on_removed()
            elif error.reason == RUNS_TWICE:
                self._runner.on_runs_twice()
        except DepthCacheError:
            return  # it is cut off from their servers, too

    # --- certificates ----------------------------------------------------------------------------

    async def _renew_certificate(self) -> None:
        now_ns = self._clock.now_ns()
        if now_ns < self._next_try_ns or not self._needs_certificate() or self._waits_for_issuer(now_ns):
            return
        self._next_try_ns = now_ns + int(_RETRY_NS * random.uniform(0.75, 1.25))  # noqa: S311 - a jitter
        given, newest = self._folder.identity, self._newest_trusted_by_all()
        own = self._folder.authorities()
        authority = next((each for each in reversed(own) if newest in (None, each.hash)), None)
        if authority is not None:
            request = make_node_key(given.node.id, key=given.key).request
            now = self._now()
            renewed = authority.issue(request, node=given.node.id, hosts=given.hosts, now=now)
        else:
            try:
                renewed = await self._renew(given, self._issuers(), newest or "", None)
            except DepthCacheError as error:
                until = node_of(given.certificate)[1]
                what = f"renewing the certificate, which ends on {until:%Y-%m-%d},"
                logs.node_housekeeping_failed(what=what, error=error)
                return
        try:
            self._folder.write_certificate(renewed, now=self._now())
        except JoinRefused as error:
            logs.node_housekeeping_failed(what="taking the new certificate", error=error)
        else:
            self._next_try_ns = 0
            until = node_of(self._folder.identity.certificate)[1]
            logs.node_certificate_renewed(until=f"{until:%Y-%m-%d %H:%M} UTC")

    def _needs_certificate(self) -> bool:
        given = self._folder.identity
        if hosts_of(given.certificate) != frozenset(given.hosts):
            return True
        replaced = self._runner.core.wanted.replaced_certificates().get(given.node.id)
        if replaced is not None and replaced == authority_hash(given.certificate):
            return True
        newest = self._newest_trusted_by_all()
        if newest is not None and issuer_of(given.authority, given.certificate) != newest:
            return True
        return self._now() >= renew_at(given.certificate)

    def _without_key(self) -> UsageError:
        core = self._runner.core
        having = (core.members.node(peer) for peer, each in core.wanted.certificates().items() if each.issues)
        asked = " or ".join(f"{node.id} at {node.address}" for node in having if node is not None)
        whom = f"node {asked}" if asked else "a node that has it"
        return UsageError(f"this node does not have the authority's key: ask {whom}")

    def _waits_for_issuer(self, now_ns: int) -> bool:
        """Whether this node has just started, cannot sign, and sees no node yet that may."""
        core = self._runner.core
        reports = core.wanted.certificates()
        may_sign = any(peer not in reports or reports[peer].issues for peer in core.members.alive())
        is_new = now_ns - self._began_ns < _FIRST_LOOK_NS
        return is_new and not may_sign and not self._folder.authorities()

    def _issuers(self) -> list[str]:
        """The servers to ask for a certificate: those first that said that they can sign."""
        core = self._runner.core
        reports = core.wanted.certificates()
        peers = sorted(core.members.alive(), key=lambda peer: peer not in reports or not reports[peer].issues)
        found = [core.members.node(peer) for peer in peers]
        return [node.address for node in found if node is not None]

    def _signing(self) -> Authority | None:
        """The authority of this node that signs: the newest that all nodes trust."""
        own = self._folder.authorities()
        newest = self._newest_trusted_by_all()
        return next((each for each in own if each.hash == newest), own[-1] if own else None)

    # --- authorities -----------------------------------------------------------------------------

    def _follow_authorities(self) -> None:
        """Trust an authority that one of the trusted ones signed; drop the old one at the end."""
        for each in self._runner.core.wanted.authorities():
            given = self._folder.identity
            trusted = authority_hashes(given.authority)
            if each.hash not in trusted and _is_vouched_for(each, given.authority):
                self._folder.write_trusted(each.certificate + given.authority)
                logs.authority_trusted(authority=each.hash)
            is_used = issuer_of(given.authority, given.certificate) == each.hash
            if each.hash in trusted and len(trusted) > 1 and each.is_final and is_used:
                own = tuple(known for known in self._folder.authorities() if known.hash == each.hash)
                self._folder.write_authorities(own, trusted=each.certificate)
                for old in trusted:
                    if old != each.hash:
                        self._folder.credentials.remove(authority_name(old), wall_ms=self._clock.wall_ms())
                logs.authority_replaced(authority=each.hash)

    def _share_authorities(self) -> None:
        """Where nodes start with shared secrets, all have the keys of the authorities: none is special."""
        folder = self._folder
        if not folder.shares_authority:
            return
        folder.take_authority_keys()
        for each in folder.authorities():
            if not folder.credentials.has(authority_name(each.hash)):
                fields, wall_ms = {"key": each.key}, self._clock.wall_ms()
                folder.credentials.put(authority_name(each.hash), fields, wall_ms=wall_ms)
                self._on_secrets()

    def _newest_trusted_by_all(self) -> str | None:
        """The authority that certificates should be of; None if that may be any that this node trusts."""
        wanted = self._runner.core.wanted
        reports = wanted.certificates()
        trusted = authority_hashes(self._folder.identity.authority)
        for each in wanted.authorities():
            is_known = all(
                peer in reports and each.hash in reports[peer].trusts for peer in wanted.registered()
            )
            if each.hash in trusted and is_known:
                return each.hash
        return None

    async def _report(self) -> None:
        """Say where this node is now, and what it trusts, once its session does."""
        given, wanted = self._folder.identity, self._runner.core.wanted
        me, listen, server = given.node.id, given.listen, given.node.address
        if me in wanted.registered() and (listen, server) != (
            wanted.listens().get(me),
            wanted.servers().get(me),
        ):
            await self._spread(
                lambda: self._runner.record(
                    lambda found, wall_ms: found.report_address(listen=listen, server=server, wall_ms=wall_ms)
                )
            )
        if self._opened != self._wanted_session(self._opened.denied):
            return
        report = CertificateReport(
            frozenset(authority_hashes(given.authority)),
            issuer_of(given.authority, given.certificate) or "",
            given.is_issuer,
            authority_hash(given.certificate),
            int(node_of(given.certificate)[1].timestamp() * 1_000),
        )
        if given.node.id in wanted.registered() and wanted.certificates().get(given.node.id) != report:
            await self._spread(
                lambda: self._runner.record(
                    lambda found, wall_ms: found.report_certificate(report, wall_ms=wall_ms)
                )
            )

    async def _finish_rotation(self) -> None:
        """On the node that began it: announce it again if need be, and end it once all have certificates."""
        own = self._folder.authorities()
        if len(own) < 2:
            return
        successor, wanted = own[0], self._runner.core.wanted
        known = {each.hash: each for each in wanted.authorities()}
        if successor.hash not in known:
            await self._spread(self._announce)
            return
        reports = wanted.certificates()
        has_all = all(
            peer in reports and reports[peer].issuer == successor.hash for peer in wanted.registered()
        )
        if has_all and not known[successor.hash].is_final:
            await self._spread(
                lambda: self._runner.record(
                    lambda found, wall_ms: found.finish_authority(successor.hash, wall_ms=wall_ms)
                )
            )

    async def _announce(self) -> None:
        successor, before = self._folder.authorities()[:2]
        signature = sign(before.key, _SIGNED + successor.certificate.encode())
        await self._runner.record(
            lambda found, wall_ms: found.trust(
                successor.certificate, hash_=successor.hash, signature=signature, wall_ms=wall_ms
            )
        )

    async def _spread(self, change: Callable[[], Awaitable[object]]) -> None:
        try:
            await change()
        except ChangeNotStored as error:  # it is merged here, and the other nodes get it later
            logs.node_housekeeping_failed(what="spreading what this node trusts", error=error)

    # --- the session -----------------------------------------------------------------------------

    def _wanted_session(self, denied: frozenset[str]) -> _Opened:
        given = self._folder.identity
        return _Opened(given.authority, given.certificate, denied)

    async def _look_for_absent(self) -> None:
        """The engine tries a node only when the session opens. Two nodes that opened theirs while they were
        cut off from each other would never meet again: open once more if the port of the other answers."""
        core, now_ns = self._runner.core, self._clock.now_ns()
        seen = {core.members.me.id, *core.members.alive(), *core.wanted.denied()}
        listens = {peer: at for peer, at in core.wanted.listens().items() if peer not in seen}
        self._absent = {peer: self._absent.get(peer, now_ns) for peer in listens}
        late = [listens[peer] for peer, since_ns in self._absent.items() if now_ns - since_ns >= _ABSENT_NS]
        if not late or now_ns < self._reach_ns:
            return
        self._must_open = any(await asyncio.gather(*map(self._reaches, late)))
        self._reach_ns = now_ns + (_OPEN_AGAIN_NS if self._must_open else _ABSENT_NS)

    async def _reopen(self) -> None:
        """Reopen when it is this node's turn."""
        core = self._runner.core
        denied = core.wanted.denied()
        is_same = self._opened == self._wanted_session(self._opened.denied)
        unseen = self._unseen()
        if is_same and denied <= self._opened.denied and not unseen and not self._must_open:
            return
        if self._is_my_turn():
            for peer in unseen:
                logs.node_unseen(peer=peer)
                self._mended_ns[peer] = self._clock.now_ns()
            wanted = self._wanted_session(denied)
            own, given = self._folder.identity.listen, () if self._given is None else self._given.reachable()
            known = dict.fromkeys((*core.wanted.listens().values(), *given))
            peers = tuple(each for each in known if each != own)
            await self._network.reopen(peers=peers, denied=tuple(sorted(denied)))
            self._opened, self._must_open = wanted, False

    def _unseen(self) -> tuple[str, ...]:
        """Nodes that another session may show. If it does not, they are of another release, perhaps."""
        registered, since_ns = self._runner.core.wanted.registered(), self._clock.now_ns() - _MEND_AGAIN_NS
        return tuple(
            peer
            for peer in self._network.unseen()
            if peer in registered and self._mended_ns.get(peer, since_ns) <= since_ns
        )

    def _is_my_turn(self) -> bool:
        me = self._runner.core.members.me.id
        nodes = sorted(self._runner.core.wanted.registered() | {me})
        turn, passed_ms = divmod(self._clock.wall_ms(), _SLOT_MS)
        return nodes[turn % len(nodes)] == me and (passed_ms < _SLOT_MS // 2 or len(nodes) == 1)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall_ms() / 1_000, UTC)


def renew_at(certificate: str) -> datetime:
    """When to renew a certificate in PEM: about a day after it was issued."""
    factor = random.Random(certificate).uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - a jitter
    return began_at(certificate) + _RENEW_AFTER * factor


def _is_vouched_for(found: NextAuthority, trusted: str) -> bool:
    """Whether an authority is what its entry says, and one of the trusted ones signed it."""
    try:
        is_itself = authority_hashes(found.certificate) == (found.hash,)
    except JoinRefused:
        return False
    content = _SIGNED + found.certificate.encode()
    return is_itself and any(is_signed(each, content, found.signature) for each in pem_blocks(trusted))

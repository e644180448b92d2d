"""The messaging engine of real clusters: `seam` over Eclipse Zenoh in peer mode, always with mutual TLS.

It needs eclipse-zenoh, an optional package (`pip install "depthcache[cluster]"`). A member is a liveliness
token whose key carries the node's facts; `tell` is a put, `ask` a query. Why the settings below differ from
the defaults (measured 2026-11 with 1.10):

* The default lease of 10 s leaves a frozen node unnoticed for as long; with 1 s it takes 0.9 to 1 s.
* By default connections are retried after up to 4 s: a restarted node was seen again after 1.9 s.
* A random id at every start leaves dead ids in the gossip (zenoh issue 2089), so the id is the node's own.
* All known nodes are listed, because with gossip alone two nodes lose each other if their only common
  neighbour dies.
* By default, two nodes that hear of each other from a third one both connect. If one of them leaves at that
  moment, closing its session takes 10 s and fails: with six processes that open and close sessions, within
  300 (2026-11-30). So only the one with the greater id connects; listed nodes are connected to anyway.
* Multicast scouting is off, because it would find nodes of other clusters.
* A query waits 10 s by default and stays in memory for as long, so every request has its own, shorter time.
* Congestion control "drop" lost requests and answers of 100 kB on an idle link, because fragments met a full
  queue. So everything is sent with "block" on a thread of its own. A node that takes nothing can block that
  thread for a second, until its link is closed.
* A socket is closed with a linger of 10 s, on a thread that receives. By default there are two such threads:
  when two links with unsent bytes were cut at once, a node received nothing from any node for 10 s. With many
  threads it hears all others meanwhile.
* Nodes are tried one after another before the session is open, by default for 10 s each: a machine that is
  switched off would keep every other node away for as long whenever its session opens. Here it is 3 s.
* A node that cannot be reached when the session opens is not tried again.

Callbacks come on Zenoh's threads and are moved to the event loop.

Zenoh checks certificates when a session opens, and does not say whose message it delivers. So every message
carries a proof of its sender (`message_proofs`), answers and facts of members too; one without it is dropped.
Requests go to all who offer to answer in a node's name, and only that node's answer counts.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from depthcache import logs
from depthcache.cluster.core.members import Member, MemberState, Node
from depthcache.cluster.core.protocol import FIRST, ProtocolRange
from depthcache.cluster.data_folder import DataFolder
from depthcache.cluster.errors import AskRefused, AskTimeout, NodeUnreachable
from depthcache.cluster.message_proofs import MessageProofs
from depthcache.cluster.seam import Handler
from depthcache.errors import ConnectionFailed, PackageMissing
from depthcache.foreign_text import clean

if TYPE_CHECKING:
    import zenoh

__all__ = ["ZenohNetwork", "ZenohSettings"]

_LEASE_MS = 1_000
_OPEN_MS = 3_000
_FORGET_S = 60.0
_CONFIRM_S = 1.5
"""After the session was reopened, other nodes are seen again within this, or they are gone."""
_UNSEEN_S = 3.0
"""How long a node is heard, but not seen, before that counts as a fault of the session."""
_GRACE_S = 2.0
"""A request may wait for so long behind a node that takes nothing."""
_CLOSE_AFTER_US = 1_000_000
_MOST_BYTES = 64 << 20
_THREADS = "(rx: (worker_threads: 64), net: (worker_threads: 8))"
"""Of the process, in Zenoh's notation; 64 more threads take 0.7 MB (2026-11-30)."""
_MOST_VERSION = 40
"""Characters of the version of another node's package that are shown."""
_ANSWERED, _REFUSED = "answer", "refusal"
_NUMBER = ">QQ"
"""The sender's run and the number of the message; they precede the proof of a message that is told."""
_NUMBER_BYTES = struct.calcsize(_NUMBER)
_ALL = [
    "put",
    "delete",
    "declare_subscriber",
    "query",
    "declare_queryable",
    "reply",
    "liveliness_token",
    "declare_liveliness_subscriber",
    "liveliness_query",
]
"""Every kind of message that Zenoh can refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZenohSettings:
    """How a node reaches other nodes.

    Attributes:
        cluster: the name of the cluster: lower-case letters, digits and hyphens.
        listen: host and port to listen on.
        peers: hosts and ports of all other nodes that are known.
        authority: PEM file with the certificates of the cluster's authority.
        certificate: PEM file with this node's certificate.
        key: PEM file with its private key.
        denied: ids of removed nodes whose certificates have not ended: no message goes to them or comes from
            them. When a node is removed later, the session is reopened.
    """

    cluster: str
    listen: str
    peers: tuple[str, ...]
    authority: Path
    certificate: Path
    key: Path
    denied: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: DataFolder, *, denied: tuple[str, ...], peers: tuple[str, ...] = ()) -> ZenohSettings:
        """The settings of the node of a data folder, which refuses these nodes. `peers`: further ones."""
        given = folder.identity
        port = given.listen.rpartition(":")[2]
        host = f"[{given.bind}]" if ":" in given.bind else given.bind
        return cls(
            cluster=given.cluster,
            listen=f"{host}:{port}",
            peers=tuple(dict.fromkeys((*given.peers, *peers))),
            authority=folder.authority_file,
            certificate=folder.certificate_file,
            key=folder.key_file,
            denied=denied,
        )


class ZenohNetwork:
    """`seam.ClusterNetwork` over sockets."""

    def __init__(self, settings: ZenohSettings) -> None:
        """Raises PackageMissing without eclipse-zenoh."""
        os.environ.setdefault("ZENOH_RUNTIME", _THREADS)  # read when the first session opens
        try:
            import zenoh
        except ModuleNotFoundError:
            raise PackageMissing(package="eclipse-zenoh", wanted_for="a cluster") from None
        self._zenoh = zenoh
        self._settings = settings
        self._prefix = f"depthcache/{settings.cluster}"
        self._session: zenoh.Session | None = None
        self._token: zenoh.LivelinessToken | None = None
        self._proofs: MessageProofs | None = None
        """Made with the files that the session was opened with."""
        self._sent = 0
        """Messages that this process told, over all sessions."""
        self._newest: dict[str, tuple[int, int]] = {}
        """Run and number of the last message of each sender that is a member or was heard: a recorded one
        counts only once."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._me: Node | None = None
        self._handler: Handler | None = None
        self._watchers: list[Callable[[Member], None]] = []
        self._members: dict[str, Member] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sender: ThreadPoolExecutor | None = None
        self._queued = 0
        """Bytes that wait on the sending thread."""
        self._lock = Lock()
        self._reopening = asyncio.Lock()
        self._confirmed: set[str] = set()
        """Nodes that were seen since the session opened."""
        self._unseen: dict[str, tuple[float, float]] = {}
        """When nodes that are not seen as alive were heard first and last, by the clock of the event loop."""

    # --- the seam --------------------------------------------------------------------------

    async def join(self, me: Node, handler: Handler) -> None:
        """As `ClusterNetwork.join`."""
        self._loop, self._me, self._handler = asyncio.get_running_loop(), me, handler
        try:
            await asyncio.to_thread(self._open, me)
        except self._zenoh.ZError as error:
            raise ConnectionFailed(url=f"tls://{self._settings.listen}", reason=str(error)) from None

    def members(self) -> tuple[Member, ...]:
        """As `ClusterNetwork.members`."""
        return tuple(self._members.values())

    def watch(self, on_member: Callable[[Member], None]) -> None:
        """As `ClusterNetwork.watch`."""
        self._watchers.append(on_member)

    async def ask(self, node: str, payload: bytes, *, timeout_s: float) -> bytes:
        """As `ClusterNetwork.ask`."""
        member, session = self._members.get(node), self._session
        if member is None or member.state is not MemberState.ALIVE or session is None:
            raise NodeUnreachable(node=node)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        key = f"ask/{node}/{self._id}"

        def on_end() -> None:
            self._post(_settle, answer, AskTimeout(node=node, timeout_s=timeout_s))

        def send() -> None:
            proof = self._sign(key, payload)

            def on_reply(reply: zenoh.Reply) -> None:
                result = None if reply.ok is None else self._result(node, proof, reply.ok)
                if result is not None:
                    self._post(_settle, answer, result)

            session.get(
                f"{self._prefix}/{key}",
                self._zenoh.handlers.Callback(on_reply, on_end),
                target=self._zenoh.QueryTarget.ALL,
                consolidation=self._zenoh.ConsolidationMode.NONE,
                payload=payload,
                attachment=proof,
                timeout=timeout_s,
                congestion_control=self._zenoh.CongestionControl.BLOCK,
            )

        if not self._send(send, len(payload)):
            raise NodeUnreachable(node=node)
        try:
            async with asyncio.timeout(timeout_s + _GRACE_S):
                return await answer
        except TimeoutError:
            raise AskTimeout(node=node, timeout_s=timeout_s) from None

    def tell(self, node: str | None, payload: bytes) -> None:
        """As `ClusterNetwork.tell`."""
        session = self._session
        if session is None:
            return
        for peer, member in self._members.items():
            if member.state is MemberState.ALIVE and node in (None, peer):
                self._put(session, f"tell/{peer}/{self._id}", payload)

    async def leave(self) -> None:
        """As `ClusterNetwork.leave`."""
        session, self._session = self._session, None
        if session is None:
            return
        for peer in self._members:
            self._put(session, f"bye/{peer}/{self._id}", b"")
        await self._end(session)

    async def reopen(self, *, peers: tuple[str, ...], denied: tuple[str, ...]) -> None:
        """Use the certificates that the files have now, and refuse these nodes, by id.

        `peers`: hosts and ports of all other nodes that are known now. Zenoh reads all this only when a
        session opens. A peer that is not named has to connect by itself, which takes up to a second.

        The other nodes see this one as suspect for a moment, and none of its books move. What is sent
        meanwhile may be lost. Raises ConnectionFailed; then this node is cut off until a further call.
        """
        me, session = self._me, self._session
        if me is None or session is None:
            return
        async with self._reopening:
            settings = replace(self._settings, peers=peers, denied=denied)
            self._confirmed = set()
            self._unseen.clear()
            try:
                await asyncio.to_thread(self._replace, session, me, settings)
            except self._zenoh.ZError as error:
                raise ConnectionFailed(url=f"tls://{settings.listen}", reason=str(error)) from None
            asyncio.get_running_loop().call_later(_CONFIRM_S, self._suspect_unconfirmed, self._confirmed)

    def refuses(self, nodes: Iterable[str]) -> bool:
        """Whether the session has refused all these nodes since it opened."""
        return set(nodes) <= set(self._settings.denied)

    def unseen(self) -> tuple[str, ...]:
        """Nodes whose messages come, but which have not been seen as alive for some seconds.

        Zenoh keeps one session for an id: when another process with the id of a node ends, the node's token
        and subscriptions are forgotten although its session is open (1.10). A reopened session has them.
        """
        since_s = 0.0 if self._loop is None else self._loop.time() - _UNSEEN_S
        found = [peer for peer, (first_s, last_s) in self._unseen.items() if first_s <= since_s <= last_s]
        return tuple(sorted(found))

    async def lose(self) -> None:
        """End without a goodbye, as a process that was killed: for tests."""
        session, self._session = self._session, None
        if session is not None:
            self._token = None
            await self._end(session)

    # --- helpers ---------------------------------------------------------------------------

    @property
    def _id(self) -> str:
        return "" if self._me is None else self._me.id

    def _replace(self, session: zenoh.Session, me: Node, settings: ZenohSettings) -> None:
        self._token = None  # it ends with the session
        session.close()  # type: ignore[no-untyped-call]
        self._settings = settings
        self._open(me)

    def _open(self, me: Node) -> None:
        if self._sender is None:
            self._sender = ThreadPoolExecutor(1, thread_name_prefix="depthcache cluster")
        given = self._settings
        self._proofs = MessageProofs(
            authority=given.authority.read_text(),
            certificate=given.certificate.read_text(),
            key=given.key.read_text(),
        )
        session = self._session = self._zenoh.open(self._config(me))
        session.declare_subscriber(f"{self._prefix}/tell/{me.id}/*", self._on_put)
        session.declare_subscriber(f"{self._prefix}/bye/{me.id}/*", self._on_bye)
        session.declare_queryable(f"{self._prefix}/ask/{me.id}/*", self._on_query)
        session.liveliness().declare_subscriber(f"{self._prefix}/member/**", self._on_token, history=True)
        facts = _text(json.dumps(asdict(me)).encode())
        key = f"member/{me.id}/{me.run}/{facts}"
        proof = _text(self._sign(key, b""))
        self._token = session.liveliness().declare_token(f"{self._prefix}/{key}/{proof}")

    async def _end(self, session: zenoh.Session) -> None:
        """Answer nobody any more, send what waits, and close."""
        tasks, sender, self._sender = tuple(self._tasks), self._sender, None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._close, session, sender)

    def _close(self, session: zenoh.Session, sender: ThreadPoolExecutor | None) -> None:
        if sender is not None:
            sender.shutdown()
        if self._token is not None:
            self._token.undeclare()  # type: ignore[no-untyped-call]
        with suppress(self._zenoh.ZError):  # it may take too long; all that matters was sent
            session.close()  # type: ignore[no-untyped-call]

    def _config(self, me: Node) -> zenoh.Config:
        config: Any = self._zenoh.Config()
        for name, value in self._values(me).items():
            config.insert_json5(name, json.dumps(value))
        found: zenoh.Config = config
        return found

    def _values(self, me: Node) -> Mapping[str, Any]:
        given = self._settings
        certificate, key = str(given.certificate), str(given.key)
        return {
            "id": me.id,
            "mode": "peer",
            "listen/endpoints": [f"tls/{given.listen}"],
            "connect/endpoints": [f"tls/{peer}" for peer in given.peers],
            "connect/timeout_ms": 0,
            "connect/exit_on_failure": False,
            "transport/unicast/open_timeout": _OPEN_MS,
            "connect/retry": {"period_init_ms": 200, "period_max_ms": 1_000, "period_increase_factor": 2},
            "open/return_conditions": {"connect_scouted": False, "declares": False},
            "scouting/multicast/enabled": False,
            "scouting/gossip/enabled": True,
            "scouting/gossip/autoconnect_strategy": {
                "peer": {"to_router": "always", "to_peer": "greater-zid"}
            },
            "queries_default_timeout": 1_000,
            "transport/shared_memory/enabled": False,
            "transport/link/protocols": ["tls"],
            "transport/link/tx/lease": _LEASE_MS,
            "transport/link/tx/queue/congestion_control/block/wait_before_close": _CLOSE_AFTER_US,
            "transport/link/rx/max_message_size": _MOST_BYTES,
            "access_control": _access(given.denied),
            "transport/link/tls": {
                "root_ca_certificate": str(given.authority),
                "listen_certificate": certificate,
                "listen_private_key": key,
                "connect_certificate": certificate,
                "connect_private_key": key,
                "enable_mtls": True,
                "verify_name_on_connect": False,  # the authority signs nodes of this cluster alone
                "close_link_on_expiration": True,
            },
        }

    def _put(self, session: zenoh.Session, key: str, payload: bytes) -> None:
        put: Callable[..., None] = session.put  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

        run = 0 if self._me is None else self._me.run

        def send() -> None:
            self._sent += 1
            number = struct.pack(_NUMBER, run, self._sent)
            put(
                f"{self._prefix}/{key}",
                payload,
                attachment=number + self._sign(key, number + payload),
                congestion_control=self._zenoh.CongestionControl.BLOCK,
            )

        self._send(send, len(payload))

    def _send(self, send: Callable[[], None], size: int) -> bool:
        """Do this on the sending thread, in order. False if too much waits there already."""
        if self._sender is None or self._queued + size > _MOST_BYTES:
            return False
        with self._lock:
            self._queued += size

        def run() -> None:
            try:
                send()
            except self._zenoh.ZError:  # the session was closed meanwhile
                return
            except Exception as error:  # noqa: BLE001 - nobody waits for the result
                logs.unexpected(where="sending to a node", error=error)
            finally:
                with self._lock:
                    self._queued -= size

        self._sender.submit(run)
        return True

    def _post(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call this on the event loop, unless that has ended."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # the loop is closed
            return

    # --- proofs, on threads of this class and of Zenoh -----------------------------------------

    def _sign(self, key: str, payload: bytes) -> bytes:
        assert self._proofs is not None  # noqa: S101 - made before the session
        return self._proofs.sign(key, payload)

    def _is_signed(
        self, node: str, proof: zenoh.ZBytes | bytes | None, key: str, payload: bytes, *, keeps: bool = True
    ) -> bool:
        """Whether the node signed that."""
        if self._proofs is None or proof is None:
            return False
        given = proof if isinstance(proof, bytes) else proof.to_bytes()
        return self._proofs.signer(given, key, payload, keeps=keeps) == node

    def _received(self, sample: zenoh.Sample) -> tuple[str, bytes] | None:
        """Sender and payload of a message; None if the sender is not proven, or it came before."""
        key, payload = self._own_key(sample.key_expr), sample.payload.to_bytes()
        proof = b"" if sample.attachment is None else sample.attachment.to_bytes()
        sender, number = _last(key), proof[:_NUMBER_BYTES]
        if not self._is_signed(sender, proof[_NUMBER_BYTES:], key, number + payload):
            logs.message_refused(peer=clean(sender))
            return None
        run, count = struct.unpack(_NUMBER, number.rjust(_NUMBER_BYTES, b"\0"))
        with self._lock:
            if (run, count) <= self._newest.get(sender, (0, 0)):
                return None
            self._newest[sender] = run, count
        return sender, payload

    def _result(self, node: str, request: bytes, reply: zenoh.Sample) -> bytes | AskRefused | None:
        """What a node answered to a request with this proof; None if the answer is not the node's."""
        payload = reply.payload.to_bytes()
        if self._is_signed(node, reply.attachment, self._answer_key(_ANSWERED, node, request), payload):
            return payload
        if self._is_signed(node, reply.attachment, self._answer_key(_REFUSED, node, request), payload):
            return AskRefused(node=node, reason=payload.decode("utf-8", "replace"))
        return None

    def _answer_key(self, kind: str, node: str, request: bytes) -> str:
        """What an answer signs beside its payload: the request, whose proof is another one every time."""
        return f"{kind}/{node}/{hashlib.sha256(request).hexdigest()}"

    def _own_key(self, key: object) -> str:
        return str(key).removeprefix(f"{self._prefix}/")

    # --- on Zenoh's threads ------------------------------------------------------------------

    def _on_put(self, sample: zenoh.Sample) -> None:
        received = self._received(sample)
        if received is not None:
            self._post(self._told, *received)

    def _on_bye(self, sample: zenoh.Sample) -> None:
        received = self._received(sample)
        if received is not None:
            self._post(self._seen, received[0], None, MemberState.LEFT)

    def _on_query(self, query: zenoh.Query) -> None:
        key, proof = self._own_key(query.key_expr), query.attachment
        payload = b"" if query.payload is None else query.payload.to_bytes()
        if proof is None or not self._is_signed(_last(key), proof, key, payload):
            logs.message_refused(peer=clean(_last(key)))
            return
        self._post(self._asked, query, payload, proof.to_bytes())

    def _on_token(self, sample: zenoh.Sample) -> None:
        key, _, proof = self._own_key(sample.key_expr).rpartition("/")
        node = _node_of(key)
        if node is None:
            return
        if sample.kind != self._zenoh.SampleKind.PUT:
            self._post(self._lost, node)
        elif self._is_signed(node.id, _bytes(proof), key, b"", keeps=False):
            self._post(self._seen, node.id, node, MemberState.ALIVE)

    # --- on the event loop -------------------------------------------------------------------

    def _told(self, sender: str, payload: bytes) -> None:
        if self._handler is not None and self._session is not None:
            self._note_heard(sender)
            self._handler.on_tell(sender, payload)

    def _note_heard(self, sender: str) -> None:
        member = self._members.get(sender)
        if self._loop is not None and (member is None or member.state is not MemberState.ALIVE):
            now_s = self._loop.time()
            first_s, last_s = self._unseen.get(sender, (now_s, now_s))
            is_recent = now_s - last_s < _UNSEEN_S
            self._unseen[sender] = first_s if is_recent else now_s, now_s

    def _asked(self, query: zenoh.Query, payload: bytes, proof: bytes) -> None:
        if self._session is None:
            return
        task = asyncio.get_running_loop().create_task(self._serve(query, payload, proof))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, query: zenoh.Query, payload: bytes, proof: bytes) -> None:
        if self._handler is None:
            return
        kind = _ANSWERED
        try:
            answer = await self._handler.on_ask(_last(query.key_expr), payload)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises
            kind, answer = _REFUSED, str(error).encode()
        key = self._answer_key(kind, self._id, proof)
        self._send(lambda: _respond(query, answer, self._sign(key, answer)), len(answer))

    def _suspect_unconfirmed(self, confirmed: set[str]) -> None:
        """What ended while the session was closed: nobody said so."""
        if confirmed is self._confirmed:
            for peer in [each for each in self._members if each not in confirmed]:
                self._seen(peer, None, MemberState.SUSPECT)

    def _lost(self, node: Node) -> None:
        """The token of a node ended. That needs no proof: the facts were proven when it came, and a link also
        ends because the certificate has, which proves nothing any more."""
        member = self._members.get(node.id)
        if member is not None and member.node == node:
            self._seen(node.id, None, MemberState.SUSPECT)

    def _seen(self, peer: str, node: Node | None, state: MemberState) -> None:
        before = self._members.get(peer)
        if peer == self._id or (before is None and state is not MemberState.ALIVE):
            return
        if state is MemberState.ALIVE:
            self._confirmed.add(peer)
            self._unseen.pop(peer, None)
        facts = node if node is not None else before.node if before is not None else None
        if facts is None or (before is not None and facts.run < before.node.run):
            return  # late news of an earlier process
        member = Member(facts, state)
        if member == before:
            return
        self._members[peer] = member
        with self._lock:  # what was recorded of an earlier run does not count
            self._newest[peer] = max(self._newest.get(peer, (0, 0)), (facts.run, 0))
        if state is MemberState.LEFT:
            self._drop(peer)
        elif state is MemberState.SUSPECT and self._loop is not None:
            self._loop.call_later(_FORGET_S, self._forget, member)
        for watcher in self._watchers:
            watcher(member)

    def _forget(self, member: Member) -> None:
        if self._members.get(member.node.id) == member:
            self._drop(member.node.id)

    def _drop(self, peer: str) -> None:
        del self._members[peer]
        self._confirmed.discard(peer)
        self._unseen.pop(peer, None)
        with self._lock:
            self._newest.pop(peer, None)  # what a node that is no member tells is ignored
        if self._proofs is not None:
            self._proofs.forget(peer)


def _access(denied: tuple[str, ...]) -> Mapping[str, Any]:
    """Refuse everything of and for certificates of these nodes."""
    rule = {
        "id": "all",
        "permission": "deny",
        "messages": _ALL,
        "flows": ["ingress", "egress"],
        "key_exprs": ["**"],
    }
    return {
        "enabled": bool(denied),
        "default_permission": "allow",
        "rules": [rule],
        "subjects": [{"id": "removed", "cert_common_names": list(denied)}] if denied else [],
        "policies": [{"rules": ["all"], "subjects": ["removed"]}] if denied else [],
    }


def _settle(answer: asyncio.Future[bytes], result: bytes | Exception) -> None:
    if answer.done():
        return
    if isinstance(result, bytes):
        answer.set_result(result)
    else:
        answer.set_exception(result)


def _respond(query: Any, payload: bytes, proof: bytes) -> None:
    with query:  # the asker gets the response when the query is let go of
        query.reply(query.key_expr, payload, attachment=proof)


def _last(key: object) -> str:
    return str(key).rpartition("/")[2]


def _node_of(key: str) -> Node | None:
    """The facts in the key of a token; None if it is of no release that this one knows."""
    try:
        found = json.loads(_bytes(_last(key)))
        known = {name: found[name] for name in ("id", "run", "address", "zone", "capacity", "egress")}
        return replace(
            Node(**known),
            capacity=float(known["capacity"]),
            protocol=_protocol_of(found.get("protocol", FIRST)),
            version=clean(str(found.get("version", "")))[:_MOST_VERSION],
        )
    except (ValueError, LookupError, TypeError):
        return None


def _protocol_of(found: Any) -> ProtocolRange:
    """Raises TypeError or ValueError for anything but two whole numbers in order."""
    oldest, newest = found
    if type(oldest) is not int or type(newest) is not int or not 1 <= oldest <= newest:
        raise ValueError
    return ProtocolRange(oldest, newest)


def _text(content: bytes) -> str:
    """Bytes as a part of a key."""
    return urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """What `_text` made a text of; empty for another text."""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""

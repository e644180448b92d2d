"""One node of a cluster: what it decides about books, changes and the wanted set. It does no I/O.

Call `start` first. Report what happened with the `on_…` methods, and call `on_time` when `next_ns` has
come. After every call, carry out what `take_commands` returns. `now_ns` is a clock that never goes back,
`wall_ms` the system's clock in milliseconds since 1970.

Theory of operation. Nodes tell each other the states of their books (numbered, so that a lost report is
noticed) and once a second a *beat* with the digest of the wanted set. A change is merged here and sent to
every node that is alive; one that misses it differs in its next beats and exchanges the whole set.
`members` judges nodes, `ownership` decides about books, `changes` counts disks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from depthcache.cluster.core import messages
from depthcache.cluster.core.access_tokens import Role
from depthcache.cluster.core.changes import Changes
from depthcache.cluster.core.commands import (
    Ask,
    Command,
    Persist,
    Refuse,
    Respond,
    SetBudgetShare,
    SetDenied,
    StopNode,
    Tell,
)
from depthcache.cluster.core.members import Member, Membership, MemberState, Node, NodeState
from depthcache.cluster.core.messages import (
    Beat,
    Content,
    Ending,
    GroupedReports,
    Message,
    Reports,
    ReportsWanted,
    Store,
    Stored,
)
from depthcache.cluster.core.ownership import WANTED, Ownership, ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.replicated_map import Delta, Value
from depthcache.cluster.core.reports import States, read_states, report
from depthcache.cluster.core.stamps import EARLIEST, Stamp
from depthcache.cluster.core.wanted_set import Changed, WantedSet
from depthcache.cluster.errors import MalformedClusterMessage

__all__ = ["FORGET_NS", "NodeCore", "SelfRegistration", "load"]

FORGET_NS = 600_000_000_000
"""How long an ephemeral node is away before the others forget it."""

_STARTED = "this node started"
_BEAT_NS = 1_000_000_000
_STORE_TIMEOUT_S = 2.5
"""Longer than a frozen node stays unnoticed."""
_CONTENT_TIMEOUT_S = 5.0
_SETTLE_NS = 3_000_000_000
"""How long a starting node waits for the other registered nodes before it acts without them.

Otherwise it would ask the exchange for books that they have."""
_AGAIN = "delete its data folder, then the machine can join again"
_REMOVED = f"it was removed from the cluster: {_AGAIN}"
_LEFT = f"it has left the cluster: {_AGAIN}"
_OTHER_BUILD = "Install a release in between here; the books stay with the nodes that ran before"
_RUNS_TWICE = (
    "another process runs as this node, on another machine or port: one of the two data folders is a copy. "
    "Delete the copy; another machine joins with a token of its own"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfRegistration:
    """How a node registers itself: one that was started with the secrets of the cluster.

    Attributes:
        listen: host and port at which other nodes connect to it.
        is_ephemeral: whether the cluster is to forget it once it stays away.
        was_away: whether it was down for longer than certificates last.
    """

    listen: str
    is_ephemeral: bool = False
    was_away: bool = False


class NodeCore:
    """The decisions of one node."""

    def __init__(self, me: Node, wanted: WantedSet, *, registration: SelfRegistration | None = None) -> None:
        """`wanted`: what the node's disk has. `registration`: None for a node that others let join."""
        self.wanted: WantedSet = wanted
        self.is_leaving: bool = False
        """Whether this node is leaving for good. Otherwise it registers itself again, if it may."""
        self.members: Membership = Membership(me)
        self.books: Ownership = Ownership(self.members)
        self.malformed: int = 0
        """Messages of other nodes that could not be read."""
        self._me = me
        self._changes = Changes(self.members)
        self._commands: list[Command] = []
        self._numbers = count(1)
        self._beat_ns = 0
        self._share = 0.0
        self._report = 0
        self._is_stopped = False
        self._denied: frozenset[str] = frozenset()
        self._draining: frozenset[str] = wanted.draining()
        self._ending: set[str] = set()
        """Nodes whose processes are about to end."""
        self._incompatible: dict[str, Node] = {}
        """Nodes that speak no version of the protocol that this one speaks, as they were last seen."""
        self._unheard: set[str] = set()
        """Nodes that have not said what they hold since they were told that this process ends."""
        self._wall_ms = self._wall_ns = 0
        """The system's clock, and when it was read."""
        self._walls_ms: dict[str, int] = {}
        """The system's clocks of other nodes at their last beats."""
        self._offsets_ms: dict[str, int] = {}
        """How far they were ahead of this node's clock then."""
        self._contact_ns: dict[str, int] = {}
        """When members were heard last."""
        self._settle_ns: int | None = None
        """When to act without the registered nodes that have not been seen; None once the view is settled."""
        self._digests: dict[str, str] = {}
        """The digests that other nodes reported last, also of nodes that are down now."""
        self._heard: dict[str, tuple[int, int]] = {}
        """Run and number of the last report of each node."""
        self._differs: set[str] = set()
        """Nodes whose last beat differed from this node's content."""
        self._storing: dict[int, tuple[int, str]] = {}
        """Requests for storing a change: its number, and the node."""
        self._exchanging: dict[int, str] = {}
        """Requests for exchanging the whole content, one at most for each node."""
        self._writing: dict[int, int] = {}
        """Writes for other nodes: the number of the write, and their request."""
        self._registration = registration
        self._away_ns: dict[str, int] = {}
        """Since when ephemeral nodes are away."""
        self._agreed: dict[str, Stamp] = {}
        """The newest edit when other nodes last had the same content, in this run."""
        self._since = self._known_at_start()
        self._newest: tuple[str, Stamp] = ("", EARLIEST)
        """The newest edit of the content with this digest."""

    # --- getters ---------------------------------------------------------------------------

    def next_ns(self) -> int:
        """When to call `on_time`."""
        times = (self._beat_ns, self.members.next_ns(), self._settle_ns)
        return min(each for each in times if each is not None)

    def snapshot(self) -> bytes:
        """The whole wanted set, for the disk: `load` reads it."""
        return messages.encode(self._content())

    def is_drained(self) -> bool:
        """Whether this node may leave: no book is synced here, and another node has all its edits.

        A book that cannot be synced, such as one that the exchange does not know, holds nobody up.
        """
        digest, others = self.wanted.map.digest(), self.wanted.registered() - {self._me.id}
        is_known = any(self._digests.get(peer) == digest for peer in self.members.alive())
        is_missed = ReplicaState.SYNCED in self.books.states().values()
        return (is_known or not others) and not is_missed

    def is_settled(self) -> bool:
        """Whether the other registered nodes were seen, or waited for long enough."""
        return self._settle_ns is None

    def has_heard_all(self) -> bool:
        """Whether all nodes that are alive have said which books they hold."""
        return all(peer in self._heard for peer in self.members.alive())

    def incompatible(self) -> dict[str, str]:
        """The nodes of the cluster that this one cannot speak with since they were last seen, and why."""
        registered = self.wanted.registered()
        return {peer: self._why_not(node) for peer, node in self._incompatible.items() if peer in registered}

    def state_of(self, peer: str) -> NodeState:
        """How this node sees another one, or itself."""
        if peer in self.wanted.denied():
            return NodeState.REMOVED
        if peer in self.incompatible():
            return NodeState.INCOMPATIBLE
        if self.members.is_alive(peer):
            return NodeState.DRAINING if peer in self.wanted.draining() else NodeState.ALIVE
        return NodeState.AWAY if self.members.node(peer) is None else NodeState.SUSPECT

    def is_spare(self) -> bool:
        """Whether no reader misses a book when this process ends: another node that stays has it, or none
        stays."""
        staying = set(self.members.alive()) - self._ending
        return not staying or (not self._unheard & staying and self.books.has_all(staying))

    def silent_s(self, now_ns: int) -> dict[str, float]:
        """Seconds since each member was heard last: about one, as each beats once a second."""
        return {peer: (now_ns - at) / 1e9 for peer, at in self._contact_ns.items()}

    def clock_offsets_s(self) -> dict[str, float]:
        """How far the system's clocks of members are ahead of this node's, by their last beats. A message's
        way, some milliseconds as a rule, makes them look late."""
        return {peer: each / 1e3 for peer, each in self._offsets_ms.items()}

    def differing(self) -> tuple[str, ...]:
        """The nodes that are alive and whose last beat had another wanted set than this node."""
        return tuple(peer for peer in self.members.alive() if peer in self._differs)

    def is_handed_over(self) -> bool:
        """Whether the nodes that stay have taken over all books of this one, which ends; or none stays."""
        staying = set(self.members.alive()) - self._ending
        return not staying or ReplicaState.SYNCED not in self.books.states().values()

    def knows_others(self) -> bool:
        """Whether another node is registered: this one has the content of a cluster."""
        return not self.wanted.registered() <= {self._me.id}

    def take_commands(self, now_ns: int) -> list[Command]:
        """What to do now, in this order."""
        if not self._is_stopped:
            if self._is_settled(now_ns):
                self._commands += self.books.decide(self.wanted.books(), now_ns)
                self._commands += self._changes.take_done()
            self._commands += self.books.take_routes(self.wanted.books())
            self._tell_reports(self.books.take_changes())
        commands, self._commands = self._commands, []
        return commands

    # --- commands --------------------------------------------------------------------------

    def start(self, now_ns: int, wall_ms: int) -> None:
        """The node runs and takes the books that it owns.

        The first node of a cluster registers itself, and so does one that has the secrets of the cluster.
        Every other one was registered by the node that let it join, and begins with the content of that node
        (`snapshot`).
        """
        self._wall_ms, self._wall_ns = wall_ms, now_ns
        registered, me = self.wanted.registered(), self._me.id
        if me in self.wanted.denied():
            self._stop(_REMOVED)
        elif me not in registered and registered and self._registration is None:
            self._stop(_LEFT)
        elif me not in registered:
            self._register(now_ns)
        else:
            is_ephemeral = self._registration is not None and self._registration.is_ephemeral
            if is_ephemeral is not (me in self.wanted.ephemeral()):
                self._spread(*self.wanted.report_ephemeral(is_ephemeral, wall_ms=wall_ms), now_ns)
            self._end_drain(now_ns)
        self.books.on_wanted(self.wanted.books(), _STARTED)
        self._on_view(_STARTED)
        self._deny()
        self._beat_ns = now_ns
        self._settle_ns = now_ns + _SETTLE_NS

    def end_soon(self) -> None:
        """This process is about to end: the others take its books, which it serves until then."""
        self._ending.add(self._me.id)
        self._unheard = set(self.members.alive())
        self._tell(None, Ending(self._me.run))
        self._on_view("this node ends")

    def create(
        self, *keys: BookKey, replicas: int, settings: Mapping[str, Value], now_ns: int, wall_ms: int
    ) -> int:
        """Want books. Returns the number of the change, which `ChangeDone` names."""
        edit = self.wanted.create(*keys, replicas=replicas, settings=settings, wall_ms=wall_ms)
        return self._spread(*edit, now_ns)

    def change(
        self,
        *keys: BookKey,
        replicas: int | None,
        settings: Mapping[str, Value],
        now_ns: int,
        wall_ms: int,
    ) -> int:
        """Change settings of wanted books; `replicas` None leaves them. Returns as `create` does."""
        edit = self.wanted.change(*keys, replicas=replicas, settings=settings, wall_ms=wall_ms)
        return self._spread(*edit, now_ns)

    def stop_books(self, *keys: BookKey, now_ns: int, wall_ms: int) -> int:
        """Want books no longer. Returns as `create` does."""
        return self._spread(*self.wanted.stop(*keys, wall_ms=wall_ms), now_ns)

    def register(self, node: str, *, listen: str = "", now_ns: int, wall_ms: int) -> int:
        """Let a node join, before it begins with this node's content. Returns as `create` does.

        `listen`: host and port at which other nodes connect to it.

        An edit of a node that others do not wait for could be taken for one that is stable and deleted.
        """
        return self._spread(*self.wanted.register(node, listen=listen, wall_ms=wall_ms), now_ns)

    def drain(
        self, node: str, *, draining: bool, until_after: int | None = None, now_ns: int, wall_ms: int
    ) -> int:
        """Whether a node is to own no books. `until_after`: only in this run of its process. Returns as
        `create` does."""
        edit = self.wanted.drain(node, draining=draining, until_after=until_after, wall_ms=wall_ms)
        return self._spread(*edit, now_ns)

    def forget(self, node: str, *, now_ns: int, wall_ms: int) -> int:
        """A node has left for good. Returns as `create` does."""
        return self._spread(*self.wanted.forget(node, wall_ms=wall_ms), now_ns)

    def deny(self, node: str, *, until_ms: int, now_ns: int, wall_ms: int) -> int:
        """Remove a node and refuse it until its certificate ends. Returns as `create` does."""
        return self._spread(*self.wanted.deny(node, until_ms=until_ms, wall_ms=wall_ms), now_ns)

    def rotate_token(self, digest: str, *, role: Role, old_until_ms: int, now_ns: int, wall_ms: int) -> int:
        """A new access token. Returns as `create` does."""
        edit = self.wanted.rotate_token(digest, role=role, old_until_ms=old_until_ms, wall_ms=wall_ms)
        return self._spread(*edit, now_ns)

    def record(self, edit: tuple[Delta, Changed], now_ns: int) -> int:
        """Spread another edit of `wanted`. Returns as `create` does."""
        return self._spread(*edit, now_ns)

    # --- what happened ---------------------------------------------------------------------

    def on_member(self, member: Member, now_ns: int) -> None:
        """A node was seen, is suspect, or left."""
        peer = member.node.id
        if peer in self.wanted.denied():
            return
        before = self.members.node(peer)
        if self._me.protocol.common(member.node.protocol) is None:
            self._on_incompatible(member)
            member = Member(member.node, MemberState.LEFT)
        elif member.state is MemberState.ALIVE:
            self._incompatible.pop(peer, None)
        if not self.members.on_member(member, now_ns):
            return
        if member.state is MemberState.LEFT or (before is not None and before.run != member.node.run):
            self._on_gone(peer)  # for one that was restarted: what it held
        if member.state is MemberState.ALIVE:
            if self._registration is not None and not self.knows_others():
                self._differs.add(peer)  # no change is on its way: the two have never met
            self._tell_all_states(peer)
            self._tell(peer, ReportsWanted())
            self._tell(peer, self._beat(now_ns))
            self._ask_to_store(peer)
        what = {MemberState.ALIVE: "is up", MemberState.SUSPECT: "is suspect", MemberState.LEFT: "ended"}
        self._on_view(f"node {peer} {what[member.state]}")

    def on_time(self, now_ns: int, wall_ms: int) -> None:
        """A deadline has come."""
        self._wall_ms, self._wall_ns = wall_ms, now_ns
        dead = self.members.on_time(now_ns)
        for peer in dead:
            self._on_gone(peer)
        if dead:
            self._on_view(f"node {', '.join(dead)} is away")
        if now_ns >= self._beat_ns:
            self._beat_ns = now_ns + _BEAT_NS
            self.books.look_again()
            self._drop_tombstones()
            self._drop_ended(now_ns)
            self._forget_absent(now_ns)
            self._tell(None, self._beat(now_ns))

    def on_tell(self, sender: str, payload: bytes, now_ns: int) -> None:
        """A node told something; before it is a member, that is ignored and told again."""
        message = None if self.members.is_dead(sender) else self._read(sender, payload)
        if message is not None:
            self._contact_ns[sender] = now_ns
        if isinstance(message, Beat):
            self._on_beat(sender, message, now_ns)
        elif isinstance(message, Reports | GroupedReports):
            self._on_reports(sender, message, now_ns)
        elif isinstance(message, Ending):
            self._on_ending(sender, message)
        elif isinstance(message, ReportsWanted):
            self._tell_all_states(sender)

    def on_ask(self, request: int, sender: str, payload: bytes, now_ns: int) -> None:
        """A node asked something: `Respond` or `Refuse` names the request."""
        if sender in self._incompatible:
            self._commands.append(Refuse(request, self._why_not(self._incompatible[sender])))
            return
        message = self._read(sender, payload)
        if isinstance(message, Store):
            delta = messages.thaw(message.cells)
            self._on_changed(self.wanted.merge(delta), now_ns)
            self._writing[self._persist(delta)] = request
        elif isinstance(message, Content):
            self._adopt(sender, message, now_ns)
            self._commands.append(Respond(request, messages.encode(self._content())))
        else:
            self._commands.append(Refuse(request, "not a request"))

    def on_response(self, request: int, payload: bytes, now_ns: int) -> None:
        """A node answered an `Ask`."""
        if request in self._storing:
            change, node = self._storing.pop(request)
            message = self._read(node, payload)
            if isinstance(message, Stored):
                self._changes.on_stored(change, node)
            else:
                self._changes.on_not_stored(change, node, f"node {node} sent no answer that can be read")
        elif request in self._exchanging:
            node = self._exchanging.pop(request)
            message = self._read(node, payload)
            if isinstance(message, Content):
                self._adopt(node, message, now_ns)

    def on_ask_failed(self, request: int, reason: str) -> None:
        """A node did not answer an `Ask`."""
        self._exchanging.pop(request, None)
        if request in self._storing:
            change, node = self._storing.pop(request)
            self._changes.on_not_stored(change, node, reason)

    def on_persisted(self, number: int) -> None:
        """Cells are on disk."""
        request = self._writing.pop(number, None)
        if request is not None:
            self._commands.append(Respond(request, messages.encode(Stored())))
        self._changes.on_stored(number, self._me.id)

    def on_persist_failed(self, number: int, reason: str) -> None:
        """The disk is full or broken. What is in memory stays, and is written with the next change."""
        request = self._writing.pop(number, None)
        if request is not None:
            self._commands.append(Refuse(request, reason))
        self._changes.on_not_stored(number, self._me.id, reason)

    def on_replica(self, key: BookKey, state: ReplicaState) -> None:
        """The state of a book on this node changed."""
        self.books.on_replica(key, state)

    def on_removed(self) -> None:
        """Another node said that this one was removed while it was away."""
        self._stop(_REMOVED)

    def on_runs_twice(self) -> None:
        """Another node said that another process runs as this one."""
        self._stop(_RUNS_TWICE)

    def on_copy_failed(self, key: BookKey) -> None:
        """A sibling did not give its book."""
        self.books.on_copy_failed(key)

    # --- helpers ---------------------------------------------------------------------------

    def _on_incompatible(self, member: Member) -> None:
        """The process that started later ends: it is the one that was replaced by the wrong build."""
        node, me = member.node, self._me
        if member.state is not MemberState.ALIVE:
            return
        self._incompatible[node.id] = node
        if (node.run, node.id) < (me.run, me.id):
            self._stop(f"{self._why_not(node)}. {_OTHER_BUILD}")

    def _why_not(self, node: Node) -> str:
        """Why this node cannot speak with another one."""
        build = f" (depthcache {node.version})" if node.version else ""
        return (
            f"node {node.id}{build} speaks version {node.protocol} of the protocol between nodes, "
            f"this node {self._me.protocol}"
        )

    def _is_settled(self, now_ns: int) -> bool:
        if self._settle_ns is None:
            return True
        others = self.wanted.registered() - {self._me.id}
        if now_ns >= self._settle_ns or others <= set(self.members.alive()):
            self._settle_ns = None
        return self._settle_ns is None

    def _spread(self, delta: Delta, changed: Changed, now_ns: int) -> int:
        """Write a change made here, and send it to every node that is alive."""
        number = self._persist(delta)
        self._changes.begin(number, messages.encode(Store(_frozen(delta))))
        for node in self.members.alive():
            self._ask_to_store(node)
        self._on_changed(changed, now_ns)
        return number

    def _ask_to_store(self, node: str) -> None:
        for number, payload in self._changes.unasked(node):
            request = next(self._numbers)
            self._storing[request] = number, node
            self._commands.append(Ask(request, node, payload, _STORE_TIMEOUT_S))

    def _persist(self, delta: Delta) -> int:
        number = next(self._numbers)
        self._commands.append(Persist(number, messages.encode(Store(_frozen(delta)))))
        return number

    def _known_at_start(self) -> Stamp:
        """The newest edit that a cluster may have forgotten together with this node."""
        registered = self.wanted.registered()
        is_ephemeral = self._registration is not None and self._registration.is_ephemeral
        may_be_forgotten = is_ephemeral or self._me.id not in registered
        return self.wanted.map.newest() if may_be_forgotten and self.knows_others() else EARLIEST

    def _adopt(self, sender: str, content: Content, now_ns: int) -> None:
        delta, floor = messages.thaw(content.cells), Stamp(*content.floor)
        is_news = floor > self.wanted.map.floor
        if self._was_dropped_by(sender, delta):
            self._stop(_REMOVED)
            return
        edit, changed = self._merged(sender, delta, floor)
        if changed.books or changed.nodes or is_news:
            self._commands.append(Persist(next(self._numbers), self.snapshot()))
        if edit:
            self._spread(edit, changed, now_ns)
        else:
            self._on_changed(changed, now_ns)

    def _merged(self, sender: str, content: Delta, floor: Stamp) -> tuple[Delta, Changed]:
        """Take the content of another node. Returns what that makes necessary to edit.

        A floor says what all registered nodes have seen. Nodes that have the secrets of a cluster may start
        apart from the others, and be forgotten: then the floor was raised without them, before they were
        registered there."""
        me, wanted = self._me.id, self.wanted
        registered = wanted.registered_at(content, me)
        is_old = floor <= wanted.map.floor or (registered is not None and registered <= floor)
        if is_old or wanted.is_denied_in(content, me):
            return {}, wanted.adopt(content, floor)
        known = wanted.names(
            content, wanted.registered() if registered is None else wanted.registered() - {me}
        )
        since = self._agreed.get(sender, self._since) if known else EARLIEST
        return wanted.meet(content, floor, since=since, wall_ms=self._wall_ms)

    def _was_dropped_by(self, sender: str, content: Delta) -> bool:
        """Whether this node was removed for so long that the others do not refuse it any more: one that it
        knows does not know it. It may be in use again with the key of the authority, but not by itself."""
        given = self._registration
        is_known = sender in self.wanted.registered() and self._me.id in self.wanted.registered()
        return (
            given is not None
            and given.was_away
            and not given.is_ephemeral
            and not self._agreed
            and is_known
            and not self.wanted.names(content, [self._me.id])
        )

    def _register(self, now_ns: int) -> None:
        """Register this node itself."""
        given = self._registration or SelfRegistration(listen="")
        edit = self.wanted.register(
            self._me.id, listen=given.listen, is_ephemeral=given.is_ephemeral, wall_ms=self._wall_ms
        )
        self._spread(*edit, now_ns)

    def _end_drain(self, now_ns: int) -> None:
        """Own books again if an earlier run of this node was drained."""
        run = self.wanted.drained_runs().get(self._me.id)
        if run is not None and run < self._me.run:
            self._spread(*self.wanted.drain(self._me.id, draining=False, wall_ms=self._wall_ms), now_ns)

    def _forget_absent(self, now_ns: int) -> None:
        """Forget ephemeral nodes that stay away. A node that sees no other is cut off, perhaps."""
        registered, alive = self.wanted.registered(), set(self.members.alive())
        if not alive & registered:
            self._away_ns.clear()
            return
        seen = {node.id for node in self.members.not_dead()}
        absent = self.wanted.ephemeral() - seen
        self._away_ns = {peer: self._away_ns.get(peer, now_ns) for peer in absent}
        if self._me.id == min((alive | {self._me.id}) & registered, default=""):
            for peer in [each for each, since_ns in self._away_ns.items() if now_ns - since_ns >= FORGET_NS]:
                self._spread(*self.wanted.forget(peer, wall_ms=self._wall_ms), now_ns)

    def _on_changed(self, changed: Changed, now_ns: int) -> None:
        if changed.books:
            self.books.on_wanted(changed.books, WANTED if self._settle_ns is None else _STARTED)
        if changed.nodes:
            denied = self.wanted.denied()
            for peer in denied:
                node = self.members.node(peer)
                if node is not None and peer != self._me.id:
                    self.members.on_member(Member(node, MemberState.LEFT), now_ns)
                    self._on_gone(peer)
            if self._me.id in denied:
                self._stop(_REMOVED)
            self._deny()
            self._on_view(self._nodes_changed())
            self._stay_registered(now_ns)

    def _stay_registered(self, now_ns: int) -> None:
        """The others may have forgotten this node, or dropped its first entry unseen."""
        if self._registration is None or self.is_leaving or self._is_stopped:
            return
        if self._me.id not in self.wanted.registered():
            self._register(now_ns)
        else:
            self._end_drain(now_ns)

    def _stop(self, reason: str) -> None:
        if not self._is_stopped:
            self._is_stopped = True
            self._commands.append(StopNode(reason))

    def _deny(self) -> None:
        denied = self.wanted.denied()
        if denied != self._denied:
            self._denied = denied
            self._commands.append(SetDenied(denied))

    def _nodes_changed(self) -> str:
        """What is new about nodes in the wanted set, in words."""
        draining, before = self.wanted.draining(), self._draining
        self._draining = draining
        words = [f"node {peer} is drained" for peer in sorted(draining - before)]
        words += [f"node {peer} owns books again" for peer in sorted(before - draining)]
        return "; ".join(words) or "a node was registered or removed"

    def _on_view(self, why: str) -> None:
        """Other nodes own books now, or nodes are seen differently."""
        if self._settle_ns is not None:
            why = _STARTED  # nodes that were there before are no news
        nodes, owning = self.members.not_dead(), self.wanted.registered() - self.wanted.draining()
        placed = [node for node in nodes if node.id in owning - self._ending]
        self.books.on_nodes(placed or nodes, why)
        sharing = sum(node.egress == self._me.egress for node in nodes)
        if self._share != 1 / sharing:
            self._share = 1 / sharing
            self._commands.append(SetBudgetShare(self._share))

    def _on_ending(self, sender: str, ending: Ending) -> None:
        node = self.members.node(sender)
        if node is not None and node.run == ending.run:
            self._ending.add(sender)
            self._on_view(f"node {sender} ends")
            self._tell_all_states(sender)

    def _on_gone(self, peer: str) -> None:
        self.books.on_gone(peer)
        self._ending.discard(peer)
        self._heard.pop(peer, None)
        for known in (self._walls_ms, self._offsets_ms, self._contact_ns):
            known.pop(peer, None)
        self._differs.discard(peer)

    def _beat(self, now_ns: int) -> Beat:
        return Beat(self._me.run, self.wanted.map.digest(), self._report, self._wall_at(now_ns))

    def _wall_at(self, now_ns: int) -> int:
        """The system's clock now, in milliseconds."""
        return self._wall_ms + (now_ns - self._wall_ns) // 1_000_000

    def _on_beat(self, sender: str, beat: Beat, now_ns: int) -> None:
        self._digests[sender], self._walls_ms[sender] = beat.digest, beat.wall_ms
        self._offsets_ms[sender] = beat.wall_ms - self._wall_at(now_ns)
        if self._heard.get(sender, (0, 0)) != (beat.run, beat.reports):
            self._tell(sender, ReportsWanted())
        if beat.digest == self.wanted.map.digest():
            self._differs.discard(sender)
            self._agreed[sender] = self._newest_now()
        elif sender not in self._differs:
            self._differs.add(sender)  # a change may be on its way
        elif sender not in self._exchanging.values() and self.members.is_alive(sender):
            request = next(self._numbers)
            self._exchanging[request] = sender
            payload = messages.encode(self._content())
            self._commands.append(Ask(request, sender, payload, _CONTENT_TIMEOUT_S))

    def _drop_ended(self, now_ns: int) -> None:
        """Drop what has ended by the clocks of all nodes that are alive, another one at least.

        What one node drops, all lose, and one clock alone may have jumped."""
        others = self.wanted.registered() - {self._me.id}
        alive = [peer for peer in self.members.alive() if peer in others]
        if others and not alive:
            return
        agreed_ms = min([self._wall_ms, *(self._walls_ms.get(peer, 0) for peer in alive)])
        delta, changed = self.wanted.drop_ended(wall_ms=agreed_ms)
        if delta:
            self._spread(delta, changed, now_ns)

    def _drop_tombstones(self) -> None:
        """Tombstones go once all registered nodes have reported the same content."""
        others = self.wanted.registered() - {self._me.id}
        self._digests = {peer: each for peer, each in self._digests.items() if peer in others}
        self._incompatible = {peer: each for peer, each in self._incompatible.items() if peer in others}
        self._agreed = {peer: each for peer, each in self._agreed.items() if peer in others}
        if not others and self._registration is not None:
            return  # others that it has not met yet have not seen its edits: one tombstone a name at most
        digest = self.wanted.map.digest()
        if self.wanted.map.tombstones() and all(self._digests.get(peer) == digest for peer in others):
            self.wanted.map.raise_floor(self.wanted.map.newest())

    def _newest_now(self) -> Stamp:
        digest = self.wanted.map.digest()
        if self._newest[0] != digest:
            self._newest = digest, self.wanted.map.newest()
        return self._newest[1]

    def _tell_all_states(self, node: str) -> None:
        protocol = self.members.protocol_with(node)
        self._tell(node, self._report_of(self.books.states(), is_full=True, protocol=protocol))

    def _tell_reports(self, changes: States) -> None:
        if not changes:
            return
        self._report += 1
        payloads: dict[int, bytes] = {}
        for peer in self.members.alive():
            protocol = self.members.protocol_with(peer)
            if protocol not in payloads:
                made = self._report_of(changes, is_full=False, protocol=protocol)
                payloads[protocol] = messages.encode(made)
            self._commands.append(Tell(peer, payloads[protocol]))

    def _report_of(self, states: States, *, is_full: bool, protocol: int) -> Reports | GroupedReports:
        return report(states, run=self._me.run, number=self._report, is_full=is_full, protocol=protocol)

    def _on_reports(self, sender: str, reports: Reports | GroupedReports, now_ns: int) -> None:
        expected = self._heard.get(sender)
        if not reports.is_full and expected != (reports.run, reports.number - 1):
            self._tell(sender, ReportsWanted())
            return
        if reports.is_full:
            self._unheard.discard(sender)
            self.books.on_reports_begin(sender)
        self._heard[sender] = reports.run, reports.number
        for key, state in read_states(reports):
            self.books.on_report(sender, key, state, now_ns)

    def _read(self, sender: str, payload: bytes) -> Message | None:
        if sender in self.wanted.denied():
            return None
        try:
            return messages.decode(payload)
        except MalformedClusterMessage:
            self.malformed += 1
            return None

    def _content(self) -> Content:
        return Content(self.wanted.map.floor, _frozen(self.wanted.map.content()))

    def _tell(self, node: str | None, message: Message) -> None:
        self._commands.append(Tell(node, messages.encode(message)))


def load(wanted: WantedSet, payloads: list[bytes]) -> None:
    """Read what `Persist` wrote, in this order. Raises MalformedClusterMessage."""
    for payload in payloads:
        message = messages.decode(payload)
        if isinstance(message, Content):
            wanted.adopt(messages.thaw(message.cells), Stamp(*message.floor))
        elif isinstance(message, Store):
            wanted.merge(messages.thaw(message.cells))


def _frozen(delta: Delta) -> messages.RawDelta:
    return {key: dict(cells) for key, cells in delta.items()}

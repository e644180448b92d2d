"""What is wrong in a cluster, and what to do: findings made of the facts that its nodes collected.

A pure function. The facts come from nodes of any release, so whatever is missing is left out, and texts are
cleaned. A check that is right everywhere is one finding; each node with a fault gets one of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from depthcache.cluster.book_states import is_wrong, possible
from depthcache.cluster.core.protocol import ProtocolRange
from depthcache.cluster.probing import Port, Probe, Reach
from depthcache.doctor.finding import Finding, Severity
from depthcache.foreign_text import clean

__all__ = ["ClusterReport", "diagnose", "parse_report"]

_SHORT = 8
_MOST_LINKS, _MOST_NAMED = 20, 5
_DAY_MS, _HOUR_MS = 86_400_000, 3_600_000
_CLOCK_WARN_MS, _CLOCK_FAIL_MS = 1_000, 30 * 60_000
"""Certificates are refused when clocks are an hour apart."""
_RENEWAL_LATE_MS = _DAY_MS
_ENDS_SOON_MS = _DAY_MS
_AUTHORITY_SOON_MS = 90 * _DAY_MS
_TOKEN_OVERLAP_MS = 2 * _HOUR_MS
_FREE_WARN, _FREE_FAIL = 1 << 30, 64 << 20
_SYNC_WARN_MS = 500.0
_JOURNAL_WARN = 32 << 20
"""The wanted set of 5,000 books has about 1 MB."""
_WEIGHT_WARN = 0.9
_DESCRIPTORS_SPARE = 256
_UP = ("alive", "draining")

Found = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterReport:
    """The facts of a cluster.

    Attributes:
        asked: the node that was asked.
        at_ms: its clock.
        nodes: of each node of the cluster id, state, addresses, what it finds, and its clock.
        tokens, trusted, issuers: as `POST /v1/cluster/check` answers.
        status: what `GET /v1/cluster` answers.
        here: probes from where the command runs, by node.
    """

    asked: str
    at_ms: float
    nodes: Sequence[Found]
    tokens: Sequence[Found] = ()
    trusted: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    issuers: Sequence[str] = ()
    status: Found = field(default_factory=dict[str, Any])
    here: Mapping[str, Sequence[Probe]] = field(default_factory=dict[str, Sequence[Probe]])

    @property
    def checks(self) -> dict[str, Found]:
        """What each node found that answered, by id."""
        return {each["id"]: each["check"] for each in self.nodes if each.get("check")}

    @property
    def members(self) -> list[Found]:
        """The nodes that belong to the cluster."""
        return [each for each in self.nodes if each["state"] != "removed"]

    @property
    def rows(self) -> dict[str, Found]:
        """The rows of the nodes in the status, by id."""
        return {each["id"]: each for each in self.status.get("nodes", ())}

    def is_lost(self, node: Found, links: Sequence[_Link]) -> bool:
        """Whether a node is not seen, or is seen and answers at no port: then it is no fault of a link."""
        if node["state"] not in _UP:
            return not any(each.is_up for each in links if each.target == node["id"])
        tries = [each for each in links if each.target == node["id"]]
        return not node.get("check") and bool(tries) and not any(each.is_up for each in tries)


def parse_report(report: Found, status: Found, here: Mapping[str, Sequence[Probe]]) -> ClusterReport:
    """The facts in what a node answered. Raises LookupError, TypeError if that is no report."""
    return ClusterReport(
        asked=report["node"],
        at_ms=float(report["at_ms"]),
        nodes=list(report["nodes"]),
        tokens=list(report["tokens"]),
        trusted=dict(report["trusted"]),
        issuers=list(report["issuers"]),
        status=status,
        here=here,
    )


def diagnose(facts: ClusterReport) -> list[Finding]:
    """All findings, in the order of the checks."""
    links = _links(facts)
    parts = (
        _nodes(facts, links),
        _pairs(facts, links),
        _from_here(facts, links),
        _versions(facts),
        _clocks(facts),
        _certificates(facts),
        _authorities(facts),
        _tokens(facts),
        _weight(facts),
        _exchange(facts),
        _disks(facts),
        _limits(facts),
        _books(facts),
        _capacity(facts),
        _zones(facts),
    )
    return [finding for part in parts for finding in part]


# --- nodes and links ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Link:
    """One probe of one node by another."""

    source: str
    target: str
    probe: Probe

    @property
    def is_up(self) -> bool:
        return self.probe.reach is Reach.REACHED


def _links(facts: ClusterReport) -> list[_Link]:
    found: list[_Link] = []
    for source, check in facts.checks.items():
        for peer in check.get("peers", ()):
            for each in peer.get("probes", ()):
                try:
                    found.append(_Link(source, peer["id"], Probe.of(each)))
                except (LookupError, ValueError, TypeError):  # of a newer release
                    continue
    return found


def _nodes(facts: ClusterReport, links: Sequence[_Link]) -> Iterator[Finding]:
    up = [each for each in facts.members if each["state"] in _UP]
    if len(up) == len(facts.members):
        words = "1 node is up" if len(up) == 1 else f"all {len(up)} nodes are up"
        yield Finding("nodes", Severity.OK, words)
    for node in facts.nodes:
        check, state = f"node {_name(node['id'])}", node["state"]
        if state == "removed":
            words = "removed: all others refuse it, until its certificates have ended"
            yield Finding(check, Severity.INFO, words)
        elif state == "draining":
            words = "draining: it holds no books, or hands them over"
            yield Finding(check, Severity.INFO, words)
        elif state == "incompatible":
            reason = clean(facts.rows.get(node["id"], {}).get("reason") or "its release does not fit")
            advice = "install the release of the others on it, or one that fits both, and start it again"
            yield Finding(check, Severity.FAIL, f"incompatible, so it is kept out: {reason}", advice)
        elif state not in _UP:
            tries = [each.probe for each in links if each.target == node["id"]]
            tries += facts.here.get(node["id"], ())
            measured, advice = _why_away(tries)
            yield Finding(check, Severity.FAIL, f"{state}: {measured}", advice)
        elif facts.is_lost(node, links):
            measured, advice = _why_away([each.probe for each in links if each.target == node["id"]])
            yield Finding(check, Severity.FAIL, f"{state}, but {measured}", advice)
        elif not node.get("check"):
            problem = clean(node.get("problem") or "it did not answer")
            is_old = "older" in problem
            advice = (
                "replace it by the release of the others"
                if is_old
                else "node-to-node reads fail as this does: look at the links below, and at its log"
            )
            severity = Severity.WARN if is_old else Severity.FAIL
            yield Finding(check, severity, f"{state}, but not checked: {problem}", advice)
    for name, found in facts.checks.items():
        if found.get("apart"):
            advice = (
                "check its --peer, the network, and whether its secrets are the present ones: "
                "`depthcache cluster secrets DIR --from FOLDER` on another node writes them"
            )
            words = f"it has not met the other nodes: {clean(found['apart'])}"
            yield Finding(f"peers of {_name(name)}", Severity.FAIL, words, advice)
    for node in facts.members:
        unreadable = int(_part(node, "check").get("unreadable_messages", 0))
        if unreadable:
            words = f"{unreadable:,} messages of other nodes could not be read since it started"
            advice = "releases that are too far apart do this: replace the older nodes"
            yield Finding(f"messages at {_name(node['id'])}", Severity.WARN, words, advice)


def _why_away(probes: Sequence[Probe]) -> tuple[str, str]:
    """What is wrong with a node that is not seen, by how probes of it ended."""
    ends = Counter(each.reach for each in probes if each.reach is not Reach.UNKNOWN)
    if not ends:
        return "nothing is known of its ports", "start it, or remove it if it will not come back"
    where = next(each.address for each in probes if each.reach is not Reach.UNKNOWN)
    if ends.keys() == {Reach.REACHED}:
        return (
            "its ports answer, but nodes do not see it: it was cut off, or runs from the copy of a folder",
            "it comes back within minutes if it was cut off; its log says why if not",
        )
    if Reach.SILENT in ends:
        return (
            f"frozen: its ports ({where}) take connections, and nothing answers",
            "its process is stopped (SIGSTOP), swapping, or without CPU time: look at the machine",
        )
    if Reach.REACHED in ends:
        return (
            f"cut off from some: {ends[Reach.REACHED]} of {ends.total()} tries reached it",
            "the links below say which; check the network and firewalls between those machines",
        )
    if Reach.REFUSED in ends:
        return (
            f"its process does not run: nothing listens at {where}",
            "start it with `depthcache cluster start` on its machine, or remove it if it will not come back",
        )
    if Reach.UNTRUSTED in ends:
        problem = next(each.problem for each in probes if each.reach is Reach.UNTRUSTED)
        return (
            f"something else answers at {where}: {problem}",
            "another program took its port, or its address",
        )
    problem = next(each.problem for each in probes if each.problem)
    return (
        f"not reachable from anywhere ({where}: {problem})",
        "the machine is off, or cut off: check its power and network",
    )


def _pairs(facts: ClusterReport, links: Sequence[_Link]) -> Iterator[Finding]:
    """Every node tried every other one. A node that nobody reaches is no fault of its links."""
    lost = {each["id"] for each in facts.members if facts.is_lost(each, links)}
    counted = [each for each in links if each.target not in lost]
    down = [each for each in counted if not each.is_up]
    pairs = {(each.source, each.target) for each in counted}
    if counted and not down:
        slowest = max(each.probe.took_ms for each in counted)
        words = f"all {len(pairs)} links between nodes work on both ports; the slowest took {slowest:,.0f} ms"
        if not any(each.probe.port is Port.NODES for each in counted):
            words = f"all {len(pairs)} links between nodes work; the slowest took {slowest:,.0f} ms"
        yield Finding("links", Severity.OK, words)
    up = {(each.source, each.target, each.probe.port) for each in counted if each.is_up}
    for each in down[:_MOST_LINKS]:
        port = each.probe.port
        words = f"port for {port.value} at {each.probe.address or 'an unknown address'}: {each.probe.problem}"
        is_asymmetric = (each.target, each.source, port) in up
        words += "; the other way works" if is_asymmetric else ""
        advice = (
            f"open {each.probe.address} for {_name(each.source)}: a firewall, a route or --host is wrong"
            if is_asymmetric or each.probe.reach in (Reach.LOST, Reach.NO_NAME)
            else "look at that node and its port"
        )
        link = f"link {_name(each.source)} -> {_name(each.target)}"
        yield Finding(link, Severity.FAIL, words, advice)
    if len(down) > _MOST_LINKS:
        yield Finding("links", Severity.FAIL, f"{len(down) - _MOST_LINKS:,} more links fail")


def _from_here(facts: ClusterReport, links: Sequence[_Link]) -> Iterator[Finding]:
    """What can be reached from where the command runs: readers need one port of each node."""
    lost = {each["id"] for each in facts.members if each["state"] not in _UP or facts.is_lost(each, links)}
    tried = [(node, each) for node, probes in facts.here.items() for each in probes if node not in lost]
    readers = [(node, each) for node, each in tried if each.port is Port.READERS]
    bad = [(node, each) for node, each in readers if each.reach is not Reach.REACHED]
    if readers and not bad:
        count = f"{len(readers)} {_plural(len(readers), 'node')}"
        words = f"the port for readers of {count} can be reached"
        yield Finding("from here", Severity.OK, words)
    for node, each in bad:
        words = f"port for readers of {_name(node)} at {each.address}: {each.problem}"
        advice = "programs on this machine cannot read there: open the port, or set --host of that node"
        yield Finding("from here", Severity.WARN, words, advice)
    nodes = [(node, each) for node, each in tried if each.port is Port.NODES]
    closed = [node for node, each in nodes if each.reach is not Reach.REACHED]
    if closed:
        words = f"the port for nodes is closed for this machine at {_named(closed)}: only nodes need it"
        yield Finding("from here", Severity.INFO, words)


def _versions(facts: ClusterReport) -> Iterator[Finding]:
    """Of the package, and of the protocol between nodes. A node that is kept out has a finding of its own."""
    found: dict[str, list[str]] = {}
    newest: set[int] = set()
    for node in facts.members:
        row, check = facts.rows.get(node["id"], {}), _part(node, "check")
        if node["state"] == "incompatible" or not (check or row.get("protocol")):
            continue
        words = clean(row.get("version") or check.get("version") or "an older release")
        if row.get("protocol"):
            spoken = ProtocolRange(*map(int, row["protocol"]))
            newest.add(spoken.newest)
            words += f" (protocol {spoken})"
        found.setdefault(words, []).append(node["id"])
    if len(found) == 1:
        yield Finding("versions", Severity.OK, f"all run depthcache {next(iter(found))}")
    elif found:
        words = "; ".join(f"{version} on {_named(nodes)}" for version, nodes in sorted(found.items()))
        used = f", with version {min(newest)} of the protocol" if len(newest) > 1 else ""
        advice = f"finish the replacement: until then, old and new nodes work together{used}"
        yield Finding("versions", Severity.WARN, words, advice)


# --- clocks ------------------------------------------------------------------------------------


def _clocks(facts: ClusterReport) -> Iterator[Finding]:
    clocks = {each["id"]: each["clock"] for each in facts.members if each.get("clock")}
    worst, last = Severity.OK, ""
    for node, clock in clocks.items():
        offset, error = float(clock["offset_ms"]), float(clock["error_ms"])
        severity = _severity(abs(offset) - error, _CLOCK_WARN_MS, _CLOCK_FAIL_MS)
        if severity is not Severity.OK:
            worst = severity
            words = f"{_seconds(offset)} {_name(facts.asked)}, within {_seconds(error, sign=False)}"
            advice = "set it with NTP: certificates are refused when clocks are an hour apart"
            yield Finding(f"clock of {_name(node)}", severity, words, advice)
    if clocks and worst is Severity.OK:
        node = max(clocks, key=lambda each: abs(clocks[each]["offset_ms"]))
        clock = clocks[node]
        last = f"{_seconds(clock['offset_ms'])} {_name(facts.asked)}, within "
        last += _seconds(clock["error_ms"], sign=False)
        yield Finding("clocks", Severity.OK, f"furthest apart is {_name(node)}: {last}")
    for node, check in facts.checks.items():
        for exchange, clock in _part(check, "exchange").get("clocks", {}).items():
            offset, error = float(clock["offset_ms"]), float(clock["error_ms"])
            if abs(offset) - error > _CLOCK_WARN_MS:
                words = f"the exchange's clock is {_seconds(offset)} it, within {_seconds(error, sign=False)}"
                advice = "set the machine's clock with NTP; books do not depend on it"
                name = f"clock of {_name(node)} and {clean(exchange)}"
                yield Finding(name, Severity.WARN, words, advice)


# --- certificates and tokens -------------------------------------------------------------------


def _certificates(facts: ClusterReport) -> Iterator[Finding]:
    ends: dict[str, float] = {}
    for node, check in facts.checks.items():
        given = _part(check, "certificates")
        if "until_ms" not in given:
            continue
        ends[node] = left_ms = float(given["until_ms"]) - facts.at_ms
        late_ms = facts.at_ms - float(given.get("renewal_ms", facts.at_ms))
        if left_ms < _ENDS_SOON_MS:
            words = f"ends in {_span(left_ms)}" if left_ms > 0 else f"ended {_span(-left_ms)} ago"
            advice = "a node with the authority's key must run: the node is cut off at the end"
            yield Finding(f"certificate of {_name(node)}", Severity.FAIL, words, advice)
        elif late_ms > _RENEWAL_LATE_MS:
            words = f"ends in {_span(left_ms)}; its renewal is {_span(late_ms)} late"
            advice = "start a node with the authority's key; the log of this node says why it is not renewed"
            yield Finding(f"certificate of {_name(node)}", Severity.WARN, words, advice)
        else:
            continue
        ends.pop(node)
    if ends:
        words = f"{len(ends)} {_plural(len(ends), 'certificate')} of nodes; the first ends in "
        yield Finding("certificates", Severity.OK, f"{words}{_span(min(ends.values()))}")


def _authorities(facts: ClusterReport) -> Iterator[Finding]:
    known = {
        each["hash"]: float(each["until_ms"])
        for check in facts.checks.values()
        for each in _part(check, "certificates").get("authorities", ())
    }
    if not known:
        return
    hashes = set(known)
    if len(hashes) > 1:
        names = {each["id"] for each in facts.members}
        waiting = sorted(node for node in names if not hashes <= set(facts.trusted.get(node, ())))
        words = f"{len(hashes)} authorities are trusted: one replaces the other"
        words += f"; waits for {_named(waiting)}" if waiting else ""
        advice = "it ends by itself once all nodes have done their part; remove nodes that will not come back"
        yield Finding("authority", Severity.WARN if waiting else Severity.INFO, words, advice)
    left_ms = min(known.values()) - facts.at_ms
    if left_ms < _AUTHORITY_SOON_MS:
        advice = "replace it now: `depthcache cluster rotate --authority`"
        severity = Severity.FAIL if left_ms < 0 else Severity.WARN
        words = f"ends in {_span(left_ms)}" if left_ms > 0 else f"ended {_span(-left_ms)} ago"
        yield Finding("authority", severity, words, advice)
    elif len(hashes) == 1:
        yield Finding("authority", Severity.OK, f"ends in {_span(left_ms)}")
    up = {each["id"] for each in facts.members if each["state"] in _UP}
    having = sorted(set(facts.issuers) & {each["id"] for each in facts.members})
    running = [node for node in having if node in up]
    if not running:
        words = f"on no node that is up{f': {_named(having)} have it' if having else ''}"
        advice = (
            "no node can join or renew its certificate: start a node with authority.key, or restore the file"
        )
        yield Finding("authority's key", Severity.FAIL, words, advice)
    elif len(having) == 1 and len(facts.members) > 1:
        words = f"only on {_name(having[0])}"
        advice = "copy authority.key into the data folder of a second node (mode 0600), and restart that node"
        yield Finding("authority's key", Severity.WARN, words, advice)
    else:
        yield Finding("authority's key", Severity.OK, f"on {_named(having)}")


def _tokens(facts: ClusterReport) -> Iterator[Finding]:
    is_fine = bool(facts.tokens)
    for role in ("read", "manage", "exchange"):
        mine = [each for each in facts.tokens if each["role"] == role]
        lasting = [each for each in mine if each["until_ms"] is None]
        old = [float(each["until_ms"]) for each in mine if each["until_ms"] is not None]
        working = [each for each in old if each > facts.at_ms]
        if facts.tokens and not lasting:
            advice = f"make one: `depthcache cluster token {role}`"
            yield Finding(f"{role} token", Severity.FAIL, "none is valid for good", advice)
        elif len(lasting) > 1:
            words = f"{len(lasting)} are valid for good"
            advice = f"`depthcache cluster token {role}` ends all but the new one after an hour"
            yield Finding(f"{role} token", Severity.WARN, words, advice)
        elif working and max(working) - facts.at_ms > _TOKEN_OVERLAP_MS:
            words = f"an earlier one works until {_time(max(working))}"
            advice = "earlier tokens should end after an hour: is a clock wrong?"
            yield Finding(f"{role} token", Severity.WARN, words, advice)
        elif working:
            count = f"{len(working)} earlier {_plural(len(working), 'one')}"
            words = f"{count} still {'works' if len(working) == 1 else 'work'} until {_time(max(working))}"
            yield Finding(f"{role} token", Severity.INFO, words)
        else:
            continue
        is_fine = False
    if is_fine:
        yield Finding("tokens", Severity.OK, "one of each role is valid, no earlier one works")


# --- the exchange ------------------------------------------------------------------------------


def _weight(facts: ClusterReport) -> Iterator[Finding]:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for node, check in facts.checks.items():
        for pool in _part(check, "exchange").get("pools", ()):
            row = rows.setdefault(
                (clean(check.get("egress", "")), clean(pool["pool"])),
                {"nodes": [], "used": 0, "limit": int(pool["limit"]), "stopped_s": 0.0},
            )
            row["nodes"].append(node)
            counted = pool.get("exchange_used")
            row["used"] = max(row["used"], int(pool["used"] if counted is None else counted))
            row["stopped_s"] = max(row["stopped_s"], float(pool["stopped_s"]))
    for (egress, pool), row in sorted(rows.items()):
        name = f"weight of {pool}" + (f" at {egress}" if egress else "")
        words = f"{row['used']:,} of {row['limit']:,} a minute, shared by {_named(row['nodes'])}"
        if row["stopped_s"] > 0:
            until = _time(facts.at_ms + row["stopped_s"] * 1e3)
            stopped = f"requests are stopped until {until} (limit exceeded, or banned); {words}"
            advice = "nodes wait by themselves; end other programs at this address that use the exchange"
            yield Finding(name, Severity.FAIL, stopped, advice)
        elif row["used"] > _WEIGHT_WARN * row["limit"]:
            advice = "books start slowly; programs outside of the cluster may use this address"
            yield Finding(name, Severity.WARN, words, advice)
        else:
            yield Finding(name, Severity.OK, words)
    names = sorted({egress for egress, _ in rows})
    if len(names) > 1:
        shown = ", ".join(each or "(no name)" for each in names)
        words = f"{len(names)} egress names count as {len(names)} addresses: {shown}"
        advice = (
            "if two of them leave by one address, the nodes together use more than its share: the exchange "
            "sees that, the cluster cannot; give such nodes the same --egress"
        )
        yield Finding("egress", Severity.INFO, words, advice)


def _exchange(facts: ClusterReport) -> Iterator[Finding]:
    opened, closed = Counter[str](), 0
    for node, check in facts.checks.items():
        for exchange, each in _part(check, "exchange").get("connections", {}).items():
            opened[clean(exchange)] += int(each["open"])
            down = int(each["connections"]) - int(each["open"])
            if down:
                closed += down
                words = f"{down} of {each['connections']} connections of {_name(node)} are not open"
                advice = "nodes connect again by themselves; check the way to the exchange if this stays"
                yield Finding(f"connections to {clean(exchange)}", Severity.WARN, words, advice)
    if opened and not closed:
        words = ", ".join(f"{count} to {exchange}" for exchange, count in sorted(opened.items()))
        yield Finding("connections", Severity.OK, f"all open: {words}")


# --- machines ----------------------------------------------------------------------------------


def _disks(facts: ClusterReport) -> Iterator[Finding]:
    free: list[int] = []
    syncs: list[float] = []
    is_fine = True
    for node, check in facts.checks.items():
        disk, name = _part(check, "disk"), f"disk of {_name(node)}"
        faults: list[tuple[Severity, str, str]] = []
        if disk.get("problem"):
            advice = "changes of the cluster are not safe on this node: mend the disk, or remove the node"
            faults.append(
                (Severity.FAIL, f"the data folder cannot be written: {clean(disk['problem'])}", advice)
            )
        if "free_bytes" in disk:
            free.append(int(disk["free_bytes"]))
            severity = _severity(-free[-1], -_FREE_WARN, -_FREE_FAIL)
            if severity is not Severity.OK:
                faults.append((severity, f"{_bytes(free[-1])} free for the data folder", "free some space"))
        if "sync_ms" in disk:
            syncs.append(float(disk["sync_ms"]))
            if syncs[-1] > _SYNC_WARN_MS:
                advice = "changes wait for two disks: a faster disk makes commands faster, reads do not wait"
                faults.append(
                    (Severity.WARN, f"a small write took {syncs[-1]:,.0f} ms to be on disk", advice)
                )
        if int(disk.get("journal_bytes", 0)) > _JOURNAL_WARN:
            words = f"wanted.journal has {_bytes(int(disk['journal_bytes']))}"
            advice = (
                "deleted books stay in it until all nodes have seen it: start or remove nodes that are away"
            )
            faults.append((Severity.WARN, words, advice))
        if disk.get("damaged"):
            words = f"{clean(', '.join(disk['damaged']))} was damaged and put aside"
            advice = "other nodes have sent what was lost; check the disk, then delete the file"
            faults.append((Severity.WARN, words, advice))
        for severity, words, advice in faults:
            is_fine = False
            yield Finding(name, severity, words, advice)
    if is_fine and syncs and free:
        words = (
            f"at least {_bytes(min(free))} free; a small write is on disk after {max(syncs):,.1f} ms at most"
        )
        yield Finding("disks", Severity.OK, words)


def _limits(facts: ClusterReport) -> Iterator[Finding]:
    is_fine, least = True, 0
    for node, check in facts.checks.items():
        limits = _part(check, "limits")
        most, used = limits.get("descriptors"), limits.get("descriptors_used")
        if most is not None and used is not None:
            needed = 2 * int(used) + _DESCRIPTORS_SPARE
            severity = _severity(needed - int(most), 0, int(used) + _DESCRIPTORS_SPARE // 2)
            if severity is not Severity.OK:
                is_fine = False
                words = f"{used:,} of {most:,} file descriptors are in use; {needed:,} should be allowed"
                advice = "raise the limit (`ulimit -n`, LimitNOFILE= of systemd), and restart the node"
                yield Finding(f"descriptors of {_name(node)}", severity, words, advice)
            least = min(least or int(most), int(most))
        memory, replicas = _memory(check), int(_part(check, "replicas").get("all", 0))
        if memory is not None and memory[1] < memory[0] // 4:
            is_fine = False
            words = f"{_bytes(memory[0])} used with {replicas:,} books, {_bytes(memory[1])} left"
            advice = "more books from a lost node may not fit: add memory or nodes, or lower --capacity"
            yield Finding(f"memory of {_name(node)}", Severity.WARN, words, advice)
    if is_fine and least:
        words = f"at least {least:,} file descriptors allowed, and memory left on every node"
        yield Finding("limits", Severity.OK, words)


def _memory(check: Found) -> tuple[int, int] | None:
    limits = _part(check, "limits")
    if "memory_used_bytes" not in limits or "memory_free_bytes" not in limits:
        return None
    return int(limits["memory_used_bytes"]), int(limits["memory_free_bytes"])


# --- books -------------------------------------------------------------------------------------


def _books(facts: ClusterReport) -> Iterator[Finding]:
    books, most = facts.status.get("books", ()), _possible(facts)
    lacking = [each for each in books if is_wrong(each, most)]
    lost = [each for each in lacking if int(each["synced"]) == 0]
    if lost:
        words = f"{len(lost):,} of {len(books):,} are synced on no node: {_symbols(lost)}"
        advice = "`depthcache cluster status` says why"
        yield Finding("books", Severity.FAIL, words, advice)
    elif lacking:
        words = (
            f"{len(lacking):,} of {len(books):,} are synced on fewer nodes than wanted: {_symbols(lacking)}"
        )
        yield Finding("books", Severity.WARN, words, "`depthcache cluster status` says why")
    elif books:
        yield Finding("books", Severity.OK, f"all {len(books):,} are synced on as many nodes as is possible")
    else:
        yield Finding("books", Severity.INFO, "the cluster keeps none yet")


def _capacity(facts: ClusterReport) -> Iterator[Finding]:
    books, most = facts.status.get("books", ()), _possible(facts)
    few = [each for each in books if int(each["replicas"]) > most]
    single = [each for each in books if int(each["replicas"]) == 1]
    copies = sum(min(int(each["replicas"]), most) for each in books)
    if few:
        wanted = max(int(each["replicas"]) for each in few)
        words = (
            f"{len(few):,} {'book wants' if len(few) == 1 else 'books want'} up to {wanted} replicas, and "
        )
        words += f"{most} {_plural(most, 'node')} can hold books"
        yield Finding(
            "capacity", Severity.INFO, words, "let more nodes join, or `depthcache cluster set` fewer"
        )
    if single and most > 1:
        words = f"{_have(single)} one replica: readers wait some seconds when its node is lost"
        yield Finding("capacity", Severity.INFO, words, "two replicas keep them readable")
    if not books:
        return
    if most > 1:
        after = -(-copies // (most - 1)) if not few else len(books)
        short = _too_small(facts, after)
        words = f"{copies:,} replicas on {most} nodes; with one node less, about {after:,} each"
        if short:
            advice = "add memory or nodes: they may not survive the loss of a node"
            yield Finding("capacity", Severity.WARN, f"{words}, too many for {_named(short)}", advice)
        else:
            yield Finding("capacity", Severity.OK, words)
    elif not few:
        yield Finding("capacity", Severity.OK, f"{copies:,} replicas on 1 node")


def _too_small(facts: ClusterReport, after: int) -> list[str]:
    """The nodes whose memory is too small for so many books, judged by what each takes now."""
    found: list[str] = []
    for node, check in facts.checks.items():
        memory, held = _memory(check), int(_part(check, "replicas").get("all", 0))
        if memory is not None and held >= 100 and after > held:
            more = memory[0] / held * (after - held)
            found += [node] if more > memory[1] else []
    return found


def _zones(facts: ClusterReport) -> Iterator[Finding]:
    nodes = {
        each["id"]: clean(each.get("zone") or "")
        for each in facts.status.get("nodes", ())
        if each["state"] in ("alive", "suspect")
    }
    zones, books = set(nodes.values()), facts.status.get("books", ())
    if len(nodes) < 2 or not books:
        return
    if zones == {""}:
        words = "no node has one, so replicas of a book may be on nodes that fail together"
        advice = "if some nodes share a rack, host or site, restart each with --zone NAME"
        yield Finding("zones", Severity.INFO, words, advice)
        return
    unnamed = sorted(node for node, zone in nodes.items() if not zone)
    if unnamed:
        words = f"{_named(unnamed)} have none, and count as one zone"
        yield Finding("zones", Severity.WARN, words, "restart them with --zone NAME")
    close = [each for each in books if _shares_zone(each, nodes, len(zones))]
    if close:
        words = f"{_have(close)} replicas in fewer zones than is possible: {_symbols(close)}"
        advice = "they move by themselves; `depthcache cluster rebalance` says what they wait for"
        yield Finding("zones", Severity.WARN, words, advice)
    elif len(zones) == 1:
        words = f"all nodes are in {next(iter(zones))}: every replica of a book fails with it"
        yield Finding("zones", Severity.WARN, words, "add nodes in another zone")
    elif not unnamed:
        words = f"replicas of every book are in as many of the {len(zones)} zones as is possible"
        yield Finding("zones", Severity.OK, words)


def _shares_zone(book: Found, nodes: Mapping[str, str], zones: int) -> bool:
    held = [nodes[node] for node, state in book["holders"].items() if state == "synced" and node in nodes]
    return len(set(held)) < min(zones, len(held), int(book["replicas"]))


# --- words -------------------------------------------------------------------------------------


def _part(found: Found, name: str) -> Found:
    """An object inside another one; empty if a node did not send it."""
    part: Any = found.get(name)
    return cast("dict[str, Any]", part) if isinstance(part, dict) else {}


def _possible(facts: ClusterReport) -> int:
    """How many nodes may hold a book."""
    return possible({"nodes": facts.members})


def _severity(value: float, warn: float, fail: float) -> Severity:
    return Severity.FAIL if value > fail else Severity.WARN if value > warn else Severity.OK


def _name(node: object) -> str:
    return clean(str(node)[:_SHORT])


def _named(nodes: Iterable[object]) -> str:
    names = [_name(each) for each in nodes]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"


def _symbols(books: Sequence[Found]) -> str:
    names = [clean(each["symbol"]) for each in books]
    more = ", …" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"


def _have(books: Sequence[Found]) -> str:
    return f"{len(books):,} {'book has' if len(books) == 1 else 'books have'}"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _seconds(value_ms: float, *, sign: bool = True) -> str:
    words = f"{abs(value_ms) / 1e3:,.3f} s" if abs(value_ms) >= 1e3 else f"{abs(value_ms):.1f} ms"
    return words if not sign else f"{words} {'ahead of' if value_ms >= 0 else 'behind'}"


def _span(value_ms: float) -> str:
    hours = value_ms / _HOUR_MS
    return f"{hours / 24:,.0f} days" if hours >= 48 else f"{hours:.0f} hours" if hours >= 1 else "an hour"


def _bytes(count: int) -> str:
    value, units = float(count), ("bytes", "KiB", "MiB", "GiB", "TiB")
    for unit in units[:-1]:
        if value < 1024:
            return f"{value:,.0f} {unit}" if unit == "bytes" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} {units[-1]}"


def _time(at_ms: float) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"

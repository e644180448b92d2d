"""Tokens, certificates, authorities and removals of running nodes, on a virtual clock."""

from __future__ import annotations

import asyncio
import logging
import shutil
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from depthcache.cluster import credentials, housekeeping
from depthcache.cluster.authority import (
    Authority,
    authority_hashes,
    hosts_of,
    issuer_of,
    make_node_key,
    sign,
)
from depthcache.cluster.core.access_tokens import Role, digest_of
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.data_folder import DataFolder, NodeOptions
from depthcache.cluster.errors import AskRefused, JoinRefused
from depthcache.cluster.housekeeping import renew_at
from depthcache.cluster.memory_network import MemoryCluster
from depthcache.cluster.rotation import rotation_status
from depthcache.cluster.secret_files import read_secret, write_secret
from depthcache.errors import UsageError
from tests.cluster.kept_nodes import BEGAN, KeptCluster, KeptNode


@pytest.fixture
def cluster(tmp_path: Path) -> KeptCluster:
    return KeptCluster(tmp_path)


def valid(node: object, secret: str, cluster: KeptCluster) -> str | None:
    """The role that a node's server gives a secret now."""
    now_ms = cluster.now().timestamp() * 1_000
    for role, digest, until_ms in node.tokens:  # type: ignore[attr-defined]
        if digest.hex() == digest_of(secret) and (until_ms is None or now_ms < until_ms):
            return str(role)
    return None


def test_a_rotated_token_is_good_on_all_nodes_before_the_old_one_ends(cluster: KeptCluster) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(3)
        first, second, _ = cluster.nodes
        old = str(first.folder.token("read"))
        admin = str(first.folder.token("admin"))
        new = await second.housekeeping.rotate_token(Role.READ, overlap_s=60)
        await cluster.until(lambda: all(node.folder.token("read") == new for node in cluster.nodes))
        assert new != old
        for node in cluster.nodes:
            assert valid(node, old, cluster) == valid(node, new, cluster) == "read"
            assert valid(node, admin, cluster) == "manage"
        await cluster.pass_s(61)
        for node in cluster.nodes:
            assert (valid(node, old, cluster), valid(node, new, cluster)) == (None, "read")
        with pytest.raises(UsageError, match="issued, not rotated"):
            await first.housekeeping.rotate_token(Role.JOIN, overlap_s=1)

    cluster.run(test)


def test_the_key_of_the_exchange_s_protocol_is_rotated_like_a_token(cluster: KeptCluster) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(2)
        first, second = cluster.nodes
        old = str(first.folder.token("exchange"))
        new = await second.housekeeping.rotate_token(Role.EXCHANGE, overlap_s=60)
        assert new.startswith("dcx_")
        await cluster.until(lambda: first.folder.token("exchange") == new)
        for node in cluster.nodes:
            assert valid(node, old, cluster) == valid(node, new, cluster) == "exchange"
        await cluster.pass_s(61)
        for node in cluster.nodes:
            assert (valid(node, old, cluster), valid(node, new, cluster)) == (None, "exchange")

    cluster.run(test)


@pytest.mark.parametrize("role", [Role.READ, Role.MANAGE])
def test_a_token_that_cannot_be_saved_ends_no_other_one(
    cluster: KeptCluster, monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    """Its digest alone would lock everybody out once the earlier tokens end."""

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(2)
        first, name = cluster.nodes[0], {Role.READ: "read", Role.MANAGE: "admin"}[role]
        old = str(first.folder.token(name))

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(credentials, "write_secret", full)
            with pytest.raises(OSError, match="No space"):
                await first.housekeeping.rotate_token(role, overlap_s=60)
        await cluster.pass_s(120)
        for node in cluster.nodes:
            assert valid(node, old, cluster) is not None
        writes = 0

        def full_later(path: Path, content: bytes) -> None:
            nonlocal writes
            writes += 1
            if writes > 1:
                full()
            write_secret(path, content)

        with monkeypatch.context() as patch:
            patch.setattr(credentials, "write_secret", full_later)
            new = await first.housekeeping.rotate_token(role, overlap_s=60)
        await cluster.until(lambda: all(node.folder.token(name) == new for node in cluster.nodes))
        assert not [each for each in first.folder.credentials.names() if "next" in each]

    cluster.run(test)


def test_a_credential_reaches_all_nodes_and_those_that_come_back(cluster: KeptCluster) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(3)
        first, _, third = cluster.nodes
        await third.stop()
        first.folder.credentials.put("exchange x", {"api_key": "k"}, wall_ms=1)
        first.network.share()
        await cluster.pass_s(1)
        assert cluster.nodes[1].folder.credentials.get("exchange x") == {"api_key": "k"}
        back = await cluster.restart(third)
        await cluster.until(lambda: back.folder.credentials.get("exchange x") == {"api_key": "k"})

    cluster.run(test)


def test_a_removed_node_gets_no_secrets(cluster: KeptCluster) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(3)
        first, second, removed = cluster.nodes
        await first.housekeeping.remove(removed.id)
        first.folder.credentials.put("exchange x", {"api_key": "k"}, wall_ms=1)
        first.network.share()
        await cluster.pass_s(100)
        assert second.folder.credentials.names() == first.folder.credentials.names()
        assert removed.folder.credentials.get("exchange x") == {}
        with pytest.raises(AskRefused):  # a hostile one asks by itself
            await removed.network.ask(first.id, b"secrets content {}", timeout_s=1)

    cluster.run(test)


def test_secrets_wait_until_the_session_refuses_a_removed_node(
    cluster: KeptCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then that node could listen to requests for others."""

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(4)
        first, second, third, removed = cluster.nodes
        kept, sealed = (first, second, third), []

        def watch(node: KeptNode) -> None:
            ask = node.network._network.ask

            async def asked(peer: str, payload: bytes, *, timeout_s: float) -> bytes:
                if payload.startswith(b"secrets content"):
                    sealed.append(node.is_sealed())
                return await ask(peer, payload, timeout_s=timeout_s)

            monkeypatch.setattr(node.network._network, "ask", asked)

        for node in kept:
            watch(node)
        await first.housekeeping.remove(removed.id)
        assert not first.is_sealed()
        with pytest.raises(AskRefused):  # the removed node may have recorded such a request
            await second.network.ask(first.id, b"secrets content {}", timeout_s=1)
        sealed.clear()
        new = await first.housekeeping.rotate_token(Role.READ, overlap_s=60)
        await cluster.until(lambda: all(node.folder.token("read") == new for node in kept))
        assert sealed
        assert all(sealed)

    cluster.run(test)


def test_certificates_are_renewed_about_a_day_after_they_were_issued_and_not_all_at_once() -> None:
    authority = Authority.create("amber-fox", now=BEGAN)
    request = make_node_key("a1").request
    made = [authority.issue(request, node="a1", hosts=["h"], now=BEGAN) for _ in range(5)]
    times = {renew_at(certificate) for certificate in made}
    assert len(times) == 5
    assert all(timedelta(hours=21) < at - BEGAN < timedelta(hours=27) for at in times)


def test_a_renewed_certificate_is_served_and_the_session_reopened(
    cluster: KeptCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also after the issuer was away for some time."""
    caplog.set_level(logging.WARNING, "depthcache")
    monkeypatch.setattr(housekeeping, "_RENEW_AFTER", timedelta(seconds=30))
    monkeypatch.setattr(housekeeping, "_RETRY_NS", 5_000_000_000)

    async def test(cluster: KeptCluster) -> None:
        cluster.is_cut_off = True
        await cluster.start(2)
        before = [node.folder.identity.certificate for node in cluster.nodes]
        await cluster.pass_s(20)
        assert [node.folder.identity.certificate for node in cluster.nodes] == before
        await cluster.pass_s(15)
        for node, old, is_new in zip(cluster.nodes, before, (True, False), strict=True):
            assert (node.session.certificate != old) is is_new
        cluster.is_cut_off = False
        node = cluster.nodes[1]
        await cluster.until(lambda: node.session.certificate != before[1], within_s=15)
        assert node.served[-1] == node.session == node.folder.identity
        assert [denied for _, denied in node.reopened] == [()]

    cluster.run(test)
    assert "renewing the certificate, which ends on 2026-12-" in caplog.text


@pytest.mark.slow
def test_all_nodes_get_new_certificates_on_demand_and_one_that_is_down_when_it_is_back(
    cluster: KeptCluster,
) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(3)
        first, _, third = cluster.nodes
        before = {node.id: node.session.certificate for node in cluster.nodes}
        await third.stop()

        def waits() -> dict[str, str]:
            found = rotation_status(first.runner.core.wanted, {third.id: "away"})
            return {each["id"]: each["waits"] for each in found["nodes"] if each["waits"]}

        assert waits() == {}
        for _ in range(2):  # it may be repeated
            await first.housekeeping.renew_certificates()
        assert set(waits()) == set(before)
        await cluster.until(lambda: set(waits()) == {third.id}, within_s=20)
        assert waits()[third.id] == "it is away: it has no new certificate yet"
        assert all(node.session.certificate != before[node.id] for node in cluster.nodes[:2])
        back = await cluster.restart(third)
        await cluster.until(lambda: waits() == {}, within_s=20)
        assert back.session.certificate != before[third.id]
        now = [node.session.certificate for node in cluster.nodes]
        await cluster.pass_s(120)
        assert [node.session.certificate for node in cluster.nodes] == now, "once"

    cluster.run(test)


@pytest.mark.slow
def test_a_replacement_of_the_authority_says_what_each_node_waits_for(cluster: KeptCluster) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(2)
        first, second = cluster.nodes
        new = await first.housekeeping.rotate_authority()
        seen: list[str] = []

        def is_done() -> bool:
            found = rotation_status(first.runner.core.wanted, {first.id: "alive", second.id: "alive"})
            seen.extend(each["waits"] for each in found["nodes"] if each["id"] == second.id)
            return not found["is_replacing_authority"] and {each["issuer"] for each in found["nodes"]} == {
                new
            }

        await cluster.until(is_done)
        assert list(dict.fromkeys(seen)) == [
            "it does not trust the new authority yet",
            "it has no certificate of the new authority yet",
            "it still trusts the old authority, until all nodes have new certificates",
            "",
        ]

    cluster.run(test)


def test_a_node_with_another_address_is_reached_there_soon_after_its_start(cluster: KeptCluster) -> None:
    """It cannot sign its certificate, and sees the node that can some time after it has begun."""

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(3)
        moved = cluster.nodes[1]
        await moved.stop()
        back = await cluster.restart(moved, NodeOptions(listen="127.0.0.2"))
        await cluster.until(
            lambda: (
                "127.0.0.2" in hosts_of(back.session.certificate)
                and all(
                    node.runner.core.wanted.listens()[back.id] == back.folder.identity.listen
                    for node in cluster.nodes
                )
            ),
            within_s=10,
        )
        assert back.folder.identity.listen.startswith("127.0.0.2:")

    cluster.run(test)


@pytest.mark.slow
def test_an_authority_takes_over_while_every_node_accepts_every_other(cluster: KeptCluster) -> None:
    """`KeptCluster.check` holds after every reopened session."""

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(3)
        first = cluster.nodes[0]
        (old,) = first.folder.authorities()
        new = await first.housekeeping.rotate_authority()
        with pytest.raises(UsageError, match="is already being replaced"):
            await first.housekeeping.rotate_authority()
        late = await cluster.add(await cluster.join())

        def is_done() -> bool:
            return all(authority_hashes(node.session.authority) == (new,) for node in cluster.nodes)

        await cluster.until(is_done, within_s=60)
        for node in cluster.nodes:
            assert issuer_of(node.session.authority, node.session.certificate) == new
            assert node.served[-1] == node.session
        assert [each.hash for each in first.folder.authorities()] == [new]
        assert old.key.splitlines()[1] not in (first.folder.path / "authority.key").read_text()
        times = sorted(at_s for node in cluster.nodes if node is not late for at_s, _ in node.reopened)
        assert all(later - earlier >= 0.9 for earlier, later in pairwise(times)), times
        await cluster.pass_s(5)
        assert await first.housekeeping.rotate_authority() != new

    cluster.run(test)


@pytest.mark.slow
def test_a_rotation_waits_for_a_node_that_is_down_and_survives_restarts(cluster: KeptCluster) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(3)
        first, _, third = cluster.nodes
        await third.stop()
        before = first.folder.identity.certificate
        new = await first.housekeeping.rotate_authority()
        await cluster.pass_s(60)
        assert first.folder.identity.certificate == before, "the node that is down would not trust another"
        await first.stop()
        cluster.nodes.remove(first)
        again = DataFolder.open(first.folder.path, now=cluster.now())
        await cluster.add(again)
        cluster.nodes.insert(0, cluster.nodes.pop())
        await cluster.restart(third)
        await cluster.until(
            lambda: all(authority_hashes(node.session.authority) == (new,) for node in cluster.nodes)
        )

    cluster.run(test)


def test_a_rotation_whose_announcement_was_lost_goes_on(
    cluster: KeptCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(2)
        first = cluster.nodes[0]
        with monkeypatch.context() as patch:

            async def crash() -> None:
                raise OSError(5, "crashed")

            patch.setattr(first.housekeeping, "_announce", crash)
            with pytest.raises(OSError, match="crashed"):
                await first.housekeeping.rotate_authority()
        new = first.folder.authorities()[0].hash
        await cluster.until(
            lambda: all(authority_hashes(node.session.authority) == (new,) for node in cluster.nodes)
        )

    cluster.run(test)


def test_a_second_node_with_the_key_gets_a_certificate_of_the_new_authority_and_loses_the_old_key(
    cluster: KeptCluster,
) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(2)
        first, second = cluster.nodes
        write_secret(second.folder.path / "authority.key", read_secret(first.folder.path / "authority.key"))
        new = await first.housekeeping.rotate_authority()
        await cluster.until(
            lambda: all(authority_hashes(node.session.authority) == (new,) for node in cluster.nodes)
        )
        assert len(second.reopened) <= 3, "for each step once"
        assert second.housekeeping.issuer() is None

    cluster.run(test)


@pytest.mark.slow
def test_two_nodes_with_the_key_that_replace_the_authority_at_once_end_with_one(cluster: KeptCluster) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(3)
        first, second, _ = cluster.nodes
        write_secret(second.folder.path / "authority.key", read_secret(first.folder.path / "authority.key"))
        made = await asyncio.gather(
            first.housekeeping.rotate_authority(), second.housekeeping.rotate_authority()
        )
        assert made[0] != made[1]

        def is_done() -> bool:
            trusted = {authority_hashes(node.session.authority) for node in cluster.nodes}
            return trusted in ({(made[0],)}, {(made[1],)})

        await cluster.until(is_done)
        issuing = [node.folder.authorities() for node in cluster.nodes[:2]]
        assert sorted(len(each) for each in issuing) == [0, 1]

    cluster.run(test)


@pytest.mark.parametrize("signer", ["itself", "a node", "nobody"])
def test_an_authority_that_no_trusted_one_signed_is_not_trusted(cluster: KeptCluster, signer: str) -> None:
    """A node that was taken over can write the wanted set, and gets no authority of its own by that."""

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(2)
        first, evil = cluster.nodes
        own = Authority.create("amber-fox", now=BEGAN)
        key = {"itself": own.key, "a node": evil.folder.identity.key, "nobody": own.key}[signer]
        content = b"depthcache authority\n" + own.certificate.encode()
        signature = "00" if signer == "nobody" else sign(key, content)

        def edit(wanted: WantedSet, wall_ms: int) -> object:
            return wanted.trust(own.certificate, hash_=own.hash, signature=signature, wall_ms=wall_ms)

        await evil.runner.record(edit)  # type: ignore[arg-type]
        await cluster.pass_s(20)
        assert authority_hashes(first.folder.identity.authority) == (first.folder.authorities()[0].hash,)

    cluster.run(test)


def test_a_removed_node_is_refused_by_servers_and_sessions_one_after_another(cluster: KeptCluster) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(3)
        first, second, removed = cluster.nodes
        await second.housekeeping.remove(removed.id)
        await cluster.pass_s(8)
        for node in (first, second):
            assert node.denied == [removed.id]
            assert [denied for _, denied in node.reopened] == [(removed.id,)]
        assert abs(first.reopened[0][0] - second.reopened[0][0]) >= 0.9
        with pytest.raises(JoinRefused, match="was removed"):
            await cluster.renew(removed.folder.identity, [first.folder.identity.node.address], "")

    cluster.run(test)


def test_a_node_that_was_removed_while_it_was_away_ends(cluster: KeptCluster) -> None:
    """The others refuse its session, so it sees nobody, as one that is cut off: it asks their servers."""

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(3)
        first, _, away = cluster.nodes
        await away.stop()
        await first.housekeeping.remove(away.id)
        for node in cluster.nodes[:2]:
            cluster.wire.cut(away.id, node.id)
            cluster.wire.cut(node.id, away.id)
        back = await cluster.restart(away)
        await cluster.until(lambda: "was removed from the cluster" in back.stopped, within_s=15)

    cluster.run(test)


def test_a_session_is_opened_again_for_a_node_that_answers_and_is_not_seen(cluster: KeptCluster) -> None:
    """Both opened theirs while they were cut off from each other: the engine would not try again."""

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(2)
        one, other = cluster.nodes
        cluster.wire.cut(one.id, other.id)
        cluster.wire.cut(other.id, one.id)
        await cluster.pass_s(60)
        assert (one.reopened, other.reopened) == ([], [])
        assert one.folder.identity.listen in cluster.tried
        cluster.is_reachable = True
        await cluster.until(lambda: bool(one.reopened and other.reopened), within_s=40)
        await cluster.pass_s(500)
        assert (len(one.reopened), len(other.reopened)) == (1, 1)
        cluster.wire.heal()
        await cluster.until(lambda: one.runner.core.members.alive() == (other.id,))
        cluster.tried.clear()
        await cluster.pass_s(700)
        assert cluster.tried == []
        assert len(one.reopened) == 1

    cluster.run(test)


@pytest.mark.parametrize("which", [0, 1])
def test_a_copy_of_a_node_that_runs_ends(cluster: KeptCluster, which: int) -> None:
    """The others have a session with the first one, and refuse that of a copy: it sees nobody.

    A node without the authority's key says so, too.
    """

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(2)
        original = cluster.nodes[which]
        original.folder.wanted_file.rewrite(original.runner.core.snapshot())
        path = cluster.folder / "copy"
        shutil.copytree(original.folder.path, path)
        wire, cluster.wire = cluster.wire, MemoryCluster()
        folder = DataFolder.open(path, NodeOptions(port=0, node_port=0), now=cluster.now())
        copy = await cluster.add(folder)
        cluster.wire = wire
        await cluster.until(lambda: "another process runs as this node" in copy.stopped, within_s=12)
        await cluster.pass_s(15)
        assert [node.stopped for node in cluster.nodes[:2]] == ["", ""]

    cluster.run(test)


@pytest.mark.parametrize("is_alone", [False, True])
def test_a_clock_that_jumps_ends_nothing_for_the_others(cluster: KeptCluster, is_alone: bool) -> None:
    """Removals and tokens last until they have ended by the clock of another node, too."""

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(2)
        first, jumping = cluster.nodes
        await first.housekeeping.remove("5ca1ab1e")
        await first.housekeeping.rotate_token(Role.READ, overlap_s=120)
        await cluster.pass_s(30)
        before = first.runner.core.wanted.tokens()
        assert jumping.runner.core.wanted.tokens() == before
        if is_alone:
            cluster.wire.cut(jumping.id, first.id)
            cluster.wire.cut(first.id, jumping.id)
            await cluster.pass_s(3)
        jumping.clock.skew_ms = 15 * 86_400_000
        await cluster.pass_s(10)
        cluster.wire.heal()
        await cluster.pass_s(10)
        for node in cluster.nodes:
            assert node.runner.core.wanted.denied() == {"5ca1ab1e"}
            assert node.runner.core.wanted.tokens() == before
        await cluster.pass_s(120)
        for node in cluster.nodes:
            assert len(node.runner.core.wanted.tokens()) == len(before) - 1, "it has ended everywhere"

    cluster.run(test)


def test_a_session_that_does_not_show_a_node_is_reopened_in_turn(cluster: KeptCluster) -> None:
    """Not again and again: a reopened one shows the node, or never will."""

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(3)
        first, second, third = cluster.nodes
        for node in (first, second):
            node.not_seen = (third.id, "5ca1ab1e")
        await cluster.pass_s(50)
        assert [denied for _, denied in first.reopened] == [denied for _, denied in second.reopened] == [()]
        assert abs(first.reopened[0][0] - second.reopened[0][0]) >= 0.9
        assert third.reopened == []
        first.not_seen = ()
        await cluster.pass_s(50)
        assert (len(first.reopened), len(second.reopened)) == (1, 2)

    cluster.run(test)


def test_a_node_that_is_back_is_no_copy_of_itself(cluster: KeptCluster) -> None:
    """Cut off right after its start: others have not noticed its end, or see it although it sees nobody."""

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(3)
        first, second, third = cluster.nodes
        await third.stop()
        back = await cluster.restart(third)
        await cluster.pass_s(2)
        for node in (first, second):
            cluster.wire.cut(node.id, back.id)
        await cluster.pass_s(25)
        assert not back.runner.core.members.alive()
        assert first.runner.core.members.is_alive(back.id)
        assert back.stopped == ""

    cluster.run(test)


def test_a_node_that_is_cut_off_does_not_end(cluster: KeptCluster) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(2)
        for one, other in (cluster.nodes, cluster.nodes[::-1]):
            cluster.wire.cut(one.id, other.id)
        await cluster.pass_s(15)
        assert [node.stopped for node in cluster.nodes] == ["", ""]

    cluster.run(test)


def test_only_the_node_with_the_key_issues_and_rotates(cluster: KeptCluster) -> None:
    async def test(cluster: KeptCluster) -> None:
        await cluster.start(2)
        second = cluster.nodes[1]
        assert second.housekeeping.issuer() is None
        with pytest.raises(UsageError, match="not have the authority's key"):
            second.housekeeping.issue_join_token()
        with pytest.raises(UsageError, match="not have the authority's key"):
            await second.housekeeping.rotate_authority()
        reports = cluster.nodes[0].runner.core.wanted.certificates()
        assert {node.id: reports[node.id].issues for node in cluster.nodes} == {
            cluster.nodes[0].id: True,
            second.id: False,
        }

    cluster.run(test)

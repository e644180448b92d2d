"""What programs ask a node about its cluster and change in it, and what they are refused."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from depthcache.cluster.core.access_tokens import Role
from depthcache.cluster.core.members import MemberState
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.management import ClusterManagement, Invitation, NewToken
from depthcache.cluster.moves import Move
from depthcache.cluster.replica_host import BookSettings
from depthcache.cluster.runner import SystemClock
from depthcache.cluster.running_node import ClusterNode
from depthcache.server import ServerConfig
from tests.cluster.managed import BTC, ETH, JOIN_TOKEN, NEW_TOKEN, WALL_MS, FakeAdmission, FakeNode

BOOKS = {"exchange": "binance.com", "symbols": ["btcusdt", "ETHUSDT"]}


def ask(
    node: FakeNode, route: str, *path: str, body: Any = None, admission: FakeAdmission | None = None
) -> tuple[int, Any]:
    """Status and content of an answer."""
    first, second = (*path, "", "")[:2]
    sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    management = ClusterManagement(node, admission or FakeAdmission())
    assert management.answers(route)
    status, answer = asyncio.run(management.answer(route, first, second, sent))
    return status, json.loads(answer) if answer else None


def create(node: FakeNode, *keys: BookKey, replicas: int = 2) -> None:
    asyncio.run(node.fake.create(*keys, replicas=replicas, settings={}))


# --- books -----------------------------------------------------------------------------------


def test_books_are_created_once_with_the_names_of_the_exchange() -> None:
    node = FakeNode("b2")
    status, answer = ask(node, "create_cluster_books", body={**BOOKS, "settings": {"depth": 500}})
    assert (status, answer) == (200, {"created": ["BTCUSDT", "ETHUSDT"], "existing": []})
    wanted = node.core.wanted.books()
    assert [(book.replicas, book.settings) for book in wanted.values()] == [(2, (("depth", 500),))] * 2
    again = {"exchange": "BINANCE.COM", "symbols": ["BTCUSDT", "BNBUSDT", "bnbusdt"], "replicas": 1}
    _, answer = ask(node, "create_cluster_books", body=again)
    assert answer == {"created": ["BNBUSDT"], "existing": ["BTCUSDT"]}
    assert wanted[BTC].replicas == 2, "a second create changes nothing"


@pytest.mark.parametrize("replicas", [0, 65, True, "2", None, 1.5])
def test_replicas_are_checked_also_where_the_books_are_kept_already(replicas: object) -> None:
    node = FakeNode("b2")
    create(node, BTC)
    body = {"exchange": "binance.com", "symbols": ["BTCUSDT"], "replicas": replicas}
    status, answer = ask(node, "create_cluster_books", body=body)
    assert (status, answer["error"]["code"]) == (400, "invalid_parameter"), answer
    status, answer = ask(node, "begin_book", "binance.com", "BTCUSDT", body={"replicas": replicas})
    assert (status, answer["error"]["code"]) == (400, "invalid_parameter"), answer


def test_more_replicas_than_nodes_are_wanted_and_said() -> None:
    _, answer = ask(FakeNode(), "create_cluster_books", body={**BOOKS, "replicas": 3})
    assert answer["note"] == (
        "3 replicas are wanted and 1 node can hold books: the next nodes to join get the rest"
    )
    assert "note" not in ask(FakeNode("b2", "c3"), "create_cluster_books", body={**BOOKS, "replicas": 3})[1]


def test_replicas_and_settings_are_changed_separately() -> None:
    node = FakeNode("b2")
    create(node, BTC, ETH)
    assert ask(node, "change_cluster_books", body={**BOOKS, "replicas": 1})[1]["changed"] == [
        "BTCUSDT",
        "ETHUSDT",
    ]
    assert ask(node, "change_cluster_books", body={**BOOKS, "settings": {"depth": 1_000}})[0] == 200
    assert [(each.replicas, each.settings) for each in node.core.wanted.books().values()] == [
        (1, (("depth", 1_000),))
    ] * 2
    status, answer = ask(node, "change_cluster_books", body=BOOKS)
    assert (status, answer["error"]["message"]) == (
        400,
        "there is nothing to change: give replicas, settings, or both",
    )


def test_a_setting_that_is_null_has_its_default_again() -> None:
    node = FakeNode("b2")
    create(node, BTC, ETH)
    ask(node, "change_cluster_books", body={**BOOKS, "settings": {"depth": 1_000, "speed_ms": 1_000}})
    assert ask(node, "change_cluster_books", body={**BOOKS, "settings": {"depth": None}})[0] == 200
    wanted = node.core.wanted.books()
    assert [each.settings for each in wanted.values()] == [(("speed_ms", 1_000),)] * 2
    assert node.book_status(BTC)["settings"] == {"speed_ms": 1_000}
    assert BookSettings.of(wanted[BTC]).depth is None
    status, answer = ask(node, "change_cluster_books", body={**BOOKS, "settings": {"depth": "1"}})
    assert (status, answer["error"]["allowed"]) == (400, "a whole number, or null for the default")


def test_a_change_of_a_book_that_is_not_wanted_changes_none() -> None:
    node = FakeNode()
    create(node, BTC)
    status, answer = ask(node, "change_cluster_books", body={**BOOKS, "replicas": 1})
    assert (status, answer["error"]["code"], answer["error"]["symbol"]) == (404, "not_wanted", "ETHUSDT")
    assert node.core.wanted.books()[BTC].replicas == 2


def test_books_are_stopped_and_missing_ones_named() -> None:
    node = FakeNode()
    create(node, BTC)
    answer = ask(node, "stop_cluster_books", body=BOOKS)[1]
    assert answer == {"stopped": ["BTCUSDT"], "missing": ["ETHUSDT"]}
    assert ask(node, "stop_cluster_books", body=BOOKS)[1]["missing"] == ["BTCUSDT", "ETHUSDT"]
    assert node.core.wanted.books() == {}


def test_a_change_that_is_on_too_few_disks_is_no_success() -> None:
    node = FakeNode()
    node.fake.is_full = True
    for route in ("create_cluster_books", "stop_cluster_books"):
        status, answer = ask(node, route, body=BOOKS)
        assert (status, answer["error"]["code"], answer["error"]["stored"]) == (503, "not_stored", 0)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[" * 20_000, "body"),
        ([], "body"),
        ({**BOOKS, "replica": 2}, "body"),
        ({"symbols": ["BTCUSDT"]}, "exchange"),
        ({"exchange": 5, "symbols": ["BTCUSDT"]}, "exchange"),
        ({"exchange": "binance.com"}, "symbols"),
        ({"exchange": "binance.com", "symbols": []}, "symbols"),
        ({"exchange": "binance.com", "symbols": "BTCUSDT"}, "symbols"),
        ({"exchange": "binance.com", "symbols": ["A"] * 5_001}, "symbols"),
        ({"exchange": "binance.com", "symbols": ["BTC USDT"]}, "symbol"),
        ({"exchange": "binance.com", "symbols": [7]}, "symbol"),
        ({"exchange": "binance.com", "symbols": [None]}, "symbol"),
        ({**BOOKS, "replicas": 0}, "replicas"),
        ({**BOOKS, "replicas": 65}, "replicas"),
        ({**BOOKS, "replicas": True}, "replicas"),
        ({**BOOKS, "replicas": "2"}, "replicas"),
        ({**BOOKS, "replicas": 1e300}, "replicas"),
        ({**BOOKS, "settings": []}, "settings"),
        ({**BOOKS, "settings": {"dept": 5}}, "dept"),
        ({**BOOKS, "settings": {"speed_ms": 7}}, "speed_ms"),
        ({**BOOKS, "settings": {"depth": 0}}, "depth"),
        ({**BOOKS, "settings": {"depth": 10**9}}, "depth"),
        ({**BOOKS, "settings": {"depth": "5"}}, "depth"),
    ],
)
def test_what_cannot_work_is_named_and_changes_nothing(body: Any, name: str) -> None:
    node = FakeNode()
    for route in ("create_cluster_books", "change_cluster_books"):
        status, answer = ask(node, route, body=body)
        assert (status, answer["error"]["code"], answer["error"]["name"]) == (400, "invalid_parameter", name)
    assert node.core.wanted.books() == {}


def test_an_unknown_exchange_is_refused() -> None:
    status, answer = ask(FakeNode(), "create_cluster_books", body={"exchange": "binanse", "symbols": ["A"]})
    assert (status, answer["error"]["code"]) == (404, "unknown_exchange")


def test_the_routes_of_one_book_create_and_stop_it_in_the_cluster() -> None:
    node = FakeNode("b2")
    status, answer = ask(node, "begin_book", "binance.com", "btcusdt", body={"depth": 50})
    assert (status, answer["symbol"], answer["replicas"]) == (201, "BTCUSDT", 2)
    assert ask(node, "begin_book", "binance.com", "BTCUSDT")[0] == 200
    status, answer = ask(node, "begin_book", "binance.com", "BTCUSDT", body={"depth": 100})
    assert (status, answer["error"]["code"]) == (409, "exists_otherwise")
    for _ in range(2):
        assert ask(node, "end_book", "binance.com", "BTCUSDT") == (204, None)
    assert node.core.wanted.books() == {}
    assert ask(node, "end_book", "binance.com", "BTCUSDT", body={})[0] == 400


# --- nodes -----------------------------------------------------------------------------------


def test_a_node_is_drained_and_may_hold_books_again() -> None:
    node = FakeNode("b2")
    assert ask(node, "drain_cluster_node", "b2")[1] == {"node": "b2", "draining": True}
    assert node.core.wanted.draining() == {"b2"}
    assert ask(node, "drain_cluster_node", "b2", body={"draining": False})[0] == 200
    assert node.core.wanted.draining() == frozenset()
    assert ask(node, "drain_cluster_node", "b2", body={"draining": 1})[0] == 400


def test_a_node_is_known_by_the_beginning_of_its_id_where_that_is_unique() -> None:
    node = FakeNode("b2", "b3", "c4")
    assert ask(node, "drain_cluster_node", "c")[1]["node"] == "c4"
    for unclear in ("b", "ff", "", "../a1"):
        status, answer = ask(node, "drain_cluster_node", unclear)
        assert (status, answer["error"]["code"]) == (404, "unknown_node")
        assert answer["error"]["nodes"] == ["a1", "b2", "b3", "c4"]
    assert node.core.wanted.draining() == {"c4"}


def test_a_drain_until_the_next_start_names_the_run_and_leaves_an_operator_s_drain() -> None:
    node = FakeNode("b2", "c3")
    body = {"until_restart": True}
    assert ask(node, "drain_cluster_node", "b2", body=body) == (200, {"node": "b2", "draining": True})
    assert node.core.wanted.drained_runs() == {"b2": 1}
    ask(node, "drain_cluster_node", "b2")
    assert (node.core.wanted.draining(), node.core.wanted.drained_runs()) == ({"b2"}, {})
    ask(node, "drain_cluster_node", "b2", body=body)
    assert node.core.wanted.drained_runs() == {}
    node.see("c3", MemberState.LEFT)
    status, answer = ask(node, "drain_cluster_node", "c3", body=body)
    assert (status, answer["error"]["code"]) == (409, "not_running")
    assert ask(node, "drain_cluster_node", "a1", body={"until_restart": "yes"})[0] == 400


def test_a_node_that_has_not_met_the_others_changes_nothing() -> None:
    """Its tokens may have been replaced since its secrets were made."""
    node = FakeNode("b2")
    node.apart = "no other node was reached yet at b2:42080"
    for route, path in (
        ("create_cluster_books", ()),
        ("begin_book", ("binance.com", "BTCUSDT")),
        ("drain_cluster_node", ("b2",)),
        ("remove_cluster_node", ("b2",)),
        ("rotate_cluster_token", ("join",)),
        ("leave_cluster", ()),
    ):
        status, answer = ask(node, route, *path, body=BOOKS if "create" in route else None)
        assert (status, answer["error"]["code"]) == (503, "apart")
        assert "no other node was reached yet at b2:42080" in answer["error"]["message"]
    assert ask(node, "read_cluster")[0] == ask(node, "list_cluster_moves")[0] == 200
    assert not node.core.wanted.books()


def test_the_last_node_that_may_hold_books_is_neither_drained_nor_left() -> None:
    node = FakeNode("b2")
    admission = FakeAdmission()
    ask(node, "drain_cluster_node", "b2")
    for route, path in (("drain_cluster_node", ("a1",)), ("leave_cluster", ())):
        status, answer = ask(node, route, *path, admission=admission)
        assert (status, answer["error"]["code"]) == (409, "last_node")
    assert node.core.wanted.draining() == {"b2"}
    assert not node.is_leaving
    gone = FakeNode("b2")
    gone.see("b2", MemberState.LEFT)
    assert ask(gone, "leave_cluster")[0] == 409, "the other node is not there to take the books"


def test_a_node_leaves() -> None:
    node = FakeNode("b2")
    admission = FakeAdmission()
    assert ask(node, "leave_cluster", admission=admission) == (202, {"node": "a1", "leaving": True})
    assert node.is_leaving


def test_the_only_node_with_the_key_of_the_authority_does_not_leave() -> None:
    """Without it no node could join, and all certificates would end within a week."""
    node, admission = FakeNode("b2"), FakeAdmission()
    node.report_key("a1")
    status, answer = ask(node, "leave_cluster", admission=admission)
    assert (status, answer["error"]["code"]) == (409, "last_key")
    assert "copy authority.key" in answer["error"]["message"]
    assert not node.is_leaving
    node.report_key("b2")
    assert ask(node, "leave_cluster", admission=admission)[0] == 202


def test_the_removal_of_the_only_node_with_the_key_says_what_that_means() -> None:
    node = FakeNode("b2")
    node.report_key("b2")
    status, answer = ask(node, "remove_cluster_node", "b2")
    assert (status, answer["removed"]) == (200, True)
    assert answer["note"].startswith("no other node has the authority's key: no node can join")


def test_another_node_is_removed_and_refused_and_this_one_is_not() -> None:
    node = FakeNode("b2")
    assert ask(node, "remove_cluster_node", "b2") == (200, {"node": "b2", "removed": True})
    assert node.core.wanted.denied() == {"b2"}
    status, answer = ask(node, "remove_cluster_node", "a1")
    assert (status, answer["error"]["code"]) == (409, "own_node")
    assert node.core.wanted.registered() == {"a1"}


def test_a_removed_node_is_refused_for_longer_than_its_certificate_lasts() -> None:
    node, refused = FakeNode("b2"), list[tuple[str, int]]()

    class Clock(SystemClock):
        def wall_ms(self) -> int:
            return WALL_MS

    async def deny(peer: str, *, until_ms: int) -> int:
        refused.append((peer, until_ms))
        return 1

    node._clock = Clock()
    node.fake.deny = deny  # type: ignore[attr-defined]
    asyncio.run(ClusterNode.remove(node, "b2"))
    assert refused == [("b2", WALL_MS + 14 * 86_400_000)]


# --- tokens ----------------------------------------------------------------------------------


def test_a_disk_that_is_full_is_no_bug_of_the_server() -> None:
    class Full(FakeAdmission):
        async def rotate_token(self, role: Role) -> NewToken:
            raise OSError(28, "No space left on device", "credentials")

    for role in ("read", "manage", "exchange"):
        status, answer = ask(FakeNode(), "rotate_cluster_token", role, admission=Full())
        assert (status, answer["error"]["code"]) == (503, "not_stored")
        words = "the change cannot be saved (disk: No space left on device): nothing has changed"
        assert answer["error"]["message"] == words


def test_a_join_token_comes_as_the_command_of_the_new_node() -> None:
    status, answer = ask(FakeNode(), "rotate_cluster_token", "join")
    assert status == 201
    assert answer["command"] == ["cluster", "join", "10.0.0.1:42080", JOIN_TOKEN]
    node = FakeNode()
    admission = FakeAdmission(can_issue=False)
    status, answer = ask(node, "rotate_cluster_token", "join", admission=admission)
    assert (status, answer["error"]["code"]) == (409, "cannot_issue")
    assert "ask node a1" in answer["error"]["message"]


def test_access_tokens_are_rotated_by_role() -> None:
    node = FakeNode()
    admission = FakeAdmission()
    for role in ("read", "manage"):
        status, answer = ask(node, "rotate_cluster_token", role, admission=admission)
        assert (status, answer["token"], answer["role"]) == (201, NEW_TOKEN, role)
        assert answer["old_until_ms"] == WALL_MS + 3_600_000
    assert admission.rotated == [Role.READ, Role.MANAGE]
    assert ask(node, "rotate_cluster_token", "admin")[0] == 400


def test_another_authority_takes_over() -> None:
    admission = FakeAdmission()
    answer = ask(FakeNode(), "rotate_cluster_authority", admission=admission)
    assert answer == (202, {"authority": "5" * 64})
    assert ask(FakeNode(), "rotate_cluster_authority", body={"days": 3})[0] == 400
    assert admission.authorities == 1
    status, refused = ask(FakeNode(), "rotate_cluster_authority", admission=FakeAdmission(can_issue=False))
    assert (status, refused["error"]["code"]) == (409, "refused")
    assert "ask a node that has it" in refused["error"]["message"]


def test_secrets_are_in_no_repr() -> None:
    shown = repr(NewToken(secret=NEW_TOKEN, old_until_ms=1)) + repr(
        Invitation(command=(JOIN_TOKEN,), valid_s=1)
    )
    assert NEW_TOKEN not in shown
    assert JOIN_TOKEN not in shown


@pytest.mark.parametrize(
    ("listen", "page"), [("127.0.0.1", "http://"), ("::1", "http://"), ("10.0.0.1", "https://")]
)
def test_the_page_is_plain_http_where_only_this_machine_can_connect(listen: str, page: str) -> None:
    proof = {"certificate": "node.pem", "key": "node.key"}
    node = FakeNode()
    node.options = replace(node.options, server=ServerConfig(listen=listen, port=42_081, **proof))
    node.server = SimpleNamespace(url=f"https://{listen}:42081")  # type: ignore[assignment]
    assert node.page_url == f"{page}{listen}:42081"


# --- status ----------------------------------------------------------------------------------


def test_the_status_says_who_holds_what_and_why_not() -> None:
    node = FakeNode("b2", "c3", "d4")
    create(node, BTC, replicas=3)
    node.see("c3", MemberState.SUSPECT)
    node.see("d4", MemberState.LEFT)
    node.report("b2", BTC, ReplicaState.SYNCED)
    node.report("a1", BTC, ReplicaState.STALE)
    node.reasons.reasons[BTC] = "gap"
    status, answer = ask(node, "read_cluster")
    assert status == 200
    assert (answer["cluster"], answer["node"]) == ("amber-fox", "a1")
    assert {each["id"]: each["state"] for each in answer["nodes"]} == {
        "a1": "alive",
        "b2": "alive",
        "c3": "suspect",
        "d4": "away",
    }
    [book] = answer["books"]
    assert (book["replicas"], book["synced"], book["reason"]) == (3, 1, "gap")
    assert book["owners"] == list(node.core.books.owners(BTC))
    assert book["holders"] == {"a1": "stale", "b2": "synced"}
    assert answer["weight"][0]["limit"] == 6_000
    assert ask(node, "list_cluster_nodes")[1] == {"node": "a1", "nodes": answer["nodes"]}


def test_moves_come_with_their_reasons() -> None:
    node = FakeNode()
    node.history = [Move(1, "a1", *BTC, "began", why="new")]
    [move] = ask(node, "list_cluster_moves")[1]["moves"]
    assert (move["what"], move["why"]) == ("began", "new")


def test_a_bug_is_an_error_and_a_log_line(monkeypatch: pytest.MonkeyPatch) -> None:
    node, logged = FakeNode(), list[str]()
    monkeypatch.setattr(node, "status", lambda: 1 / 0)
    monkeypatch.setattr(
        "depthcache.logs.unexpected", lambda *, where, error: logged.append(f"{where}: {error}")
    )
    assert ask(node, "read_cluster")[0] == 500
    assert logged == ["a request about a cluster: division by zero"]

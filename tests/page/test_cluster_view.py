"""The cluster on the live page of a node: what it shows, what its buttons do, and that each can be undone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from depthcache.cluster.core.members import MemberState
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.moves import Move
from tests.cluster.managed import BTC, ETH, JOIN_TOKEN, FakeAdmission
from tests.page.accessibility import faults
from tests.page.browsing import Visit, served
from tests.page.clusters import FakeCluster, fake_cluster, real_cluster
from tests.server.asking import ADMIN, READ

pytest.importorskip("cryptography")
pytestmark = pytest.mark.slow

LOGIC = Path(__file__).parent / "cluster.test.mjs"
PARTS = ("#/cluster", "#/cluster/books", "#/cluster/moves")
HOSTILE = "<img src=x onerror=document.title='X'>\N{RIGHT-TO-LEFT OVERRIDE}\u5e01\u5b89"
Visits = Callable[..., Visit]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with fake_cluster(tmp_path, "b2", "c3") as made:
        yield made


def show(seen: Visit, cluster: FakeCluster, part: str = "#/cluster", *, manages: bool = False) -> Any:
    """The view, with the read token, or with the admin token beside it."""
    page = seen.open(cluster.link, waits=False)
    page.wait_for_selector("[data-live=true]")
    if manages:
        page.click("[data-does=manage]")
        page.fill("dialog input", ADMIN)
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog", state="detached")
    seen.go(part)
    seen.until("Cluster amber-fox", ".cluster h1")
    return page


def notice(seen: Visit, words: str, *, undoes: bool = False) -> None:
    """Wait for a notice, and press its Undo."""
    seen.until(words, "#notices")
    if undoes:
        seen.page.click(f".notice:has-text('{words}') >> text=Undo")


def row(symbol: str) -> str:
    return f".entries.books .rows .line:not([hidden]):has-text('{symbol}')"


def test_the_logic_is_right() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("the logic of the page was not tested: install node")
    command = [node, "--experimental-detect-module", "--test", str(LOGIC)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout
    passed = re.search(r"pass (\d+)", ran.stdout)
    assert passed
    assert int(passed[1]) == LOGIC.read_text("utf-8").count('\ntest("')


# --- what it shows ---------------------------------------------------------------------------


@pytest.mark.browser
def test_a_server_that_is_no_node_has_no_cluster(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        page = seen.open(server.link)
        assert not page.is_visible("nav >> text=Cluster")
        seen.go("#/cluster")
        page.wait_for_function("() => document.querySelector('nav [aria-current]')?.innerText === 'Books'")
        assert not [url for url in seen.asked if "cluster" in url]


def test_nodes_and_books_are_shown_and_a_book_is_added_with_undo(visit: Visits, cluster: FakeCluster) -> None:
    cluster.keep(BTC, replicas=2, depth=500)
    seen = visit()
    page = seen.open(cluster.link, waits=False)
    page.click("nav >> text=Cluster")
    seen.until("3 of 3 nodes up · 1 book", ".cluster .summary")
    seen.until("alive", ".nodes")
    assert seen.text(".cluster .role") == "Read only"
    assert not page.is_visible(".cluster >> text=Add books")
    assert not page.is_visible(".nodes >> text=Drain")
    assert "120 of 6,000" in seen.text(".weight")
    page.click("[data-does=manage]")
    page.fill("dialog input", ADMIN)
    page.keyboard.press("Enter")
    seen.until("Managing", ".cluster .role")
    page.click(".parts >> text=Books")
    page.wait_for_selector(row("BTCUSDT"))
    assert "depth 500" in seen.text(row("BTCUSDT").split(":")[0])
    page.click(".cluster >> text=Add books")
    page.fill("dialog textarea", "ethusdt, bnbusdt btcusdt")
    page.fill("dialog [name=replicas]", "3")
    page.click("dialog button:has-text('Add')")
    notice(seen, "Added 2 books. 1 other book was there already.")
    page.wait_for_selector(row("BNBUSDT"))
    assert cluster.books == {"BTCUSDT": (2, {"depth": 500}), "BNBUSDT": (3, {}), "ETHUSDT": (3, {})}
    notice(seen, "Added 2 books.", undoes=True)
    notice(seen, "Removed 2 books.")
    page.wait_for_selector(row("BNBUSDT"), state="detached")
    assert cluster.books == {"BTCUSDT": (2, {"depth": 500})}
    for where, text in seen.traces().items():
        assert ADMIN not in text, where
    assert ADMIN not in page.evaluate("JSON.stringify(sessionStorage)")


@pytest.mark.browser
def test_why_a_book_is_not_synced_and_which_books_are_not_as_wanted(
    visit: Visits, cluster: FakeCluster
) -> None:
    cluster.keep(BTC, ETH)
    seen = visit()
    page = show(seen, cluster)
    seen.until("all synced", ".cluster .summary")
    cluster.do(lambda: cluster.node.reasons.reasons.update({BTC: "sequence gap"}))
    cluster.do(lambda: cluster.node.report("b2", BTC, ReplicaState.STALE))
    cluster.do(lambda: cluster.node.report("a1", BTC, ReplicaState.STALE))
    seen.until("1 not as wanted", ".cluster .summary")
    seen.until("BTCUSDT", ".panel .wrong")
    seen.until("sequence gap", ".panel .wrong")
    seen.go("#/cluster/books")
    page.select_option("[aria-label='Show which books']", "wrong")
    seen.until("1 of 2", ".entries.books .found")
    assert "sequence gap" in seen.text(row("BTCUSDT").split(":")[0])
    page.select_option("[aria-label='Show which books']", "")
    page.fill(".entries.books .search", "eth com")
    seen.until("1 of 2", ".entries.books .found")
    page.wait_for_selector(row("ETHUSDT"))
    page.fill(".entries.books .search", "nothing")
    seen.until("No book matches the filter.", ".entries.books .nothing")


@pytest.mark.browser
def test_a_node_that_goes_is_shown_with_its_last_address(visit: Visits, cluster: FakeCluster) -> None:
    seen = visit()
    show(seen, cluster)
    cluster.do(lambda: cluster.node.see("b2", MemberState.SUSPECT))
    seen.until("suspect", ".nodes")
    cluster.do(lambda: cluster.node.see("b2", MemberState.LEFT))
    seen.until("away", ".nodes")
    seen.until("2 of 3 nodes up", ".cluster .summary")


@pytest.mark.browser
def test_texts_of_others_are_text_and_never_markup(visit: Visits, cluster: FakeCluster) -> None:
    hostile = BookKey("binance.com", HOSTILE)
    cluster.keep(hostile)
    cluster.do(lambda: cluster.node.report("a1", hostile, ReplicaState.STALE))
    cluster.do(lambda: cluster.node.report("b2", hostile, ReplicaState.STALE))
    cluster.do(lambda: cluster.node.reasons.reasons.update({hostile: f"why {HOSTILE}"}))
    move = Move(1, "a1", *hostile, "began", source=HOSTILE, why=HOSTILE)
    cluster.do(lambda: cluster.node.history.append(move))
    seen = visit()
    page = show(seen, cluster)
    seen.until("<img src=x", ".panel .wrong")
    seen.go("#/cluster/books")
    seen.until("<img src=x", ".entries.books .rows")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.entries .name')).unicodeBidi") == "isolate"
    )
    seen.go("#/cluster/moves")
    seen.until("<img src=x", ".entries.moves .rows")
    assert page.query_selector("main img") is None
    assert page.title() != "X"


@pytest.mark.browser
def test_5000_books_scroll_with_few_elements_and_cost_little_when_nothing_changes(
    visit: Visits, cluster: FakeCluster
) -> None:
    cluster.keep(*(BookKey("binance.com", f"B{number:04}USDT") for number in range(5_000)))
    seen = visit()
    sizes: list[int] = []
    page = show(seen, cluster, "#/cluster/books")
    seen.until("5,000 books", ".entries.books .found")
    lines = "document.querySelectorAll('.entries.books .line').length"
    assert page.evaluate(lines) < 50
    page.focus(".entries.books .scroller")
    page.keyboard.press("End")
    page.wait_for_selector(f"{row('B4999USDT')}[aria-selected=true]")
    for top in range(0, 180_000, 9_000):
        page.evaluate(f"document.querySelector('.entries.books .scroller').scrollTop = {top}")
        page.wait_for_selector(row(f"B{top // 36 + 1:04}USDT"))
    assert page.evaluate(lines) < 50
    assert page.get_attribute(".entries.books .scroller", "aria-rowcount") == "5001"

    def look() -> None:
        with page.expect_response("**/v1/cluster/overview?*") as waiting:
            pass
        sizes.append(len(waiting.value.body()))

    for _ in range(3):
        look()
    assert max(sizes) < 1_000


@pytest.mark.browser
def test_a_tab_that_nobody_sees_asks_for_nothing(visit: Visits, cluster: FakeCluster) -> None:
    seen = visit()
    seen.page.clock.install()
    page = show(seen, cluster)
    turn = """hidden => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    looks = "**/v1/cluster/overview*"

    def count() -> int:
        return sum("/v1/cluster/" in url for url in seen.asked)

    with page.expect_response(looks):
        page.clock.run_for(3_000)
    page.evaluate(turn, True)
    before = count()
    page.clock.run_for(120_000)
    page.evaluate("fetch('/page/icon.svg').then((response) => response.text())")
    assert count() == before
    with page.expect_response(looks):
        page.evaluate(turn, False)
    seen.go("#/about")
    page.wait_for_selector(".about .panel")
    before = sum("overview" in url for url in seen.asked)
    page.clock.run_for(60_000)
    page.evaluate("fetch('/page/icon.svg').then((response) => response.text())")
    assert sum("overview" in url for url in seen.asked) == before, "another view is shown"


@pytest.mark.browser
def test_moves_stay_where_they_are_while_somebody_reads(visit: Visits, cluster: FakeCluster) -> None:
    def add(*numbers: int) -> None:
        made = [Move(number, "a1", "binance.com", f"M{number}USDT", "began") for number in numbers]
        cluster.do(lambda: cluster.node.history.extend(made))

    add(*range(1, 201))
    seen = visit()
    page = show(seen, cluster, "#/cluster/moves")
    page.wait_for_selector(".entries.moves .line:has-text('M200USDT')")
    add(201)
    page.wait_for_selector(".entries.moves .line[aria-rowindex='2']:has-text('M201USDT')")
    page.evaluate("document.querySelector('.entries.moves .scroller').scrollTop = 360")
    page.wait_for_selector(".entries.moves .line[aria-rowindex='12']:has-text('M191USDT')")
    add(202, 203)
    seen.until("Show 2 new moves", ".entries.moves .bar")
    assert page.is_visible(".entries.moves .line[aria-rowindex='12']:has-text('M191USDT')")
    page.click("text=Show 2 new moves")
    page.wait_for_selector(".entries.moves .line[aria-rowindex='2']:has-text('M203USDT')")
    page.click(".entries.moves >> text=Pause")
    add(204)
    seen.until("Show 1 new move", ".entries.moves .bar")
    page.click(".entries.moves >> text=Pause")
    page.wait_for_selector(".entries.moves .line[aria-rowindex='2']:has-text('M204USDT')")
    page.fill(".entries.moves .search", "m17")
    seen.until("11 of 204", ".entries.moves .found:last-child")


# --- what it changes -------------------------------------------------------------------------


@pytest.mark.browser
def test_a_drain_and_its_end_are_undone(visit: Visits, cluster: FakeCluster) -> None:
    seen = visit()
    page = show(seen, cluster, manages=True)
    draining = lambda: cluster.do(cluster.node.core.wanted.draining)  # noqa: E731
    page.click(".nodes tr:has-text('b2') >> text=Drain")
    notice(seen, "Node b2 hands its books over.")
    seen.until("draining", ".nodes")
    assert draining() == {"b2"}
    notice(seen, "Node b2 hands its books over.", undoes=True)
    notice(seen, "Node b2 holds books again.")
    page.wait_for_selector(".nodes tr:has-text('b2') >> text=alive")
    assert draining() == frozenset()
    page.click(".nodes tr:has-text('c3') >> text=Drain")
    page.click(".nodes tr:has-text('c3') >> text=End drain")
    notice(seen, "Node c3 holds books again.", undoes=True)
    seen.until("draining", ".nodes")
    assert draining() == {"c3"}


@pytest.mark.browser
def test_a_change_is_undone_also_to_defaults(visit: Visits, cluster: FakeCluster) -> None:
    cluster.keep(BTC, replicas=2, depth=500)
    cluster.keep(ETH, replicas=1)
    before = cluster.books
    seen = visit()
    page = show(seen, cluster, "#/cluster/books", manages=True)
    page.click("text=Change 2 books")
    page.fill("dialog [name=replicas]", "3")
    page.fill("dialog [name=depth]", "1000")
    page.click("dialog button:has-text('Change')")
    notice(seen, "Changed 2 books.")
    assert cluster.books == {"BTCUSDT": (3, {"depth": 1_000}), "ETHUSDT": (3, {"depth": 1_000})}
    notice(seen, "Changed 2 books.", undoes=True)
    notice(seen, "Set 2 books back.")
    assert cluster.books == before
    page.wait_for_selector(f"{row('BTCUSDT')}:has-text('depth 500')")
    page.click(f"{row('BTCUSDT')} [title=Change]")
    assert page.input_value("dialog [name=depth]") == "500"
    page.check("dialog [name=depth-default]")
    page.click("dialog button:has-text('Change')")
    notice(seen, "Changed BTCUSDT on binance.com.")
    assert cluster.books["BTCUSDT"] == (2, {})
    notice(seen, "Changed BTCUSDT on binance.com.", undoes=True)
    notice(seen, "Set BTCUSDT on binance.com back.")
    assert cluster.books == before


@pytest.mark.browser
def test_removed_books_come_back_with_all_that_they_had(visit: Visits, cluster: FakeCluster) -> None:
    cluster.keep(BTC, replicas=3, depth=500, speed_ms=1_000)
    cluster.keep(ETH, replicas=1)
    before = cluster.books
    seen = visit()
    page = show(seen, cluster, "#/cluster/books", manages=True)
    page.wait_for_selector(row("ETHUSDT"))
    page.click("text=Remove 2 books")
    assert page.query_selector("dialog") is None, "undo instead of a question"
    notice(seen, "Removed 2 books.")
    assert cluster.books == {}
    seen.until("The cluster keeps no books yet.", ".entries.books .nothing")
    notice(seen, "Removed 2 books.", undoes=True)
    notice(seen, "Added 2 books.")
    assert cluster.books == before
    page.wait_for_selector(row("BTCUSDT"))
    page.focus(".entries.books .scroller")
    page.keyboard.press("Home")
    page.keyboard.press("Delete")
    notice(seen, "Removed BTCUSDT on binance.com.")


@pytest.mark.browser
def test_only_a_node_is_removed_after_a_question(visit: Visits, cluster: FakeCluster) -> None:
    seen = visit()
    page = show(seen, cluster, manages=True)
    assert not page.is_visible(".nodes tr:has-text('this page') >> text=Remove")
    page.click(".nodes tr:has-text('b2') >> text=Remove")
    seen.until("cannot be undone", "dialog")
    page.click("dialog >> text=Cancel")
    assert cluster.do(cluster.node.core.wanted.denied) == frozenset()
    page.click(".nodes tr:has-text('b2') >> text=Remove")
    page.click("dialog button:has-text('Remove b2')")
    notice(seen, "Removed node b2.")
    assert cluster.do(cluster.node.core.wanted.denied) == {"b2"}
    seen.until("removed", ".nodes")


@pytest.mark.browser
def test_a_refusal_says_why(visit: Visits, cluster: FakeCluster) -> None:
    seen = visit()
    page = show(seen, cluster, manages=True)
    cluster.do(lambda: setattr(cluster.node.fake, "is_full", True))
    page.click(".nodes tr:has-text('b2') >> text=Drain")
    seen.until("No space left on device", "#notices .bad")
    cluster.do(lambda: setattr(cluster.node.fake, "is_full", False))
    page.click(".cluster >> text=Add books")
    page.fill("dialog [name=exchange]", "nowhere.example")
    page.fill("dialog textarea", "BTCUSDT")
    page.click("dialog button:has-text('Add')")
    seen.until("nowhere.example", "#notices .bad")
    assert cluster.books == {}


# --- the admin token -------------------------------------------------------------------------


@pytest.mark.browser
def test_a_wrong_token_says_so_and_one_that_is_replaced_is_forgotten(
    visit: Visits, cluster: FakeCluster
) -> None:
    seen = visit()
    page = show(seen, cluster)
    page.click("[data-does=manage]")
    for token, words in (("short", "not a token"), (READ, "may only read"), ("x" * 20, "does not know")):
        page.fill("dialog input", token)
        page.keyboard.press("Enter")
        seen.until(words, "dialog .problem")
        assert page.input_value("dialog input") == ""
    page.fill("dialog input", ADMIN)
    page.keyboard.press("Enter")
    seen.until("Managing", ".cluster .role")
    refused = {"error": {"code": "unauthorized", "message": "no such token"}}
    page.route("**/drain", lambda route: route.fulfill(status=401, json=refused))
    page.click(".nodes tr:has-text('b2') >> text=Drain")
    notice(seen, "does not know the admin token any more")
    seen.until("Read only", ".cluster .role")
    assert not page.is_visible(".nodes >> text=Drain")
    assert seen.text("[data-does=manage]").strip() == "Manage …"


@pytest.mark.browser
def test_an_admin_token_that_signs_in_is_forgotten_by_a_reload(visit: Visits, cluster: FakeCluster) -> None:
    seen = visit()
    page = seen.open(f"{cluster.url}/#token={ADMIN}", waits=False)
    seen.go("#/cluster")
    seen.until("Managing", ".cluster .role")
    assert ADMIN not in page.evaluate("JSON.stringify(sessionStorage) + JSON.stringify(localStorage)")
    page.reload()
    page.wait_for_selector(".signin")


@pytest.mark.browser
def test_the_join_command_is_copied_and_left_nowhere(visit: Visits, cluster: FakeCluster) -> None:
    seen = visit(permissions=["clipboard-read", "clipboard-write"])
    page = show(seen, cluster, manages=True)
    page.click("text=Copy join command")
    notice(seen, "Copied. The command lets one machine join, within 30 minutes.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"depthcache cluster join 10.0.0.1:42080 {JOIN_TOKEN}"
    for where, text in seen.traces().items():
        assert JOIN_TOKEN not in text, where
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')) }")
    page.click("text=Copy join command")
    assert JOIN_TOKEN in page.input_value("dialog input")
    page.click("dialog >> text=Done")
    page.wait_for_selector("dialog", state="detached")


@pytest.mark.browser
def test_a_node_without_the_key_says_which_one_lets_others_join(visit: Visits, tmp_path: Path) -> None:
    with fake_cluster(tmp_path, "b2", admission=FakeAdmission(can_issue=False)) as cluster:
        cluster.do(lambda: cluster.node.report_key("b2"))
        seen = visit()
        page = show(seen, cluster, manages=True)
        page.wait_for_selector(".nodes tr:has-text('b2') >> text=key")
        page.click("text=Copy join command")
        seen.until("Open the page of node b2 (10.0.0.178:42081).", "#notices .bad")


# --- people ----------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(visit: Visits, cluster: FakeCluster, scheme: str) -> None:
    cluster.keep(BTC, depth=500)
    cluster.keep(ETH, replicas=3)
    cluster.do(lambda: cluster.node.report("b2", BTC, ReplicaState.STALE))
    cluster.do(lambda: cluster.node.see("c3", MemberState.LEFT))
    cluster.do(lambda: cluster.node.history.append(Move(1, "a1", *BTC, "synced", source="b2", took_s=0.5)))
    seen = visit(color_scheme=scheme)
    page = show(seen, cluster, manages=True)
    for part in PARTS:
        seen.go(part)
        page.wait_for_selector(f".parts [aria-current][href='{part}']")
        assert faults(page) == [], part
    seen.go("#/cluster/books")
    page.click(f"{row('BTCUSDT')} [title=Change]")
    assert faults(page) == []


@pytest.mark.browser
def test_a_phone_shows_everything_without_scrolling_sideways(visit: Visits, cluster: FakeCluster) -> None:
    cluster.keep(BTC, BookKey("binance.com-coin_futures", "A" * 40), depth=500)
    seen = visit(viewport={"width": 360, "height": 700})
    page = show(seen, cluster, manages=True)
    for part in PARTS:
        seen.go(part)
        page.wait_for_selector(f".parts [aria-current][href='{part}']")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, part
        assert page.evaluate("document.querySelector('main').scrollWidth") <= 360, part


@pytest.mark.browser
def test_the_keyboard_alone_finds_and_removes_a_book(visit: Visits, cluster: FakeCluster) -> None:
    cluster.keep(BTC, ETH)
    seen = visit()
    page = show(seen, cluster, "#/cluster/books", manages=True)
    page.wait_for_selector(row("ETHUSDT"))
    page.keyboard.press("/")
    page.keyboard.type("eth")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{row('ETHUSDT')}[aria-selected=true]")
    page.keyboard.press("e")
    seen.until("Change ETHUSDT on binance.com", "dialog h2")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.focus(".entries.books .scroller")
    page.keyboard.press("Delete")
    notice(seen, "Removed ETHUSDT on binance.com.")
    assert list(cluster.books) == ["BTCUSDT"]


# --- real nodes ------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.processes
def test_three_nodes_of_which_one_is_killed_and_then_the_one_of_the_page(
    visit: Visits, tmp_path: Path
) -> None:
    with real_cluster(tmp_path) as cluster:
        seen = visit()
        page = seen.open(cluster.link("a"))
        seen.go("#/cluster")
        seen.until("3 of 3 nodes up · 6 books · all synced", ".cluster .summary")
        page.wait_for_function("() => document.querySelectorAll('.nodes td.version').length === 3")
        versions = "[...document.querySelectorAll('.nodes td.version')].map((each) => each.innerText)"
        page.wait_for_function(f"() => {versions}.every((text) => /\\d/.test(text))")
        cluster.do(cluster["c"].kill())
        page.wait_for_selector(f".nodes tr:has-text('{cluster['c'].id[:8]}') >> text=away")
        seen.until(f"node {cluster['c'].id[:8]} is away", ".panel:last-child")
        seen.until("2 of 3 nodes up · 6 books · all synced", ".cluster .summary")
        cluster.do(cluster["a"].kill())
        seen.until("Other nodes of the cluster: ", ".others")
        host, port = cluster["b"].address
        assert page.get_attribute(".others a", "href") == f"http://{host}:{port}/"
        cluster.do(cluster["a"].restart())
        page.wait_for_selector("[data-live=true]")
        seen.until("2 of 3 nodes up", ".cluster .summary")
        assert seen.text(".others") == ""

"""The live page on a node of a cluster: books of other nodes, over plain HTTP, and what its buttons do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_cluster import served as served_node
from tests.cluster.managed import BTC, FakeNode
from tests.page.browsing import Visit, served
from tests.server.asking import ADMIN
from tests.server.clustering import EXCHANGE, Cluster, issue

pytest.importorskip("cryptography")
pytestmark = pytest.mark.slow

Visits = Callable[..., Visit]


@pytest.mark.browser
def test_states_of_books_of_other_nodes_change_without_a_request(visit: Visits) -> None:
    with Cluster() as cluster:
        proof = issue(cluster.authority, "near")
        node = {
            "node": "near",
            "authority": cluster.authority.certificate,
            "certificate": proof.certificate,
            "key": proof.key,
        }
        with served("BTCUSDT", cluster=node) as near:
            holders = [cluster.dead("far")]
            near.native.set_holders(EXCHANGE, "ETHUSDT", holders, status="buffering", reason="taken over")
            seen = visit()
            page = seen.open(near.link)
            assert page.url.startswith("http://"), "no certificate that the browser would have to trust"
            seen.until("1 buffering: taken over", ".census")
            page.route("**/v1/books?*", lambda route: route.abort())
            near.native.set_holders(EXCHANGE, "ETHUSDT", holders, status="bridging", reason="nearly there")
            seen.until("1 bridging: nearly there", ".census")
            near.native.set_holders(EXCHANGE, "ETHUSDT", holders)
            seen.until("2 synced", ".census")
            seen.errors.clear()


@pytest.mark.browser
def test_the_buttons_of_the_page_create_and_stop_books_of_the_cluster(visit: Visits, tmp_path: Path) -> None:
    node = FakeNode("b2")
    with served_node(node, tmp_path) as url:
        seen = visit()
        page = seen.open(f"{url}/#token={ADMIN}", waits=False)
        page.click("text=Add books")
        page.fill("dialog textarea", "btcusdt")
        page.click("dialog button:has-text('Add')")
        seen.until("Added BTCUSDT on binance.com.", "#notices")
        assert {key: book.replicas for key, book in node.core.wanted.books().items()} == {BTC: 2}
        page.click("#notices button:has-text('Undo')")
        seen.until("Removed BTCUSDT on binance.com.", "#notices")
        assert node.core.wanted.books() == {}


@pytest.mark.browser
def test_undo_brings_a_removed_book_back_with_all_that_it_had(visit: Visits, tmp_path: Path) -> None:
    node = FakeNode("b2")
    settings = {"depth": 500, "speed_ms": 1_000}
    node.core.create(BTC, replicas=3, settings=settings, now_ns=0, wall_ms=1)
    with served_node(node, tmp_path) as url:
        seen = visit()
        page = seen.open(f"{url}/#token={ADMIN}", waits=False)
        book = {"exchange": EXCHANGE, "symbol": "BTCUSDT"}
        page.evaluate("(book) => import('/page/dialogs.js').then((page) => page.removeBooks([book]))", book)
        seen.until("Removed BTCUSDT on binance.com.", "#notices")
        assert node.core.wanted.books() == {}
        page.click("#notices button:has-text('Undo')")
        seen.until("Added BTCUSDT on binance.com.", "#notices")
        back = node.core.wanted.books()[BTC]
        assert (back.replicas, dict(back.settings)) == (3, settings)

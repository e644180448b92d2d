"""The live page in a browser: who may see what, what it shows, and what it does when the server is gone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.page.browsing import Visit, served
from tests.server.asking import ADMIN, READ
from tests.server.exchanging import options

pytestmark = pytest.mark.slow

UNKNOWN = "\N{EN DASH}"
OTHER = "dcr_other_other_other"
Visits = Callable[..., Visit]


def symbols(page: Any) -> list[str]:
    return [each.inner_text() for each in page.query_selector_all(".rows .line:not([hidden]) .name")]


# --- who may see it ---------------------------------------------------------------------------


def test_the_link_signs_in_and_leaves_the_token_nowhere(visit: Visits) -> None:
    with served("BTCUSDT", "ETHUSDT") as server:
        seen = visit()
        page = seen.open(server.link)
        assert page.url == f"{server.url}/#/"
        assert page.evaluate("sessionStorage.getItem('depthcache-token')") == READ
        seen.go("#/books/binance.com/BTCUSDT")
        page.wait_for_selector(".book")
        seen.go("#/snippets")
        page.wait_for_selector(".code")
        page.click("text=Try it")
        seen.until("200 OK")
        for where, text in seen.traces().items():
            assert READ not in text, where
        assert all(url.startswith(server.url) for url in seen.asked)
        assert page.evaluate("history.length") <= 4
        page.reload()
        page.wait_for_selector(".code")


@pytest.mark.parametrize(
    "token",
    [
        OTHER,
        *(pytest.param(each, marks=pytest.mark.browser) for each in ("short", "ünicode-ünicode-ünicode")),
    ],
)
def test_a_wrong_token_leads_to_a_form_that_says_what_is_wrong(visit: Visits, token: str) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        page = seen.open(f"{server.url}/#token={token}", waits=False)
        page.wait_for_selector(".signin")
        words = seen.text(".signin .problem")
        assert "does not know this token" in words if token == OTHER else "not a token" in words
        assert page.evaluate("document.activeElement.type") == "password"
        page.keyboard.type(READ)
        page.keyboard.press("Enter")
        page.wait_for_selector(".rows .line:not([hidden])")
        for where, text in seen.traces().items():
            assert READ not in text, where
            assert token not in text or where in ("requests", "document"), where


def test_a_view_that_comes_late_does_not_cover_the_form(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        held: list[Any] = []
        seen.page.route("**/page/table.js", lambda route: held.append(route))
        seen.page.goto(f"{server.url}/#token={OTHER}", wait_until="commit")
        seen.page.wait_for_selector(".signin")
        with seen.page.expect_response("**/page/table.js"):
            for each in held:
                each.continue_()
        seen.page.evaluate("import('/page/table.js').then(() => new Promise(requestAnimationFrame))")
        assert seen.page.is_visible(".signin")


@pytest.mark.browser
def test_without_a_token_nothing_is_asked(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        page = seen.open(server.url, waits=False)
        page.wait_for_selector(".signin")
        assert not [url for url in seen.asked if "/v1/" in url]


def test_a_server_with_new_tokens_asks_to_sign_in_again(visit: Visits) -> None:
    seen = visit()
    with served("BTCUSDT") as server:
        seen.open(server.link)
        port = server.port
    with served("BTCUSDT", port=port, token=OTHER):
        seen.page.wait_for_selector(".signin")
        assert "new tokens" in seen.text(".signin .problem")
        assert seen.page.evaluate("sessionStorage.length") == 0


@pytest.mark.browser
def test_signing_out_forgets_the_token(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        page = visit().open(server.link)
        page.click("text=Sign out")
        page.wait_for_selector(".signin")
        assert page.evaluate("sessionStorage.length") == 0


# --- the table --------------------------------------------------------------------------------


def test_a_row_shows_prices_as_they_change_and_why_a_book_is_lost(visit: Visits) -> None:
    with served("BTCUSDT", "ETHUSDT") as server:
        seen = visit()
        page = seen.open(server.link)
        seen.until("2 synced", ".census")
        server.move("BTCUSDT", "1000.00", "5")
        seen.until("1,000.00", ".rows .line .bid")
        server.lose("ETHUSDT")
        line = ".rows .line:nth-child(2)"
        page.wait_for_selector(f"{line}:not([data-tone=good])")
        words = seen.text(f"{line} .status")
        assert re.search("(buffering|bridging).*sequence gap", words.replace("\n", " "))
        seen.until("1 synced", ".census")
        assert page.query_selector(".census button") is not None
        page.click(".census button")
        page.wait_for_function("() => document.querySelectorAll('.rows .line:not([hidden])').length === 1")
        assert symbols(page) == ["ETHUSDT"]


def test_5000_books_are_a_few_rows_that_scroll_filter_and_sort(visit: Visits) -> None:
    names = [f"B{number:04}USDT" for number in range(5_000)]
    with served(*names) as server:
        seen = visit()
        page = seen.open(server.link)
        seen.until("5,000 books", ".found")
        assert page.evaluate("document.querySelectorAll('.rows .line').length") < 60
        page.focus(".scroller")
        page.keyboard.press("End")
        page.wait_for_function(
            "() => document.querySelector('.line[aria-selected=true] .name')?.innerText === 'B4999USDT'"
        )
        assert page.get_attribute(".scroller", "aria-rowcount") == "5001"
        assert page.evaluate("document.querySelectorAll('.rows .line').length") < 60
        page.fill(".search", "b012 com")
        seen.until("10 of 5,000", ".found")
        assert symbols(page)[0] == "B0120USDT"
        page.click(".sorter:has-text('Book')")
        page.wait_for_function(
            "() => document.querySelector('.line[aria-rowindex=\"2\"] .name').innerText === 'B0129USDT'"
        )
        server.move("B0123USDT", "1000.00", "5")
        seen.until("1,000.00", ".rows")


@pytest.mark.browser
def test_tiles_show_the_best_levels_of_books_in_sight(visit: Visits) -> None:
    names = [f"B{number:04}USDT" for number in range(1_000)]
    with served(*names) as server:
        seen = visit()
        page = seen.open(server.link)
        seen.until("1,000 books", ".found")
        page.click("text=Tiles")
        seen.until("1,000.03", ".tile .level.ask")  # the third ask comes first
        assert page.evaluate("document.querySelectorAll('.tile').length") < 80
        tile = ".tile:has-text('B0000USDT')"
        assert seen.text(f"{tile} .levels").split() == [
            *("1,000.03", "2.375", "1,000.02", "2.25", "1,000.01", "2.125"),
            *("0.20", "bp", "·", *seen.text(f"{tile} .middle").split()[3:]),
            *("999.99", "1.125", "999.98", "1.25", "999.97", "1.375"),
        ]
        server.move("B0000USDT", "1000.00", "5")
        seen.until("1,000.00", tile.split(":")[0])
        page.focus(".scroller")
        for key in ("ArrowDown", "ArrowRight", "End"):
            page.keyboard.press(key)
        page.wait_for_selector(".tile[aria-selected=true]:has-text('B0999USDT')")
        server.lose("B0999USDT")
        page.wait_for_selector(".tile:has-text('buffering'):has-text('sequence gap')")
        page.reload()
        page.wait_for_selector(".tile:not([hidden])")


@pytest.mark.browser
def test_a_table_of_many_books_follows_those_in_sight_alone(visit: Visits) -> None:
    names = [f"B{number:04}USDT" for number in range(500)]
    with served(*names) as server:
        page = visit().open(server.link)
        headers = json.dumps({"Authorization": f"Bearer {READ}"})
        stats = f"(await (await fetch('/v1/stats', {{headers: {headers}}})).json())"
        count = f"async () => {stats}.streams.subscribers"
        page.wait_for_function(f"async () => (await ({count})()) > 500")
        assert page.evaluate(count) < 560


@pytest.mark.browser
def test_ages_are_right_after_the_clock_of_the_browser_or_of_the_server_was_set(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        page = visit().open(server.url, waits=False)
        page.wait_for_selector(".signin")  # nothing else learns the clock
        ages = page.evaluate("""async () => {
            const { serverClock } = await import('/page/server.js');
            let [nowMs, browserMs, serverMs] = [5_000, 1e12, 1e12];
            performance.now = () => nowMs;
            Date.now = () => browserMs + nowMs;
            const learn = (delayMs) =>
                serverClock.learn({ received_time_us: 1000 * (serverMs + nowMs - delayMs) - 2e6, age_s: 2 });
            const age = () => Math.round(serverClock.since(1000 * (serverMs + nowMs - 700)));
            learn(40);
            learn(0);
            const ages = [age()];
            browserMs += 3_600_000;
            learn(30);
            ages.push(age());
            serverMs -= 3_600_000;
            for (let second = 0; second <= 120; second += 5) {
                learn(0);
                nowMs += 5_000;
            }
            ages.push(age());
            nowMs += 600_000; // hidden for so long
            serverMs -= 3_600_000;
            learn(0);
            return [...ages, age()];
        }""")
        assert ages == [700, 700, 700, 700]


@pytest.mark.browser
def test_a_side_that_lost_its_levels_shows_no_old_price(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        seen.open(server.link)
        seen.until("999.99", ".rows .bid")
        seen.page.route("**/v1/books?*", lambda route: route.abort())  # the list would correct it later
        server.empty("BTCUSDT")
        row = "document.querySelector('.rows .line')"
        bid = f"{row}.querySelector('.bid').innerText === ''"
        seen.page.wait_for_function(f"() => {bid} && {row}.querySelector('.spread').innerText === ''")
        assert seen.text(".rows .line .ask") == "1,000.01"
        seen.go("#/books/binance.com/BTCUSDT")
        seen.until(UNKNOWN, ".fact.bid dd")
        server.empty("BTCUSDT", "asks")
        seen.until("Ladder: the book has no levels.", ".card.ladder p.hidden")


@pytest.mark.browser
def test_a_chosen_book_that_is_sorted_out_of_sight_is_not_the_active_one_any_more(visit: Visits) -> None:
    names = [f"B{number:04}USDT" for number in range(500)]
    with served(*names) as server:
        seen = visit()
        page = seen.open(server.link)
        seen.until("500 books", ".found")
        page.focus(".scroller")
        page.keyboard.press("ArrowDown")
        assert page.get_attribute(".scroller", "aria-activedescendant") == "row-0"
        page.click(".sorter:has-text('Book')")
        page.wait_for_function("() => !document.querySelector('.scroller[aria-activedescendant]')")
        page.focus(".scroller")
        page.keyboard.press("ArrowUp")
        chosen = "document.getElementById(document.querySelector('.scroller').getAttribute(name))"
        name = f"(name => {chosen}.querySelector('.name').innerText)('aria-activedescendant')"
        assert page.evaluate(name) == "B0001USDT"


# --- the connection ---------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["#/", "#/books/binance.com/BTCUSDT"])
def test_a_stopped_server_is_said_and_a_new_one_is_found(visit: Visits, view: str) -> None:
    seen = visit()
    with served("BTCUSDT") as server:
        page = seen.open(server.link)
        seen.go(view)
        seen.until("Connected to", ".stateline")
        page.wait_for_selector(".book[data-live=true]" if view != "#/" else ".line .bid:has-text('999.99')")
        port = server.port
    seen.until("trying again in", ".stateline")
    assert "he server stopped" in seen.text(".stateline")
    page.wait_for_selector(".stateline[data-phase=bad]")  # not while it tries
    assert page.get_attribute("body", "data-live") == "false"
    if view != "#/":
        seen.until("disconnected", ".pill")
        seen.until(UNKNOWN, ".fact.rate dd")
        seen.until(UNKNOWN, ".fact.lag dd")
    with served("BTCUSDT", port=port) as server:
        seen.until("Connected to", ".stateline")
        server.move("BTCUSDT", "1000.00", "5")
        seen.until("1,000.00")


@pytest.mark.browser
def test_a_view_whose_file_does_not_come_says_so_and_comes_with_the_server(visit: Visits) -> None:
    seen = visit()
    with served("BTCUSDT") as server:
        page = seen.open(server.link)
        page.route("**/page/about.js", lambda route: route.abort())
        seen.go("#/about")
        seen.until("cannot be loaded", ".problem")
        page.unroute("**/page/about.js")
        page.click("text=Reload")
        page.wait_for_selector(".about .panel")
        port = server.port
    seen.until("trying again in", ".stateline")
    seen.go("#/snippets")
    seen.until("cannot be loaded", ".problem")
    assert not page.is_visible("text=Reload")  # there would be no page
    with served("BTCUSDT", port=port):
        page.wait_for_selector(".code")


@pytest.mark.browser
def test_a_server_of_another_version_offers_to_load_its_page(visit: Visits) -> None:
    seen = visit()
    with served("BTCUSDT") as server:
        server.native.set_versions("1.0", "1.0")
        with seen.page.expect_response("**/v1/stats"):
            seen.open(server.link)
        port = server.port
    with served("BTCUSDT", port=port) as server:
        server.native.set_versions("2.0", "2.0")
        seen.until("The server now runs depthcache 2.0; this page is of 1.0.", "#notices")
        seen.page.click("text=Reload")
        seen.page.wait_for_selector(".rows .line:not([hidden])")
        assert not seen.page.query_selector(".notice")


@pytest.mark.browser
def test_a_page_on_which_nothing_happens_draws_ten_times_a_second(visit: Visits) -> None:
    with served("BTCUSDT", heartbeat_s=3_600) as server:
        seen = visit()
        seen.page.clock.install()
        page = seen.open(server.link)
        seen.until("999.99", ".rows .bid")
        drawn = page.evaluate("""async () => {
            const { frames } = await import('/page/frames.js');
            const { stream } = await import('/page/stream.js');
            window.drawn = 0;
            const { draw } = frames;
            frames.draw = (nowMs) => { drawn += 1; draw(nowMs); };
            stream.stop();
            return drawn;
        }""")
        page.clock.run_for(2_000)
        still = page.evaluate("drawn") - drawn
        page.evaluate("dispatchEvent(new PointerEvent('pointermove'))")
        page.clock.run_for(17)
        assert 10 <= still <= 21
        assert page.evaluate("drawn") - drawn == still + 1


def test_no_book_is_called_synced_while_the_server_is_out_of_reach(visit: Visits) -> None:
    seen = visit()
    with served("BTCUSDT", "ETHUSDT") as server:
        page = seen.open(server.link)
        seen.go("#/books/binance.com/BTCUSDT")
        page.wait_for_selector(".book")  # its files are here
        seen.go("#/")
        seen.until("2 synced", ".census")
        page.wait_for_selector(".line .bid:has-text('999.99')")
        port = server.port
    seen.until("2 not known", ".census")
    assert "synced" not in seen.text(".census")
    line = ".rows .line:not([hidden])"
    page.wait_for_function(
        """([line, unknown]) => [...document.querySelectorAll(line)].every(each => {
            const text = name => each.querySelector(name).innerText;
            return text('.word') === 'disconnected' && text('.rate') === unknown && text('.lag') === unknown;
        })""",
        arg=[line, UNKNOWN],
    )
    assert page.inner_text(f"{line} .mark") == "⊘"
    page.click(".census button")
    assert symbols(page) == ["BTCUSDT", "ETHUSDT"]
    seen.go("#/books/binance.com/BTCUSDT")
    seen.page.wait_for_selector(".book")
    with served("BTCUSDT", "ETHUSDT", port=port):
        seen.until("2 synced", ".census")  # also where no list is shown


@pytest.mark.browser
def test_a_connection_that_says_nothing_is_told_from_a_dead_one(visit: Visits) -> None:
    with served("BTCUSDT", heartbeat_s=3_600) as server:
        seen = visit()
        page = seen.page
        page.clock.install()
        page.goto(server.link)
        seen.until("Connected to", ".stateline")
        page.evaluate("""async () => {
            const { stream } = await import('/page/stream.js');
            window.heard = stream;
            window.phases = [];
            stream.onChange(() => phases.push(stream.phase));
            stream.heardMs = performance.now() - 11_000;
            stream.look();
        }""")
        page.wait_for_function("phases.length > 1")  # it was asked, and responded
        assert page.evaluate("phases") == ["silent", "open"]
        seen.until("Connected to", ".stateline")
        page.evaluate("heard.socket.send = () => {}; heard.heardMs = performance.now() - 11_000")
        page.clock.run_for(1_100)
        assert page.evaluate("heard.phase") == "silent"
        page.evaluate("heard.heardMs = performance.now() - 16_000")
        page.clock.run_for(3_000)
        seen.until("Connected to", ".stateline")
        assert page.evaluate("phases.slice(2)") == ["silent", "waiting", "connecting", "open"]


def test_a_recording_never_looks_live_and_its_end_is_said(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        server.native.set_recording(False)
        seen = visit()
        page = seen.open(server.link)
        seen.until("Plays a recording", ".stateline")
        page.wait_for_function("""async () => {
            const { books } = await import('/page/books.js');
            const times = { event_time_us: 1e15, received_time_us: 1e15 + 5e3 };
            for (const row of books.rows.values()) row.takeTimes(times);
            return document.querySelector('.rows .lag').innerText === 'recorded';
        }""")
        seen.go("#/books/binance.com/BTCUSDT")
        page.wait_for_selector(".book[data-live=true]")
        seen.until("exchange to server recorded", ".card.latency p.hidden")
        server.native.set_recording(True)
        seen.until("The recording has ended. Start `depthcache simulate` again", ".stateline")
        assert page.get_attribute(".stateline", "data-phase") == "over"
        seen.until("ended", ".book .pill")
        seen.go("#/")
        page.wait_for_function("() => document.querySelector('.rows .line .word').innerText === 'ended'")
        assert page.get_attribute(".rows .line", "data-tone") == "over"
        assert "1 ended" in page.inner_text(".census")


# --- adding and removing ----------------------------------------------------------------------


def test_a_read_token_sees_no_buttons_and_the_admin_token_adds_and_removes_with_undo(visit: Visits) -> None:
    with served("BTCUSDT", "ETHUSDT") as server:
        seen = visit()
        page = seen.open(server.link)
        assert not page.is_visible("text=Add books")
        assert not page.is_visible(".rows .line .act button")
        page.click("text=Manage …")
        for token, words in ((READ, "may only read"), (OTHER, "does not know"), (ADMIN, "")):
            page.fill("dialog input", token)
            page.keyboard.press("Enter")
            if words:
                seen.until(words, "dialog")
        page.wait_for_selector("dialog", state="detached")
        page.click("text=Add books")
        page.fill("dialog textarea", "nexousdt, solusdt")
        page.click("dialog button:has-text('Add')")
        seen.until("Added 2 books.", "#notices")
        page.wait_for_function("() => document.querySelectorAll('.rows .line:not([hidden])').length === 4")
        page.click(".line:has-text('ETHUSDT') .act button")
        seen.until("Removed ETHUSDT on binance.com.", "#notices")
        page.wait_for_function("() => document.querySelectorAll('.rows .line:not([hidden])').length === 3")
        page.click(".notice:has-text('Removed') >> text=Undo")
        page.wait_for_function("() => document.querySelectorAll('.rows .line:not([hidden])').length === 4")
        assert server.asked == [
            ("begin_book", "NEXOUSDT"),
            ("begin_book", "SOLUSDT"),
            ("read_cluster", ""),
            ("end_book", "ETHUSDT"),
            ("begin_book", "ETHUSDT"),
        ]
        for where, text in seen.traces().items():
            assert ADMIN not in text, where
        assert ADMIN not in page.evaluate("JSON.stringify(sessionStorage)")
        page.reload()
        page.wait_for_selector(".rows .line:not([hidden])")
        assert not page.is_visible("text=Add books")


@pytest.mark.browser
def test_symbols_that_the_exchange_lists_are_offered(visit: Visits) -> None:
    with served("BTCUSDT", exchange=options(exchange_symbols="any")) as server:
        rows = [("BTCUSDT", "TRADING"), ("XBTCUSDT", "TRADING"), ("BTCEUR", "TRADING"), ("BTCOLD", "BREAK")]
        server.listed = {"symbols": [{"symbol": symbol, "status": status} for symbol, status in rows]}
        seen = visit()
        page = seen.open(f"{server.url}/#token={ADMIN}")
        page.click("text=Add books")
        page.focus("dialog textarea")
        page.keyboard.type("ethusdt, btc")
        page.wait_for_selector(".offers button")
        assert seen.text(".offers").split() == ["BTCEUR", "XBTCUSDT"]
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.input_value("dialog textarea") == "ethusdt, BTCEUR, "
        assert page.evaluate("document.activeElement.name") == "symbols"
        assert seen.text(".offers") == ""
        page.keyboard.type("x")
        page.wait_for_selector(".offers button")
        assert [route for route, _ in server.asked] == ["exchange_info"]


@pytest.mark.browser
def test_books_are_added_by_name_where_the_server_lists_none(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        page = seen.open(f"{server.url}/#token={ADMIN}")
        page.click("text=Add books")
        with page.expect_response("**/eapi/v1/exchangeInfo") as response:
            page.fill("dialog textarea", "ethusdt")
        assert response.value.status == 404
        assert seen.text(".offers") == ""
        page.click("dialog button:has-text('Add')")
        seen.until("Added ETHUSDT on binance.com.", "#notices")


@pytest.mark.browser
def test_who_signs_in_with_the_admin_token_manages_at_once(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        page = visit().open(f"{server.url}/#token={ADMIN}")
        page.wait_for_selector("text=Add books")
        assert not page.is_visible("text=Manage …")


# --- one book, snippets, the server -------------------------------------------------------------


def test_the_page_of_a_book_shows_its_figures_and_every_chart(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        page = seen.open(server.link)
        page.click(".name")
        page.wait_for_selector(".book[data-live=true]")
        seen.until("1,000.01", ".fact.ask")
        assert "0.02" in seen.text(".fact.spread")
        page.wait_for_function("() => document.querySelectorAll('.card .host canvas').length >= 5")
        server.move("BTCUSDT", "1000.00", "5")
        seen.until("1,000.00", ".fact.bid")
        assert seen.text(".fact.id dd") == "101"
        server.lose("BTCUSDT")
        page.wait_for_selector(".book[data-live=false]")
        assert "sequence gap" in seen.text(".book .bar")


@pytest.mark.browser
def test_a_chart_that_comes_after_the_book_shows_a_quiet_market(visit: Visits) -> None:
    with served("BTCUSDT", heartbeat_s=3_600) as server:
        seen = visit()
        held: list[Any] = []
        seen.page.route("**/page/charts/lines.js", lambda route: held.append(route))
        seen.page.add_init_script("""
            window.texts = [];
            const { fillText } = CanvasRenderingContext2D.prototype;
            CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
                if (this.canvas.closest?.('.card.lines')) texts.push(text);
                fillText.call(this, text, ...rest);
            };
        """)
        page = seen.open(server.link)
        with page.expect_request("**/page/charts/lines.js"):
            page.click(".name")
            page.wait_for_selector(".book[data-live=true]")
        held[0].continue_()
        page.wait_for_function("() => texts[texts.indexOf('Spread') + 1] === '0.02'")


@pytest.mark.browser
def test_what_a_reader_does_before_the_controls_are_there_is_done_then(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        held: list[Any] = []
        seen.page.route("**/page/charts/controls/ladder.js", lambda route: held.append(route))
        page = seen.open(server.link)
        with page.expect_request("**/page/charts/controls/ladder.js"):
            page.click(".name")
        ladder = ".card.ladder canvas"
        page.click(ladder, position={"x": 60, "y": 200})
        assert "Choose a price" in seen.text(".card.ladder .host")
        for each in held:
            each.continue_()
        seen.until("to 1,000.", ".card.ladder .host")
        assert page.get_attribute(ladder, "aria-label").startswith("Ladder. Up and down")


@pytest.mark.browser
def test_a_book_that_is_not_held_says_so_and_comes_when_it_does(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        seen.open(server.link)
        seen.go("#/books/binance.com/ETHUSDT")
        seen.until("not held", ".pill")
        assert seen.page.is_visible("text=Back to all books")
        assert not seen.page.is_visible(".book .host")
        assert not seen.page.is_visible(".book .facts")
        server.add("ETHUSDT")
        seen.page.wait_for_selector(".book[data-live=true]")
        seen.page.wait_for_selector(".book .host canvas")
        assert not seen.page.is_visible("text=Back to all books")


def test_a_lost_connection_is_resumed_after_the_last_id(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        page = seen.open(server.link)
        page.click(".name")
        page.wait_for_selector(".book[data-live=true]")
        server.move("BTCUSDT", "1000.00", "4")
        seen.until("101", ".fact.id")
        got: list[str] = []
        page.on("websocket", lambda socket: socket.on("framereceived", lambda text: got.append(str(text))))
        page.evaluate("import('/page/stream.js').then(({stream}) => stream.lost('cut by the test'))")
        seen.until("disconnected", ".pill")
        server.move("BTCUSDT", "1000.00", "5")
        seen.until("102", ".fact.id")
        kinds = [text[:17] for text in got if '"view":"latest,all"' in text and '"exchange"' in text]
        assert kinds == ['{"type":"update",']
        assert page.get_attribute(".book", "data-live") == "true"


@pytest.mark.browser
def test_a_quiet_book_is_live_again_after_a_lost_connection(visit: Visits) -> None:
    with served("BTCUSDT", heartbeat_s=0.2) as server:
        seen = visit()
        page = seen.open(server.link)
        page.click(".name")
        page.wait_for_selector(".book[data-live=true]")
        page.evaluate("import('/page/stream.js').then(({stream}) => stream.lost('cut by the test'))")
        seen.until("disconnected", ".pill")
        seen.until("synced", ".pill")
        assert page.get_attribute(".book", "data-live") == "true"


@pytest.mark.browser
def test_an_address_with_an_invalid_escape_is_a_book_that_is_not_held(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        page = seen.open(server.link)
        page.goto(f"{server.url}/#/books/binance.com/%E0%A4%A")
        page.reload()
        seen.until("not held", ".pill")
        page.keyboard.press("Escape")
        page.wait_for_selector(".rows .line:not([hidden])")


@pytest.mark.browser
def test_a_book_that_breaks_each_time_is_not_asked_for_at_each_update(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        page = visit().open(server.link)
        asked = page.evaluate("""async () => {
            const { BookView } = await import('/page/bookview.js');
            const { stream } = await import('/page/stream.js');
            let [nowMs, asked] = [10_000, 0];
            performance.now = () => nowMs;
            stream.subscribe = () => ({ close() {}, number: (asked += 1) });
            const view = new BookView('binance.com', 'BTCUSDT');
            document.body.append(view.element);
            view.show();
            const bad = { type: 'update', previous: 5, id: 6, bids: [], asks: [], complete: true };
            const counts = [asked];
            view.take(bad);
            view.take(bad);
            counts.push(asked); // just subscribed: later
            nowMs += 10_000;
            view.take(bad);
            counts.push(asked); // broken for the first time in a while: now
            view.take(bad);
            counts.push(asked);
            view.hide();
            return counts;
        }""")
        assert asked == [1, 1, 2, 2]


@pytest.mark.browser
def test_a_hidden_page_keeps_no_more_updates_than_its_rate_needs(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        page = visit().open(server.link)
        kept = page.evaluate("""async () => {
            const { BookView } = await import('/page/bookview.js');
            const view = new BookView('binance.com', 'BTCUSDT');
            document.body.append(view.element);
            view.show();
            let nowMs = 0;
            performance.now = () => nowMs;
            const times = { event_time_us: 1, received_time_us: 1 };
            const levels = { bids: [['1', '1']], asks: [['2', '1']], complete: true, ...times };
            view.take({ type: 'snapshot', status: 'synced', reason: '', since_time_us: 1, id: 1, ...levels });
            for (let id = 2; id < 1_000; id += 1) {
                nowMs += 100;
                view.take({ type: 'update', previous: id - 1, id, skipped: 0, ...levels });
            }
            view.hide();
            return view.updates.length;
        }""")
        assert kept == 51


@pytest.mark.browser
def test_snippets_are_made_from_the_document_and_tried(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        page = seen.open(server.link)
        seen.go("#/snippets")
        seen.until("/v1/books/binance.com/BTCUSDT?levels=5", ".code")
        for language, words in (
            ("Python", "urllib.request"),
            ("JavaScript", "await fetch"),
            ("curl", "curl -H"),
        ):
            page.click(f"text={language}")
            assert words in seen.text(".code")
        for operation, words in (
            ("read_best", '"update_id": 100'),
            ("stream_books", "event: snapshot"),
            ("open_socket", '"type": "snapshot"'),
            ("check_health", "ok"),
        ):
            page.select_option("select[aria-label=Operation]", operation)
            page.click("text=Try it")
            if operation in ("stream_books", "open_socket"):
                while not page.is_visible(".answer"):
                    server.move("BTCUSDT", "1000.00", str(1 + server.ids["BTCUSDT"] % 7))
            page.wait_for_selector(".answer:not([hidden])")
            assert words in seen.text(".answer")
        page.select_option("select[aria-label=Operation]", "end_book")
        assert page.is_disabled("text=Try it")


@pytest.mark.browser
def test_about_says_the_version_and_that_a_newer_one_is_installed(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        server.native.set_versions("1.2.3", "1.3.0")
        seen = visit()
        seen.open(server.link)
        seen.go("#/about")
        seen.until("depthcache 1.2.3", ".about")
        seen.until("1.3.0 is installed: restart to run it", ".badge")
        seen.until("This page can read books, but not change them.", ".about")
        seen.page.click("text=Manage …")
        seen.page.fill("dialog input", ADMIN)
        seen.page.keyboard.press("Enter")
        seen.until("This page can add and remove books.", ".about")
        seen.until("1 WebSocket\n", ".cards")
        seen.until("since the start", ".panel:nth-child(3)")
        server.native.set_versions("1.3.0", "1.3.0")
        seen.page.wait_for_selector(".about .badge", state="detached")


@pytest.mark.browser
def test_a_server_that_refuses_is_asked_once_a_second_and_the_reason_is_shown(visit: Visits) -> None:
    with served("BTCUSDT") as server:
        seen = visit()
        error = json.dumps(
            {"error": {"code": "too_many_requests", "message": "more than 5 requests a second"}}
        )
        asked: list[str] = []

        def refuse(route: Any) -> None:
            asked.append(route.request.url)
            route.fulfill(status=429, content_type="application/json", body=error)

        seen.page.route("**/v1/books?*", refuse)
        seen.page.goto(server.link)
        seen.until("more than 5 requests a second", ".empty")
        frame = "new Promise(requestAnimationFrame)"
        before = len(asked)
        for _ in range(5):
            seen.page.evaluate(frame)
        assert len(asked) <= before + 1
        seen.page.unroute("**/v1/books?*")
        seen.page.wait_for_selector(".rows .line:not([hidden])")

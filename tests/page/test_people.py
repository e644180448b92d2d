"""The live page for everybody: keyboard only, phones, both themes, screen readers, and no foreign page."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.page.accessibility import faults
from tests.page.browsing import Served, Visit, served
from tests.server.asking import ADMIN, READ

pytestmark = [pytest.mark.slow, pytest.mark.browser]

VIEWS = {
    "books": ("#/", ".rows .line:not([hidden])"),
    "book": ("#/books/binance.com/BTCUSDT", ".book[data-live=true]"),
    "snippets": ("#/snippets", ".fields .field"),
    "about": ("#/about", ".about .panel"),
}
Visits = Callable[..., Visit]


@pytest.fixture
def server() -> Iterator[Served]:
    with served("BTCUSDT", "ETHUSDT", "NEXOUSDT") as made:
        yield made


def show(seen: Visit, view: str) -> Any:
    address, selector = VIEWS[view]
    seen.go(address)
    seen.page.wait_for_selector(selector)
    return seen.page


# --- keyboard ---------------------------------------------------------------------------------


def test_the_keyboard_alone_filters_opens_a_book_and_comes_back(visit: Visits, server: Served) -> None:
    page = visit().open(server.link)
    page.keyboard.press("/")
    page.keyboard.type("usdt")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.inner_text(".line[aria-selected=true] .name") == "ETHUSDT"
    assert page.get_attribute(".scroller", "aria-activedescendant") == "row-1"
    page.keyboard.press("Enter")
    page.wait_for_selector(".book")
    assert page.url.endswith("#/books/binance.com/ETHUSDT")
    page.keyboard.press("Escape")
    page.wait_for_selector(".rows .line:not([hidden])")
    assert page.evaluate("document.activeElement.className") == "scroller"


@pytest.mark.parametrize(("key", "chosen"), [("ArrowDown", "BTCUSDT"), ("End", "NEXOUSDT")])
def test_arrows_move_in_the_table_as_soon_as_it_is_there(
    visit: Visits, server: Served, key: str, chosen: str
) -> None:
    page = visit().open(server.link)
    assert page.evaluate("document.activeElement === document.body")
    page.keyboard.press(key)
    assert page.inner_text(".line[aria-selected=true] .name") == chosen
    assert page.evaluate("document.activeElement.className") == "scroller"


def test_undo_by_keyboard_keeps_the_place_on_the_page(visit: Visits, server: Served) -> None:
    seen = visit()
    page = seen.open(f"{server.url}/#token={ADMIN}")
    page.wait_for_selector("text=Add books")
    page.focus(".scroller")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Delete")
    page.focus(".notice >> text=Undo")
    page.keyboard.press("Enter")
    seen.until("Added BTCUSDT", "#notices")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("view", VIEWS)
def test_tab_reaches_every_control_and_focus_is_seen(visit: Visits, server: Served, view: str) -> None:
    seen = visit()
    seen.open(f"{server.url}/#token={ADMIN}")
    page = show(seen, view)
    page.evaluate("document.activeElement.blur()")
    wanted = page.evaluate("""() => [...document.querySelectorAll(
        'a[href], button, input, select, textarea, summary, [tabindex="0"]')]
        .filter(e => e.checkVisibility() && !e.disabled && e.tabIndex >= 0).length""")
    reached, unseen = set(), []
    for _ in range(wanted + 10):
        page.keyboard.press("Tab")
        where = page.evaluate("""() => {
            const at = document.activeElement, style = getComputedStyle(at);
            if (at === document.body) return null;
            at.dataset.reached ??= String(document.querySelectorAll('[data-reached]').length);
            const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
            return [at.dataset.reached, ring || at.className === 'skip', at.outerHTML.slice(0, 80)];
        }""")
        if where is not None:
            reached.add(where[0])
            if not where[1]:
                unseen.append(where[2])
    assert unseen == []
    assert len(reached) >= wanted


# --- widths and themes --------------------------------------------------------------------------


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_view_is_wider_than_a_small_screen(visit: Visits, server: Served, width: int) -> None:
    seen = visit(viewport={"width": width, "height": 800})
    page = seen.open(server.link)
    for view in VIEWS:
        show(seen, view)
        wide = page.evaluate("""() => [...document.querySelectorAll('body *')]
            .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1
                && !e.closest('pre') && getComputedStyle(e).position !== 'absolute')
            .map(e => e.outerHTML.slice(0, 80))""")
        assert wide == [], view
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
def test_no_view_is_higher_than_the_window_and_scrolls_into_nothing(
    visit: Visits, server: Served, size: tuple[int, int]
) -> None:
    seen = visit(viewport={"width": size[0], "height": size[1]})
    seen.open(server.link)
    for view in VIEWS:
        page = show(seen, view)
        assert page.evaluate("document.documentElement.scrollHeight") == size[1], view
        assert page.evaluate("document.body.scrollHeight") == size[1], view


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", [*VIEWS, "sign in", "manage", "trouble", "tiles"])
def test_axe_finds_nothing(visit: Visits, server: Served, view: str, scheme: str) -> None:
    seen = visit(color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    if view == "sign in":
        page = seen.open(f"{server.url}/#token=dcr_wrong_wrong_wrong", waits=False)
        page.wait_for_selector(".signin")
    else:
        page = seen.open(f"{server.url}/#token={ADMIN if view == 'manage' else READ}")
        seen.until("3 synced", ".census")
    if view in VIEWS:
        show(seen, view)
    elif view == "manage":
        page.click("text=Add books")
        page.wait_for_selector("dialog[open]")
    elif view == "tiles":
        page.click("text=Tiles")
        seen.until("1,000.03", ".tile")
    elif view == "trouble":
        server.lose("ETHUSDT")
        seen.until("2 synced", ".census")
        page.wait_for_selector(".line:not([data-tone=good])")
    assert faults(page) == []


def test_the_theme_follows_the_system_until_one_is_chosen(visit: Visits, server: Served) -> None:
    seen = visit(color_scheme="dark")
    page = seen.open(server.link)
    surface = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(surface)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(surface)
    assert light != dark
    page.keyboard.press("t")  # light
    page.keyboard.press("t")  # dark
    assert page.evaluate(surface) == dark
    page.reload()
    page.wait_for_selector(".rows .line:not([hidden])")
    assert page.evaluate(surface) == dark


@pytest.mark.parametrize(
    ("motion", "animation", "transition"), [("reduce", "none", "0s"), ("no-preference", "rise", "0.12s")]
)
def test_nothing_moves_by_itself_for_those_who_asked_for_that(
    visit: Visits, server: Served, motion: str, animation: str, transition: str
) -> None:
    page = visit(reduced_motion=motion).open(f"{server.url}/#token={ADMIN}")
    page.click(".line:has-text('ETHUSDT') .act button")
    page.wait_for_selector(".notice")
    assert page.evaluate("getComputedStyle(document.querySelector('.notice')).animationName") == animation
    duration = page.evaluate("getComputedStyle(document.querySelector('button')).transitionDuration")
    assert duration.split(",")[0] == transition
    if motion == "reduce":
        assert page.evaluate("document.getAnimations().length") == 0


def test_what_is_chosen_and_current_is_seen_in_the_colours_of_the_system(
    visit: Visits, server: Served
) -> None:
    seen = visit(forced_colors="active")
    page = seen.open(server.link)
    page.focus(".scroller")
    page.keyboard.press("ArrowDown")
    outline = "selector => getComputedStyle(document.querySelector(selector)).outlineStyle"
    assert page.evaluate(outline, ".line[aria-selected=true]") == "solid"
    assert page.evaluate(outline, ".tab[aria-current]") == "solid"
    assert page.evaluate(outline, ".tab:not([aria-current])") == "none"
    show(seen, "book")
    page.wait_for_selector("button[aria-pressed=true]")
    assert page.evaluate(outline, "button[aria-pressed=true]") == "solid"
    assert page.evaluate(outline, "button[aria-pressed=false]") == "none"


# --- a foreign page -----------------------------------------------------------------------------

HOSTILE = """<!doctype html><meta charset="utf-8"><iframe name="sink"></iframe><script type="module">
const base = "{url}", token = "{token}", found = {{}};
const attempt = async (name, act) => {{
  try {{ found[name] = String(await act()); }} catch (error) {{ found[name] = "failed"; }}
}};
const headers = {{ Authorization: `Bearer ${{token}}` }};
const path = `${{base}}/v1/books/binance.com/BTCUSDT`;
await attempt("read", async () => (await fetch(path)).status);
await attempt("read with token", async () => (await fetch(path, {{ headers }})).status);
await attempt("read blind", async () => (await (await fetch(path, {{ mode: "no-cors" }})).text()).length);
await attempt("page", async () => (await fetch(base)).status);
const evil = `${{base}}/v1/books/binance.com/EVIL`;
await attempt("create", async () => (await fetch(evil, {{ method: "PUT", headers }})).status);
await attempt("remove", async () => (await fetch(path, {{ method: "DELETE", headers }})).status);
await attempt("post", async () => (await fetch(path, {{ method: "POST", mode: "no-cors", body: "x" }})).type);
await attempt("module", () => import(`${{base}}/page/session.js`));
await attempt("script", () => new Promise((resolve, reject) => {{
  const script = document.createElement("script");
  Object.assign(script, {{ src: `${{base}}/page/dom.js`, onload: () => resolve("loaded"), onerror: reject }});
  document.head.append(script);
}}));
await attempt("image", () => new Promise((resolve, reject) => {{
  const image = new Image();
  Object.assign(image, {{ onload: () => resolve("loaded"), onerror: reject }});
  image.src = `${{base}}/page/icon.svg`;
}}));
await attempt("socket", () => new Promise((resolve, reject) => {{
  const socket = new WebSocket(base.replace("http", "ws") + "/v1/ws");
  socket.onopen = () => resolve("open");
  socket.onerror = reject;
}}));
await attempt("events", () => new Promise((resolve, reject) => {{
  const source = new EventSource(`${{base}}/v1/stream?symbols=BTCUSDT`);
  source.onopen = () => resolve("open");
  source.onerror = reject;
}}));
await attempt("frame", () => new Promise((resolve, reject) => {{
  const frame = document.createElement("iframe");
  frame.src = base;
  frame.onload = () => {{
    try {{ resolve(frame.contentDocument === null ? "failed" : "readable"); }} catch {{ reject(); }}
  }};
  document.body.append(frame);
}}));
window.found = found;
</script>"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_gets_nothing(visit: Visits, server: Served, host: str) -> None:
    class Hostile(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(HOSTILE.format(url=server.url, token=ADMIN).encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        seen = visit()
        seen.open(server.link)  # the victim is signed in, in the same browser
        tab = seen.context.new_page()
        tab.goto(f"http://{host}:{other.server_port}/")
        tab.wait_for_function("() => window.found !== undefined")
        found = tab.evaluate("found")
        other.shutdown()
    blind = {"read blind": "0", "post": "opaque"}  # refused by the server, which the page cannot see
    assert {name: how for name, how in found.items() if how != "failed" and blind.get(name) != how} == {}, (
        json.dumps(found)
    )
    assert server.asked == []
    assert list(server.books) == ["BTCUSDT", "ETHUSDT", "NEXOUSDT"]

"""The charts of the live page in Chromium: a known book gives known pixels; and their logic under node."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from depthcache import server

HERE = Path(__file__).parent
PAGE = Path(server.__file__).parent / "page"
LOGIC = HERE / "logic.test.mjs"
MOST_BYTES = 60 * 1024
KINDS = ("Ladder", "Depth", "Heatmap", "Lines", "Latency")
BOOK = "snapshot({ 99.9: 8, 99.8: 4, 99.5: 2 }, { 100.1: 4, 100.2: 8, 100.6: 1 }); draw();"
BLANK = b'<!doctype html><html lang="en"><link rel="stylesheet" href="/page/style.css"><body></body>'


class Files(SimpleHTTPRequestHandler):
    """The files of the page under /page/, stage.js, and an empty page."""

    def translate_path(self, path: str) -> str:
        return str(PAGE / path.removeprefix("/page/") if path.startswith("/page/") else HERE / path[1:])

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(BLANK)))
        self.end_headers()
        self.wfile.write(BLANK)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Stage:
    """An empty page on which a test puts one chart after the other."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 900, "height": 700}, **options)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)

    def put(self, kind: str, **options: Any) -> None:
        script = "async ([kind, options]) => (await import('/stage.js')).put(kind, options)"
        self.page.evaluate(script, [kind, options])

    def run(self, script: str) -> Any:
        """What a script returns that may use what stage.js left."""
        return self.page.evaluate(f"() => {{ {script} }}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as served:
        threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}/"
        served.shutdown()


@pytest.fixture(scope="module")
def stages(browser: Any, address: str) -> Iterator[dict[str, Stage]]:
    made = {
        "plain": Stage(browser, address, color_scheme="dark"),
        "sharp": Stage(browser, address, device_scale_factor=2.5),
    }
    yield made
    for stage in made.values():
        stage.context.close()


@pytest.fixture
def stage(stages: dict[str, Stage]) -> Iterator[Stage]:
    yield stages["plain"]
    assert stages["plain"].errors == []


@pytest.fixture
def sharp_stage(stages: dict[str, Stage]) -> Iterator[Stage]:
    yield stages["sharp"]
    assert stages["sharp"].errors == []


@pytest.mark.slow
def test_the_logic_of_the_page_under_node() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("the logic of the page was not tested: install node")
    command = [node, "--experimental-detect-module", "--test", str(LOGIC)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout
    passed = re.search(r"pass (\d+)", ran.stdout)
    assert passed
    assert int(passed[1]) == LOGIC.read_text("utf-8").count('\ntest("')


def test_the_charts_are_small() -> None:
    files = [PAGE / "book.js", *sorted((PAGE / "charts").rglob("*.js"))]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) <= MOST_BYTES


def test_the_ladder_has_a_bar_for_each_quantity(stage: Stage) -> None:
    stage.put("Ladder", settings={"group": 1})
    bars = stage.run(f"""{BOOK}
        const room = 200 - chart.half - 4;
        const empty = colour(3, rowAt(99.7));
        // How far a bar reaches from the prices, in pixels.
        const reach = (price, sign) => {{
            const edge = 200 + sign * chart.half - (sign < 0 ? 1 : 0);
            let wide = 0;
            while (wide < room && colour(edge + sign * wide, rowAt(price)) !== empty) wide += 1;
            return (wide / room) * chart.scale;
        }};
        return [reach(99.9, -1), reach(99.8, -1), reach(99.7, -1), reach(100.1, 1), reach(100.2, 1)];
    """)
    assert bars == pytest.approx([8, 4, 0, 4, 8], abs=0.1)


def test_the_ladder_draws_only_rows_that_changed(stage: Stage) -> None:
    stage.put("Ladder", settings={"group": 1})
    drawn = stage.run(f"""{BOOK}
        draw();
        const groups = [];
        const paintRow = chart.paintRow;
        chart.paintRow = (y, group, ...rest) => {{
            groups.push(group);
            paintRow.call(chart, y, group, ...rest);
        }};
        update({{ 99.8: 5 }}, {{}});
        draw(16);
        const first = groups.splice(0);
        draw(5000);
        groups.splice(0);
        draw(16);
        draw(16);
        return [first, groups];
    """)
    assert drawn == [[998], []]


@pytest.mark.parametrize("cumulative", [False, True])
def test_rows_drawn_one_by_one_are_those_of_a_whole_drawing(stage: Stage, cumulative: bool) -> None:
    stage.put("Ladder", settings={"group": 1, "cumulative": cumulative})
    wrong = stage.run(f"""{BOOK}
        let seed = 7;
        const roll = (most) => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) % 997 % most;
        const picture = () => new Uint32Array(chart.context.getImageData(0, 0, 400, 450).data.buffer);
        for (let round = 0; round < 40; round += 1) {{
            const mid = 1000 + Math.round(8 * Math.sin(round / 9));
            const level = (sign) => ({{ [((mid + sign * (1 + roll(9))) / 10).toFixed(1)]: roll(3) }});
            const crossed = (sign) => ({{ [((mid - sign * roll(2)) / 10).toFixed(1)]: 0 }});
            update({{ 95: 1, ...level(-1), ...crossed(-1) }}, {{ 105: 1, ...level(1), ...crossed(1) }});
            if (round % 7 === 3) chart.point(0, rowAt(99.9 + roll(3) / 10));
            if (round % 11 === 5) chart.choosePrice(mid + roll(9) - 4);
            draw([16, 100, 400, 2000][roll(4)]);
            const drawn = picture();
            chart.drawn = [];
            chart.change();
            draw(0);
            const whole = picture();
            if (drawn.some((value, i) => value !== whole[i])) return round;
        }}
        return null;
    """)
    assert wrong is None


def test_changes_fade_unless_the_reader_wants_no_motion(stage: Stage) -> None:
    for motion in ("reduce", "no-preference"):
        stage.page.emulate_media(reduced_motion=motion)
        stage.put("Ladder", settings={"group": 1})
        stage.page.wait_for_function("(isStill) => theme.isStill === isStill", arg=motion == "reduce")
        is_same = stage.run(f"""{BOOK}
            const at = () => colour(200 - chart.half + 2, rowAt(99.5));
            const before = at();
            update({{ 99.5: 2.1 }}, {{}});
            draw(16);
            const during = at();
            for (let i = 0; i < 10; i += 1) draw(100);
            return [before === during, before === at()];
        """)
        assert is_same == [motion == "reduce", True]


def test_a_change_covers_no_bar(stage: Stage) -> None:
    stage.page.emulate_media(reduced_motion="no-preference")
    stage.put("Ladder", settings={"group": 1})
    stage.page.wait_for_function("() => !theme.isStill")
    reach = stage.run(f"""{BOOK}
        update({{ 99.5: 2.1 }}, {{ 100.6: 0.9 }});
        draw(16);
        const empty = colour(3, rowAt(99.7));
        const free = (x, price) => colour(x, rowAt(price)) === empty;
        const room = 200 - chart.half - 4;
        const wide = (size) => Math.round(Math.min(1, size / chart.scale) * room);
        return [free(200 - chart.half - wide(2.1) - 2, 99.5), free(200 + chart.half + wide(0.9) + 2, 100.6)];
    """)
    assert reach == [True, True]


def test_levels_that_are_not_proven_are_dimmed_and_hatched(stage: Stage) -> None:
    stage.put("Ladder", settings={"group": 1})
    is_hatched = stage.run("""
        snapshot({ 99.9: 8, 99.5: 2 }, { 100.1: 4 }, { complete: false });
        book.completeTo = { bids: "99.7", asks: "all" };
        draw();
        return [99.8, 99.7, 99.6, 99.4].map((price) => colours(4, rowAt(price), 30, 12) > 1);
    """)
    assert is_hatched == [False, False, True, True]


def test_rows_are_grouped_by_the_multiple_that_was_chosen(stage: Stage) -> None:
    stage.put("Ladder", settings={"group": 1})
    bids, asks, said = stage.run(f"""{BOOK}
        chart.set({{ group: 5 }});
        draw();
        const first = chart.top - chart.count + 1;
        const held = (sums) => [...sums].flatMap((sum, i) => (sum ? [[first + i, sum]] : []));
        return [held(chart.bids), held(chart.asks), chart.describe()];
    """)
    assert (bids, asks) == ([[199, 14]], [[201, 12], [202, 1]])
    assert said == "Ladder: bid 8 at 99.9, ask 4 at 100.1, rows of 0.5."


def test_centred_rows_follow_the_price_and_frozen_ones_stay(stage: Stage) -> None:
    for centred in (True, False):
        stage.put("Ladder", settings={"group": 1, "centred": centred})
        moved = stage.run(f"""{BOOK}
            const top = chart.top;
            update({{ 109.9: 8 }}, {{ 100.1: 0, 100.2: 0, 100.6: 0, 110.1: 3 }});
            draw();
            return chart.top - top;
        """)
        assert moved == (100 if centred else 0)


def test_the_keys_show_the_cost_to_get_to_a_price(stage: Stage) -> None:
    stage.put("Ladder", settings={"group": 1})
    stage.run(f"""{BOOK}
        window.chosen = [];
        host.addEventListener("settings", ({{ detail }}) => chosen.push(detail));
        chart.canvas.focus();
    """)
    stage.press("ArrowUp", "ArrowUp")
    spoken, shown, price = stage.run("""draw();
        return [chart.canvas.ariaValueText, chart.foot.textContent, Number(chart.canvas.ariaValueNow)];
    """)
    assert spoken == shown == "Buy to 100.2: 12 for 1,202\naverage 100.2, slippage 16.67 bp"
    assert price == 100.2
    stage.press("+", "f", "c", "Escape")
    assert stage.run("return chosen;") == [{"group": 2}, {"centred": False}, {"cumulative": True}]
    assert stage.run("draw(); return chart.foot.textContent;") == "Choose a price for the cost to get there."


def test_a_click_chooses_a_price_and_another_one_lets_go(stage: Stage) -> None:
    stage.put("Ladder", settings={"group": 1})
    y = stage.run(f"{BOOK} return host.getBoundingClientRect().top + rowAt(99.8);")
    stage.page.mouse.click(100, y)
    shown = "draw(); return chart.foot.textContent;"
    assert stage.run(shown) == "Sell to 99.8: 12 for 1,198\naverage 99.9, slippage 13.33 bp"
    stage.page.mouse.click(100, y)
    stage.page.mouse.move(850, 650)
    assert stage.run(shown) == "Choose a price for the cost to get there."


def test_a_ladder_needs_one_side_only(stage: Stage) -> None:
    stage.put("Ladder", settings={"group": 1})
    held, said, cost, other = stage.run(f"""{BOOK}
        update({{}}, {{ 100.1: 0, 100.2: 0, 100.6: 0 }});
        draw();
        chart.choosePrice(chart.bestAsk);
        chart.choosePrice(998);
        const found = [Math.max(...chart.asks), chart.describe(), chart.costText()];
        snapshot({{}}, {{ 100.1: 4, 100.2: 8 }});
        draw();
        chart.choosePrice(1002);
        return [...found, chart.costText()];
    """)
    assert held == 0
    assert other == "Buy to 100.2: 12 for 1,202\naverage 100.2"
    assert said == "Ladder: bid 8 at 99.9, ask none, rows of 0.1."
    assert cost == "Sell to 99.8: 12 for 1,198\naverage 99.9"


@pytest.mark.parametrize("kind", ["Ladder", "Heatmap"])
def test_no_price_below_zero_is_shown(stage: Stage, kind: str) -> None:
    stage.put(kind, settings={"group": 1})
    texts = stage.run("""const texts = keepTexts();
        snapshot({ 0.00000001: 1000000000000 }, { 0.00000002: 1 });
        draw();
        return texts;
    """)
    assert "0.00000001" in texts
    assert [each for each in texts if each.startswith("\N{MINUS SIGN}")] == []


@pytest.mark.parametrize(("kind", "said"), [("Depth", "Depth"), ("Heatmap", "Depth over time")])
def test_words_of_a_chart_say_that_one_side_is_empty(stage: Stage, kind: str, said: str) -> None:
    stage.put(kind)
    words = stage.run("snapshot({ 99.9: 8 }, {}); draw(); return chart.describe();")
    assert words == f"{said}: one side has no levels."


@pytest.mark.parametrize("kind", ["Depth", "Heatmap", "Lines"])
def test_a_chart_of_both_sides_says_that_one_is_empty(stage: Stage, kind: str) -> None:
    stage.put(kind)
    texts = stage.run(f"""{BOOK}
        const texts = keepTexts();
        update({{}}, {{ 100.1: 0, 100.2: 0, 100.6: 0 }});
        draw();
        return texts.join(" ");
    """)
    assert "one side has no levels" in texts


@pytest.mark.parametrize("kind", KINDS[:4])
def test_a_book_that_does_not_count_is_not_shown_as_if_it_did(stage: Stage, kind: str) -> None:
    stage.put(kind)
    texts, said = stage.run(f"""{BOOK}
        const texts = keepTexts();
        book.lose("the server is gone");
        chart.changed({{ type: "state" }});
        draw();
        return [texts.join(" "), chart.describe()];
    """)
    assert "disconnected: the server is gone" in texts
    assert said.endswith(": disconnected: the server is gone.")


def test_a_ladder_that_does_not_count_is_grey_and_its_label_covers_no_best_price(stage: Stage) -> None:
    stage.put("Ladder", settings={"group": 1})
    found = stage.run(f"""{BOOK}
        const {{ context }} = chart;
        const isGrey = () => {{
            const {{ data }} = context.getImageData(0, 72, 400, 370);
            let most = 0;
            for (let i = 0; i < data.length; i += 4) {{
                const pixel = data.slice(i, i + 3);
                most = Math.max(most, Math.max(...pixel) - Math.min(...pixel));
            }}
            return most < 40;
        }};
        const wasGrey = isGrey();
        book.lose("the server is gone");
        chart.changed({{ type: "state" }});
        let box;
        const {{ roundRect }} = context;
        context.roundRect = (x, y, wide, high, r) => {{
            box = [y, y + high];
            roundRect.call(context, x, y, wide, high, r);
        }};
        draw();
        return {{ wasGrey, isGrey: isGrey(), box, best: rowAt(100.1) }};
    """)
    assert not found["wasGrey"]
    assert found["isGrey"]
    assert 24 <= found["box"][0] < found["box"][1] < 80 < found["best"]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_drawn_while_nothing_changed(stage: Stage, kind: str) -> None:
    stage.put(kind, settings={"columnMs": 1e9})
    paints = stage.run(f"""{BOOK}
        const times = {{ received_time_us: 1e15, event_time_us: 1e15 }};
        update({{}}, {{ 100.1: 5 }}, times);
        draw();
        draw();
        draw(60_000);
        let paints = 0;
        chart.paint = () => (paints += 1);
        for (let i = 0; i < 5; i += 1) draw(1);
        const idle = paints;
        update({{}}, {{ 100.1: 6 }}, times);
        draw(500);
        return [idle, paints];
    """)
    assert paints == [0, 1]


@pytest.mark.parametrize(("frame_ms", "most"), [(20, 1), (500, 2)])
def test_two_slow_charts_take_turns_and_none_starves(stage: Stage, frame_ms: int, most: int) -> None:
    stage.put("Lines")
    painted, together = stage.run(f"""{BOOK}
        const charts = [chart, new chart.constructor(host, {{ theme, settings: {{}}, book }})];
        charts.forEach((each) => each.draw(1e7 - 200));
        const painted = [[], []];
        charts.forEach((each, i) => (each.paint = (nowMs) => painted[i].push(nowMs)));
        for (let frame = 0; frame < 40; frame += 1) {{
            charts.forEach((each) => (each.isDirty = true));
            charts.forEach((each) => each.draw(1e7 + {frame_ms} * frame));
        }}
        const both = painted[0].filter((nowMs) => painted[1].includes(nowMs));
        return [painted.map((times) => times.length), both.length];
    """)
    assert min(painted) >= (6 if frame_ms == 20 else 40)
    assert (together > 1) == (most == 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_chart_is_sharp_follows_its_host_and_leaves_nothing(sharp_stage: Stage, kind: str) -> None:
    sharp_stage.put(kind, width=321, height=403)
    wide, sizes, left = sharp_stage.run(f"""{BOOK}
        host.style.width = "390px";
        chart.resize();
        draw();
        const shown = [...host.querySelectorAll("canvas")].filter((each) => !each.hidden);
        const sizes = shown.map((each) => [each.width, Math.round(each.getBoundingClientRect().width * 2.5)]);
        chart.dispose();
        return [chart.canvas.width, sizes, host.childNodes.length];
    """)
    assert wide == 975
    assert [pixels for pixels, _ in sizes] == [shown for _, shown in sizes]
    assert left == 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_size_is_too_small(stage: Stage, kind: str) -> None:
    stage.put(kind, width=0, height=0)
    said = stage.run(f"""{BOOK}
        for (const [width, height] of [[44, 44], [60, 400], [400, 60], [1200, 41], [400, 500]]) {{
            Object.assign(host.style, {{ width: `${{width}}px`, height: `${{height}}px` }});
            chart.resize();
            update({{}}, {{ 100.1: 5 }});
            draw();
        }}
        return chart.describe();
    """)
    assert "NaN" not in said


def test_the_depth_is_the_sum_of_the_levels_and_hatched_beyond_what_is_proven(stage: Stage) -> None:
    stage.put("Depth", width=600, height=300)
    sums, is_hatched = stage.run("""
        snapshot({ 99: 3, 98: 1, 90: 1 }, { 101: 1, 102: 2, 110: 9 }, { complete: false });
        book.completeTo = { bids: "92", asks: "108" };
        draw();
        const x = (price) => Math.round(chart.x(price)) + 0.5;
        const empty = colour(x(100) + 3, 60);
        // The height of an area, as a quantity.
        const sum = (price) => {
            let y = chart.floor - 2;
            while (y > 12 && colour(x(price), y) !== empty) y -= 1;
            return (chart.floor - y) / (chart.floor - chart.y(1));
        };
        const isHatched = (price) => colours(x(price), 61, 12, 1) > 1;
        return [[98.5, 97.3, 101.5, 102.7].map(sum), [108.5, 100.1].map(isHatched)];
    """)
    assert sums == pytest.approx([3, 4, 1, 3], abs=0.12)
    assert is_hatched == [True, False]


def test_the_crosshair_of_the_depth_has_the_figures_of_both_sides(stage: Stage) -> None:
    stage.put("Depth", width=600, height=300)
    stage.run("snapshot({ 99: 3, 98: 1, 90: 1 }, { 101: 1, 102: 2, 110: 9 }); draw(); chart.canvas.focus();")
    stage.press(*["ArrowRight"] * 10)
    expected = "within 1.53 % of the mid; bids 3, slippage 100.00 bp; asks 1, slippage 100.00 bp"
    assert stage.run("draw(); return chart.spoken.textContent;") == expected
    stage.press("+")
    assert stage.run("const { half } = chart; draw(); return half / chart.half;") == pytest.approx(2)


def test_the_rows_of_the_heatmap_wait_for_the_news_of_what_is_proven(stage: Stage) -> None:
    stage.put("Heatmap")
    steps = stage.run("""
        chart.liveMs = Infinity; // so that no time runs out
        snapshot({ 99.99: 1, 90: 1 }, { 100.01: 1, 110: 1 }, { complete: false });
        draw();
        const before = chart.ring.step;
        book.completeTo = { bids: "99.8", asks: "100.3" };
        draw();
        return [before, chart.ring.step];
    """)
    assert steps == [0, 1]


@pytest.mark.parametrize(
    ("kind", "label", "chosen"),
    [
        ("Depth", "Zoom in", {"zoom": 2}),
        ("Depth", "Zoom out", {"zoom": 0.5}),
        ("Heatmap", "More prices", {"rows": 1000}),
        ("Heatmap", "Less time", {"zoom": 2}),
    ],
)
def test_buttons_zoom_for_readers_without_a_keyboard(
    stage: Stage, kind: str, label: str, chosen: dict[str, float]
) -> None:
    stage.put(kind, settings={"zoom": 1})
    stage.run(f"{BOOK} host.addEventListener('settings', ({{ detail }}) => (window.chosen = detail));")
    stage.page.click(f"button[aria-label='{label}']")
    assert stage.run("return window.chosen;") == chosen


def test_prices_with_more_decimals_move_no_row_of_the_heatmap(stage: Stage) -> None:
    stage.put("Heatmap")
    places, shown = stage.run("""
        snapshot({ 1000: 1, 900: 1 }, { 1001: 1, 1100: 1 });
        draw();
        const place = () => [chart.y(book.bids.units(0)), chart.ring.marks[2]];
        const before = place();
        update({ 999.75: 3 }, {});
        draw();
        const places = [before, place()];
        chart.point(chart.right - 2, before[0] - chart.floor / chart.view.rows / 2);
        return [places, chart.figures()[1]];
    """)
    assert places[0] == places[1]
    assert shown == "1,000.00"


def test_webgl_and_the_canvas_paint_the_same_heatmap(stage: Stage) -> None:
    stage.put("Heatmap")
    compared = stage.run("""remember();
        const painters = [painter(ShaderPainter), painter(PixelPainter)];
        const views = [{}, { stretch: 1, pool: 2, rows: 125, top: 60 }, { stretch: 1, pool: 3, height: 301 }];
        return views.map((more) => {
            const [one, other] = painters.map((each) => pixelsOf(each, view(more)));
            const different = one.filter((value, i) => Math.abs(value - other[i]) > 3).length;
            return [different / one.length, new Set(new Uint32Array(one.buffer)).size];
        });
    """)
    assert all(different < 0.002 for different, _ in compared), compared
    assert all(colours > 8 for _, colours in compared), compared


def test_the_canvas_moves_its_picture_as_if_it_had_painted_it_again(stage: Stage) -> None:
    stage.put("Heatmap")
    is_same = stage.run("""remember();
        return [[1, 3], [2, 1]].map(([pool, stretch]) => {
            let seen = view({ pool, stretch });
            const moving = painter(PixelPainter);
            pixelsOf(moving, seen);
            for (let step = 0; step < 9; step += 1) {
                if (step === 5) seen = { ...seen, top: 25 };
                chart.ring.writtenFrom = Infinity;
                update({ 99.5: step }, {});
                at(newest() + (step % 3));
                moving.paint(chart.ring, seen);
            }
            const moved = moving.context.getImageData(0, 0, seen.width, seen.height).data;
            return pixelsOf(painter(PixelPainter), seen).every((value, i) => value === moved[i]);
        });
    """)
    assert is_same == [True, True]


def test_a_gap_is_hatched_and_the_best_prices_are_lines(stage: Stage) -> None:
    stage.put("Heatmap")
    found = stage.run("""remember();
        const seen = view({ width: 162 }); // columns 0 to 80, two pixels each
        const data = new Uint32Array(pixelsOf(painter(PixelPainter), seen).buffer);
        const column = (number) => Array.from({ length: 90 }, (_, y) => data[y * 162 + 2 * number]);
        const gap = column(62);
        const { palette, ...lines } = chart.colours;
        const [bid, ask, surface] = [lines.bid, lines.ask, palette[0]].map(pixelOf);
        const count = (colour) => gap.slice(0, 80).filter((value) => value === colour).length;
        return {
            kinds: [59, 60, 63, 65, 67].map(kind),
            counts: [...new Set(gap)].map(count).sort(),
            isRepeated: gap.slice(0, 80).every((value, y) => value === gap[y + 8]),
            bid: column(75).flatMap((value, y) => (value === bid ? [y] : [])),
            dashes: [72, 73, 74, 75, 76, 77, 78, 79].filter((number) => column(number).includes(ask)).length,
            isEmpty: column(75)[0] === surface,
        };
    """)
    assert found["kinds"] == [1, 2, 2, 2, 1]
    assert (found["counts"], found["isRepeated"]) == ([20, 60], True)
    assert found["bid"] == [46, 47]  # row -1, where 20 of 40 rows in 90 pixels are above row 0
    assert 0 < found["dashes"] < 8
    assert found["isEmpty"]


def test_the_heatmap_goes_on_while_webgl_is_lost(stage: Stage) -> None:
    stage.put("Heatmap", width=500, height=300)
    stage.run("""remember();
        draw();
        window.extension = chart.webgl.gl.getExtension("WEBGL_lose_context");
        extension.loseContext();
    """)
    stage.page.wait_for_function("() => chart.webgl.isLost && (draw(), chart.pixels)")
    shown = "draw(); return [chart.webgl.canvas.hidden, chart.pixels.canvas.hidden];"
    assert stage.run(shown) == [True, False]
    stage.run("extension.restoreContext();")
    stage.page.wait_for_function("() => !chart.webgl.isLost")
    assert stage.run(shown) == [False, True]


def test_the_lines_show_a_gap_where_the_book_did_not_count(stage: Stage) -> None:
    stage.put("Lines", width=600, height=300, settings={"minutes": 1})
    gap, line, sampled, said = stage.run("""
        snapshot({ 99.9: 8, 99.8: 4, 99.5: 2 }, { 100.1: 4, 100.2: 8, 100.6: 1 });
        const sampled = chart.panels.map(({ series }) => series.latest);
        for (const { series, value } of chart.panels) {
            Object.assign(series, { newest: null, oldest: null });
            const at = (i) => (i >= 80 && i < 120 ? NaN : value(book));
            for (let i = 0; i < 200; i += 1) series.add(1e6 + 250 * i, at(i));
        }
        chart.draw(1e6 + 250 * 199);
        const x = (back) => Math.round(chart.right * (1 - back / 240));
        return [colours(x(110), 20, 20, 8) > 1, colours(x(60), 20, 20, 8) > 1, sampled, chart.describe()];
    """)
    assert (gap, line) == (True, False)
    assert sampled == pytest.approx([0.2, 1 / 27, 100.0333333])
    assert said == "Spread 0.2, Imbalance +0.04, Microprice 100.03."


def test_a_recording_has_no_latency_of_the_exchange(stage: Stage) -> None:
    stage.put("Latency")
    said, texts = stage.run(f"""{BOOK}
        book.isRecorded = true;
        const texts = keepTexts();
        const nowUs = Date.now() * 1000;
        update({{}}, {{ 100.1: 5 }}, {{ received_time_us: nowUs - 900, event_time_us: nowUs - 81e6 }});
        draw();
        return [chart.describe(), texts];
    """)
    assert said.count("recorded") == 2
    assert "exchange to server recorded" in said
    assert texts.count("recorded") == 2


def test_labels_of_latencies_that_are_near_do_not_cover_each_other(stage: Stage) -> None:
    stage.put("Latency")
    texts = stage.run(f"""{BOOK}
        const texts = keepTexts();
        const nowUs = Date.now() * 1000;
        update({{}}, {{ 100.1: 5 }}, {{ received_time_us: nowUs - 900, event_time_us: nowUs - 81e6 }});
        draw();
        return texts;
    """)
    assert "p50 p99" in texts
    assert "p99" not in texts


def test_latencies_are_counted_from_the_exchange_to_the_server_to_the_page(stage: Stage) -> None:
    stage.put("Latency")
    said, caveat = stage.run(f"""{BOOK}
        const nowUs = 1000 * (performance.timeOrigin + performance.now());
        const received_time_us = nowUs - 2e6;
        const send = (event_time_us) => update({{}}, {{}}, {{ received_time_us, event_time_us }});
        for (let i = 0; i < 99; i += 1) send(nowUs - 2.05e6);
        send(nowUs - 1e6);
        draw();
        return [chart.describe(), chart.caveat.textContent];
    """)
    parts = re.fullmatch(
        r"Latency: exchange to server (.*); server to page (.*); exchange to page (.*)\.", said
    )
    assert parts
    assert re.fullmatch(r"p50 [45]\d ms, p99 [45]\d ms, 1\.0 % below zero", parts[1])
    assert re.fullmatch(r"p50 [1-9]\.?\d? s, p99 [1-9]\.?\d? s", parts[2])
    assert "clock" in caveat

"""Draw the pictures of books in docs/pictures, and run the notebooks of examples/ and store what they show.

    python tools/picture_depth.py      writes docs/pictures/*.svg and examples/*.ipynb

Everything comes from the simulator, in virtual time and with a fixed seed: the same code writes the same
files. The notebooks are run as they are, without a kernel; only the market behind `blocking.connect` is the
simulator's.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from depthcache import Books, blocking
from depthcache.simulator import Pair, SimulatedExchange

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
NOTEBOOKS = ROOT / "examples"
SEED = 7
WARM_UP_S = 20
GREY = "#808080"
"""Of text in pictures: readable on white and on black."""
SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]


# --- pictures --------------------------------------------------------------------------------


def depth_chart(path: Path) -> None:
    """The depth chart of a book, as `book.plot()` draws it, for light and dark pages."""
    grey = dict.fromkeys(
        ["text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"], GREY
    )
    clear = {"axes.facecolor": "none", "savefig.facecolor": "none"}
    style = {"svg.fonttype": "none", "svg.hashsalt": "depthcache"}

    def draw(books: Books) -> None:
        image = io.StringIO()
        with mpl.rc_context(style | grey | clear):
            figure = Figure(figsize=(8, 4), layout="constrained")
            books["BTCUSDT"].plot(ax=figure.add_subplot())
            figure.savefig(image, format="svg", metadata={"Date": None, "Creator": None})
        path.write_text(_with_short_paths(image.getvalue()), "utf-8")

    _with_books(draw)


def tables(folder: Path) -> None:
    """What a notebook shows of a book and of several, as pictures: HTML inside SVG."""

    def draw(books: Books) -> None:
        book, several = books["BTCUSDT"]._repr_html_(), books._repr_html_() or ""
        (folder / "notebook-book.svg").write_text(_html_picture(book, 860, 350), "utf-8")
        (folder / "notebook-books.svg").write_text(_html_picture(several, 1060, 180), "utf-8")

    _with_books(draw, gap="ETHUSDT")


def _html_picture(html: str, width: int, height: int) -> str:
    """A card that is light or dark as the reader's system is."""
    size = f'width="{width}" height="{height}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}">
<style>
.card {{ background: #fff; color: #1f2328; font: 14px sans-serif; padding: 10px; border-radius: 6px; }}
@media (prefers-color-scheme: dark) {{ .card {{ background: #161b22; color: #e6edf3; }} }}
</style>
<foreignObject {size}>
<div xmlns="http://www.w3.org/1999/xhtml" class="card">{html}</div>
</foreignObject>
</svg>
"""


def _with_short_paths(svg: str) -> str:
    """Paths with one decimal, which is finer than a screen, and without points that are then the same."""
    return re.sub(r' d="[^"]*"', lambda path: _short(path[0]), svg)


def _short(path: str) -> str:
    steps = re.sub(r"(\d\.\d)\d+", r"\1", path).split("\n")
    return "\n".join(step for at, step in enumerate(steps) if at == 0 or step != steps[at - 1])


def _with_books(draw: Callable[[Books], None], *, gap: str | None = None) -> None:
    """Call `draw` with live books, one of them after a gap while its new snapshot is on its way."""
    pair = _pair()

    async def main() -> None:
        async with pair.connect("binance.com", SYMBOLS, depth=100) as books:
            await books.wait_synced()
            await asyncio.sleep(WARM_UP_S)
            if gap is not None:
                pair.slow_responses(5)
                pair.next_diffs(gap, "drop")
                await asyncio.sleep(1)
            draw(books)

    pair.run(main())


def _pair() -> Pair:
    return Pair(SimulatedExchange({"binance.com": SYMBOLS}, seed=SEED))


# --- notebooks -------------------------------------------------------------------------------


def notebook(path: Path) -> None:
    """Run a notebook and store what its cells show."""
    path.write_text(executed(path), "utf-8")


def executed(path: Path) -> str:
    """The notebook with the outputs of a run: the same for the same code."""
    content = json.loads(path.read_text("utf-8"))
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in cells]
    arguments, options = _arguments_of_connect(sources)
    plt.close("all")  # a figure that is open already would count as one of the first cell
    pair = _pair()

    async def main() -> None:
        async with pair.connect(*arguments, **options) as books:
            await books.wait_synced()
            await asyncio.sleep(WARM_UP_S)
            namespace: dict[str, Any] = {"__name__": "__main__"}
            with _connected(_Started(books)):
                for number, (cell, source) in enumerate(zip(cells, sources, strict=True), 1):
                    cell["execution_count"], cell["metadata"] = number, {}
                    cell["outputs"] = _outputs(source, namespace, number)
                    await asyncio.sleep(1)

    pair.run(main())
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


class _Started:
    """Books in virtual time as the blocking API offers them: they are synced already."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def start(self) -> _Started:
        return self

    def wait_synced(self, **_: Any) -> list[Any]:
        return list(self._books)

    def close(self) -> None:
        plt.close("all")

    def __getitem__(self, key: str) -> Any:
        return self._books[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._books)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._books, name)

    def __repr__(self) -> str:
        return repr(self._books).replace("depthcache.", "depthcache.blocking.")


@contextlib.contextmanager
def _connected(books: _Started) -> Iterator[None]:
    real = blocking.connect
    blocking.connect = lambda *_, **__: books  # type: ignore[assignment]
    try:
        yield
    finally:
        blocking.connect = real  # type: ignore[assignment]


def _arguments_of_connect(sources: list[str]) -> tuple[list[Any], dict[str, Any]]:
    """What the notebook hands to `blocking.connect`."""
    for node in ast.walk(ast.parse("\n".join(sources))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "blocking.connect":
            options = {each.arg or "": ast.literal_eval(each.value) for each in node.keywords}
            return [ast.literal_eval(each) for each in node.args], options
    raise ValueError("the notebook does not call blocking.connect")


def _outputs(source: str, namespace: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Run one cell: what it prints, the value of its last line, the figures it drew."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), namespace)  # noqa: S102 - our own cells
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), namespace)  # noqa: S307
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append(
            {"name": "stdout", "output_type": "stream", "text": printed.getvalue().splitlines(True)}
        )
    if value is not None and not source.rstrip().endswith(";"):
        outputs.append(_result("execute_result", _data(value)) | {"execution_count": number})
    figures = map(plt.figure, plt.get_fignums())
    outputs += [_result("display_data", _figure_data(figure)) for figure in figures]
    plt.close("all")
    return outputs


def _result(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"data": data, "metadata": {}, "output_type": kind}


def _data(value: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"text/plain": repr(value).splitlines(True)}
    html = value._repr_html_() if hasattr(value, "_repr_html_") else None
    return data if html is None else {"text/html": html.splitlines(True)} | data


def _figure_data(figure: Figure) -> dict[str, Any]:
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=80, metadata={"Software": None})
    shown = f"<Figure with {len(figure.axes)} Axes>"
    return {"image/png": base64.b64encode(image.getvalue()).decode(), "text/plain": [shown]}


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    depth_chart(PICTURES / "depth-chart.svg")
    tables(PICTURES)
    for each in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook(each)

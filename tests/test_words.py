"""Texts for people have single spaces: texts assembled from pieces easily get two."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import depthcache
from depthcache import errors
from depthcache.core.requests.responses import classify_response
from depthcache.errors import UnknownSymbol

SOURCE = Path(depthcache.__file__).parent
LAYOUT = ("cli/", "compat/ubldc/script.py", "reference/transitions.py")
"""Files whose double spaces are columns, usage and drawings."""
FILES = sorted(path for path in SOURCE.rglob("*.py") if not str(path.relative_to(SOURCE)).startswith(LAYOUT))
BOOK = {"exchange": "binance.com", "symbol": "BTCUSDT"}
STATE = {**BOOK, "status": "stale", "reason": "no diff came", "since_ns": 1}
EVERY = [
    errors.UnknownExchange(name="x", known=("a", "b")),
    errors.UnknownExchange(name="x", known=("a", "b"), near=("a",), hint="margin has no books"),
    errors.UnknownSymbol(symbol="X", exchange=None),
    errors.UnknownSymbol(symbol="X", exchange="binance.com", reason="it is not listed", near=("XY", "XZ")),
    errors.InvalidArgument(name="depth", value=0, allowed="1 to 5,000"),
    errors.UnreadableRecording(path=Path("a.jsonl"), line=None, reason="it is empty"),
    errors.UnreadableMessage(what="its type is 'trade'", excerpt=b"{}"),
    errors.UnsupportedSchema(received=2, supported=1, excerpt=b"{}"),
    errors.UnreadableRecording(path=Path("a.jsonl"), line=3, reason="it is no JSON"),
    errors.SymbolMismatch(expected="A", received="B"),
    errors.NumberTooWide(symbol="A", scale=8),
    errors.PackageMissing(package="numpy", wanted_for="to_numpy()"),
    errors.MalformedFrame(what="a number is wrong", position=3, excerpt=b"{}"),
    errors.MalformedSnapshot(what="a number is wrong", position=3, excerpt=b"{}"),
    errors.RequestRejected(url="https://a/b", status=400, code=-1121, text="Invalid symbol."),
    errors.RequestRejected(url="https://a/b", status=500, code=None, text="down"),
    errors.ConnectionFailed(url="wss://a/b", reason="refused"),
    errors.BookNotSynced(**STATE),
    errors.BooksNotSynced(books=(("binance.com", "BTCUSDT", "stale", "no diff came"),) * 7, asked=9, **STATE),
    errors.BookClosed(**BOOK, reason="removed"),
    errors.BookTooOld(**BOOK, age_s=3.2, max_age_s=0.5),
    errors.BookEmpty(**BOOK, side="asks"),
    errors.SyncTimeout(**BOOK, timeout_s=3.0, status="stale", reason="no diff came"),
]  # fmt: skip


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_every_error_has_single_spaces(error: Exception) -> None:
    text = str(error)
    assert re.search(r"\s\s|\s[,;:.]|^\s|\s$", text) is None, text


def test_every_error_is_among_them() -> None:
    kinds = {getattr(errors, name) for name in errors.__all__}
    bases = {kind.__mro__[1] for kind in kinds} | {errors.DepthCacheError}
    said = {type(error) for error in EVERY}
    assert kinds - bases - said == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_text_in_the_sources_has_two_spaces(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    doubled = [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone
        if re.search(r"\S  +\S", node.value) and "\n" not in node.value
    ]
    assert doubled == []


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"code":-1}', b'{"msg":""}', b'{"code":-1121,"msg":""}', b" \n "]
)
@pytest.mark.parametrize("status", [200, 400, 418, 503])
def test_responses_without_text_have_single_spaces(status: int, body: bytes) -> None:
    assert re.search(r"\s\s|\s$|: :|\s[,;:]", classify_response(status, {}, body).reason) is None


def test_a_reason_that_ends_with_a_full_stop_is_followed_by_its_hint() -> None:
    reason = "the exchange does not know the symbol: Invalid symbol."
    error = UnknownSymbol(symbol="BTC-USDT", exchange="binance.com", reason=reason, near=("BTCUSDT",))
    assert "Invalid symbol; did you mean 'BTCUSDT'?" in str(error)
    assert error.reason == reason

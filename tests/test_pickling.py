"""Every public error and value can be pickled and copied; others say what to pickle instead.

The walk fails for a public class without an example here.
"""

from __future__ import annotations

import concurrent.futures
import copy
import importlib
import inspect
import logging
import multiprocessing
import pickle
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import depthcache
from depthcache import (
    BookEmpty,
    BookNotSynced,
    DepthCacheError,
    InvalidArgument,
    Policy,
    RequestRejected,
    Settings,
    Status,
    SyncTimeout,
    UnknownSymbol,
    _native,
    blocking,
    doctor,
    errors,
    model,
    recording,
    rest,
    simulator,
    venues,
    wire,
)
from depthcache.client import metrics
from depthcache.compat import ubldc
from depthcache.compat.ubldc import DepthCacheNotFound, rest_api
from depthcache.compat.ubldc.stream_api import StreamApi
from depthcache.core.policy import Policy as CorePolicy
from tests.engine import NAMES, Engine, diff, facts, load, sides, snapshot

MODULES: tuple[ModuleType, ...] = (
    depthcache,
    blocking,
    doctor,
    errors,
    metrics,
    model,
    recording,
    rest,
    simulator,
    venues,
    wire,
    ubldc,
    rest_api,
)
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
PLACE = recording.SourcePosition(Path("a.jsonl"), 3)
WIDE = ("99.5", "12345678901234567890.123456789012345678")
BIDS, ASKS = [WIDE, ("99", "1.50")], [("100.5", "2"), ("101", "3")]


def book() -> depthcache.Book:
    made = depthcache.Book("binance.com", "BTCUSDT")
    made.load_snapshot(snapshot(10, BIDS, ASKS), limit=1000)
    made.apply(diff(11, 12, bids=[("99", "4")]))
    return made


def router() -> _native.Router:
    made = _native.Router()
    made.add_market(1, "binance.com", "BTCUSDT", "contiguous")
    made.open_connection(1)
    made.route(1, "btcusdt@depth", 1)
    made.install_snapshot(1, snapshot(10, BIDS, ASKS), limit=1000, live=True, now_ns=5)
    return made


def updates(mode: Any = "every") -> list[_native.Update[float]]:
    """A fresh item, one with changes, and one that may not be read."""
    fed = router()
    follower = fed.follow(mode, most_items=10, most_bytes=1 << 20)
    follower.add(fed, 1)
    found = [follower.take(6)]
    frame = b'{"stream":"btcusdt@depth","data":' + diff(11, 12, bids=[("99", "0"), ("99.75", "1")]) + b"}"
    fed.feed(1, frame, 7)
    found.append(follower.take(8))
    fed.set_condition(1, "stale", "silent", 9)
    found.append(follower.take(10))
    assert all(each is not None for each in found)
    return [each for each in found if each is not None]


def levels() -> depthcache.Levels[float]:
    return book().bids[:5]


def values() -> Iterator[object]:
    """At least one of each public class that is a value."""
    made = book()
    frozen = made.freeze()
    yield from (frozen, frozen.exact, made.freeze(1), frozen.freeze(0), frozen.bids, frozen.exact.asks)
    yield from updates()
    yield updates()[1].exact
    for each in (made, made.exact):
        yield from (each.best, each.complete_to, each.coverage, each.mid, each.spread, each.bids[:2])
        yield from (each.bids[0], each.imbalance(2), each.fill("buy", base=1), each.size_to_move("sell", 10))
        yield from (each.depth_within(100), each.depth_within(100).bids, each.grouped(1))
    yield from (made.to_numpy(), made.to_integers(1, low=100), made.asks.to_integers())
    yield from (made.to_arrow(), made.to_arrow(1, exact=True), made.to_arrow(0), books_of_two())
    yield from (updates()[1].changes, levels(), depthcache.Levels(levels(), update_id=12, reason="few"))
    yield model.Audit(12, 40, 0, 0, 1, {"depth20": (3, 1)})
    yield from (model.Audit(12, 40, 0, 0, 1), model.Lag(0.1, 0.02))
    yield model.MissingBook("binance.com", "BTCUSDT", Status.STALE, "silent")
    yield from (
        depthcache.SnapshotResponse({"lastUpdateId": 1}, 20),
        depthcache.SnapshotRequest("x", "Y", 100, 9.0),
    )
    yield from settings()
    facts_of_a_book = metrics.BookStats(
        exchange="binance.com",
        symbol="BTCUSDT",
        status=Status.SYNCED,
        counters=made.counters,
        age_s=0.5,
        confirmed_s=None,
        levels=made.coverage,
        complete_to=made.complete_to,
        in_sync=0.99,
        losses=0,
        reconnects=1,
        detect_s=0.0,
        recover_s=0.5,
        delays=(1, 2),
        delays_sum_s=0.1,
    )
    connection, budget = (filled(cls) for cls in (metrics.ConnectionStats, metrics.BudgetStats))
    yield from (facts_of_a_book, connection, budget)
    yield metrics.Stats(books=(facts_of_a_book,), connections=(connection,), budgets=(budget,))
    yield from (wire.decode(wire.encode_best(made)), wire.decode(wire.encode_status(made)))
    yield from (wire.decode(wire.encode(frozen)), wire.decode(wire.encode(updates()[1])))
    finding = doctor.Finding("clock", doctor.Severity.WARN, "3 s late", "set it")
    yield from (finding, doctor.Report(exchange="binance.com", findings=(finding,)))
    about = recording.Diff("BTCUSDT", 1, 2, None, 3, "spot")
    yield from (PLACE, about, recording.Ticker("BTCUSDT", 1, "1", "2", "3", "4", "spot"))
    yield recording.Frame(1, PLACE, b"{}", None, about, "spot")
    yield recording.RecordedSnapshot(1, PLACE, b"{}", "BTCUSDT", 5, 100, "spot")
    yield recording.RecordedResponse(1, PLACE, "https://x", b"{}", None)
    yield recording.Break(None, PLACE, 1, "lost")
    yield recording.HeldBook(1, PLACE, "BTCUSDT", "spot", 5, [["1", "2"]], [])
    problems = recording.Problems()
    problems.add(PLACE, "no JSON", b"{")
    yield from (problems, problems.first[0], recording.Row("spot", "BTCUSDT"))
    yield recording.RecordingFile.of("a.zst", files=(Path("a.zst"),), lost=2, lost_from_ns=1, lost_to_ns=3)
    yield recording.Progress(total_bytes=10, read_bytes=5, unpacked_bytes=20, lines=3)
    yield recording.Report([recording.Row("spot", "BTCUSDT")], problems, 1, ["wrong"])
    yield rest.RestResponse("https://x", 200, {"a": "b"}, b"{}", 0.1)
    yield from (simulator.Faults(seed=3, drop=0.5), simulator.TINY, simulator.PROFILES)
    yield from (venues.venue(name) for name in venues.names())


def settings() -> Iterator[object]:
    policy = Policy(limit_share=0.25, bootstrap_from_depth20=True)
    assert type(policy) is CorePolicy
    yield from (policy, venues.Endpoints("https://gateway", "wss://gateway"), Settings())
    endpoints = {"binance.com": venues.Endpoints("https://gateway", "wss://gateway")}
    yield Settings(endpoints=endpoints, policy=policy, proxies=False, record_to=Path("recordings"))


def books_of_two() -> depthcache.Columns:
    stale = router()
    stale.set_condition(1, "stale", "silent", 9)
    return depthcache.Columns([book(), stale.reader(1)], missing="skip")


def filled(cls: Any) -> Any:
    samples = {"str": "x", "int": 1, "float": 0.5, "bool": True, "tuple": (1, 2)}
    return cls(
        **{
            name: samples[field.type.partition("[")[0].partition(" ")[0]]
            for name, field in cls.__dataclass_fields__.items()
        }
    )


FACTS_OF_ERRORS: dict[str, Any] = {
    "name": "depth",
    "known": ("binance.com", "binance.us"),
    "near": ("binance.com",),
    "hint": "say which",
    "symbol": "BTCUSDT",
    "exchange": "binance.com",
    "reason": "because\nof it",
    "value": [1, {"a": Decimal("0.10")}],
    "allowed": "1 to 5",
    "path": Path("x.jsonl"),
    "line": 3,
    "expected": "A",
    "received": "B",
    "scale": 9,
    "package": "polars",
    "wanted_for": "frames",
    "what": "no object",
    "position": 4,
    "excerpt": b"\xff{" * 100,
    "url": "https://x",
    "status": "stale",
    "code": -1121,
    "text": "Invalid symbol.",
    "message": "no",
    "since_ns": 5,
    "kind": "live",
    "is_known": True,
    "awaited": "an answer",
    "books": (model.MissingBook("binance.com", "BTCUSDT", Status.STALE, "silent"),),
    "asked": 3,
    "ambiguous": True,
    "others": (("binance.com", "ETHUSDT", "stale", ("silent",)),),
    "timeout_s": 1.5,
    "side": "asks",
    "age_s": 3.2,
    "max_age_s": 0.5,
    "supported": 1,
    "market": "btcusdt",
    "node": "b2",
    "stored": 1,
    "needed": 2,
    "rejected": RequestRejected(url="u", status=400, code=-1, text="t"),
}
"""A sample of each argument that an error is made with: a new argument needs one here."""


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(depthcache.__path__, "depthcache."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def error_classes() -> list[type[DepthCacheError]]:
    found = {
        value
        for module in modules()
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, DepthCacheError)
    }
    return sorted(found, key=lambda cls: (cls.__module__, cls.__name__))


def made(cls: type[DepthCacheError]) -> DepthCacheError:
    plain, named = [], {}
    if not inspect.isfunction(cls.__init__):
        return cls("words")
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = FACTS_OF_ERRORS[name]
        elif parameter.kind is not parameter.VAR_KEYWORD:
            plain.append(FACTS_OF_ERRORS[name])
    return cls(*plain, **named)


def live() -> Iterator[tuple[object, str]]:
    """What belongs to one process, and what it must say of the way out."""
    fed = router()
    follower, reader = fed.follow("latest", most_items=1, most_bytes=1), fed.reader(1)
    hand_fed = book()
    native: Any = _native.BookReader.__new__
    aio, threads = (cls.__new__(cls) for cls in (depthcache.Books, blocking.Books))
    yield from ((each, "freeze()") for each in (reader, reader.exact, hand_fed, hand_fed.exact, aio, threads))
    for cls in (depthcache.LiveBook, blocking.LiveBook):
        yield native(cls, fed, 1), "freeze()"
    yield from ((each, "freeze()") for each in (reader.bids, hand_fed.asks, fed))
    yield from ((each, "updates") for each in (follower, *map(bare, (depthcache.Updates, blocking.Updates))))
    yield bare(depthcache.CallbackHandle), "updates"
    yield bare(metrics.Collector), "collector()"
    yield bare(rest.Rest), "settings"
    yield bare(simulator.Server), "settings"
    yield bare(simulator.Pair), "frozen"
    yield bare(simulator.RecordedExchange), "files"
    yield bare(ubldc.BinanceLocalDepthCacheManager), "get_asks()"
    yield from ((bare(cls), "pickle") for cls in (StreamApi, rest_api.BinanceRestApiManager))
    transport = _native.Transport(fed, quiet_s=1, pong_s=1)
    transport.stop(0)
    transport.join()
    yield transport, "create one"


def bare(cls: Any) -> object:
    return cls.__new__(cls)


GO_ON = {simulator.Market, simulator.SimulatedExchange}
"""Inventions that go on where they were, in the copy as well."""
NO_INSTANCES = {simulator.Truth, simulator.ExchangeControls}
"""A protocol, and what pairs and servers have in common."""


def test_every_public_class_is_tried_here() -> None:
    public = {
        value
        for module in MODULES
        for name in module.__all__
        if inspect.isclass(value := getattr(module, name)) and not issubclass(value, Enum | DepthCacheError)
    }
    tried = {type(each) for each in values()} | {type(each) for each, _ in live()} | GO_ON | NO_INSTANCES
    assert public - tried == set()


def ways(value: Any) -> Iterator[Any]:
    for protocol in PROTOCOLS:
        yield pickle.loads(pickle.dumps(value, protocol))  # noqa: S301
    yield copy.copy(value)
    yield copy.deepcopy(value)


def is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def test_every_value_comes_back_equal() -> None:
    for value in values():
        for again in ways(value):
            assert type(again) is type(value)
            assert again == value, value
            assert (again != value) is False
            assert value != "something else"
            if is_hashable(value):
                assert hash(again) == hash(value)


def test_lists_of_levels_still_know_whether_they_are_the_whole_truth() -> None:
    bounded = depthcache.Book("binance.com", "BTCUSDT")
    bounded.load_snapshot(snapshot(10, BIDS, ASKS), limit=2)
    for found in (levels(), bounded.bids[:9], bounded.exact.asks[:1]):
        for again in ways(found):
            assert (again.complete, again.update_id, again.reason) == (
                found.complete,
                found.update_id,
                found.reason,
            )


def test_members_of_enums_come_back_themselves() -> None:
    for module in MODULES:
        for name in module.__all__:
            if inspect.isclass(cls := getattr(module, name)) and issubclass(cls, Enum):
                assert all(again is member for member in cls for again in ways(member))


@pytest.mark.parametrize("cls", error_classes(), ids=lambda cls: cls.__name__)
def test_every_error_comes_back_with_its_facts_and_notes(cls: type[DepthCacheError]) -> None:
    error = made(cls)
    error.add_note("of the program")
    for again in ways(error):
        assert type(again) is cls
        assert (str(again), repr(again), again.args) == (str(error), repr(error), error.args)
        assert vars(again) == vars(error)
        assert (again, hash(again)) == (error, hash(error))
        assert again.__notes__[-1] == "of the program"
    with pytest.raises(cls):
        raise pickle.loads(pickle.dumps(error))  # noqa: S301


def test_an_error_is_equal_to_none_that_says_another_thing() -> None:
    def refused(**others: Any) -> InvalidArgument:
        named: dict[str, Any] = {"name": "depth", "value": 0, "allowed": "1"} | others
        return InvalidArgument(**named)

    assert refused() == refused() != refused(value=2)
    assert refused(value=float("nan")) == refused(value=float("nan"))
    assert refused() != ValueError(str(refused()))
    since: dict[str, Any] = {"exchange": "x", "symbol": "y", "status": "stale", "reason": "z"}
    assert BookNotSynced(**since, since_ns=1) != BookNotSynced(**since, since_ns=2)


def test_what_the_native_side_raises_comes_back_too() -> None:
    with pytest.raises(BookNotSynced) as not_synced:
        _native.Book("x", "BTCUSDT", "contiguous").freeze()
    with pytest.raises(errors.MalformedFrame) as malformed:
        book().apply(b'{"stream":"x@depth","data":{"e":"depthUpdate"}}')
    stale = router()
    stale.set_condition(1, "stale", "silent", 9)
    with pytest.raises(errors.BooksNotSynced) as several:
        depthcache.Columns([stale.reader(1)])
    for error in (not_synced.value, malformed.value, several.value):
        for again in ways(error):
            assert again == error
            assert vars(again) == vars(error)


def test_facts_that_cannot_be_pickled_arrive_as_their_words() -> None:
    for value in (lambda: 0, book(), logging.getLogger("x").handlers.append, (n for n in "")):
        error = InvalidArgument(name="callback", value=value, allowed="a function")
        again = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert (str(again), again.allowed) == (str(error), error.allowed)
        assert copy.copy(error).value is value
        assert copy.deepcopy(error) == error


class OwnError(BookNotSynced):
    """As programs make their own: another signature, a slot, state of its own."""

    __slots__ = ("extra",)

    def __init__(self, account: int) -> None:
        super().__init__(exchange="x", symbol="BTCUSDT", status="stale", reason="own", since_ns=3)
        self.account, self.extra = account, [account]


class OwnTimeout(SyncTimeout, KeyError):
    """Another base of the standard library."""


def test_errors_of_programs_come_back_too() -> None:
    own = OwnError(7)
    other = OwnTimeout(exchange="x", symbol="y", timeout_s=1, status="stale", reason="z")
    for error in (own, other):
        for again in ways(error):
            assert (type(again), again, again.args) == (type(error), error, error.args)
    assert copy.deepcopy(own).extra == [7]
    assert copy.deepcopy(own).extra is not own.extra


def test_what_belongs_to_a_process_says_what_to_pickle_instead() -> None:
    for value, instead in live():
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError) as refused:
                way(value)
            assert "cannot be pickled or copied" in str(refused.value)
            assert instead in str(refused.value)


def test_an_invented_market_goes_on_in_its_copy() -> None:
    exchange = simulator.SimulatedExchange(seed=5)
    for again in ways(exchange):
        assert type(again) is simulator.SimulatedExchange


@pytest.mark.parametrize("name", NAMES)
def test_frozen_books_of_both_engines_come_back_digit_by_digit(name: str) -> None:
    engine: Engine = load(name)
    fed = engine.book()
    fed.load_snapshot(snapshot(10, BIDS, ASKS), limit=1000)
    fed.apply(diff(11, 12, bids=[("99.25", "0.000000000000000001")]))
    for frozen in (fed.freeze(), fed.freeze(1), fed.freeze(0), engine.loaded(limit=1).freeze()):
        for again in ways(frozen):
            assert (again, hash(again)) == (frozen, hash(frozen))
            assert (facts(again), sides(again)) == (facts(frozen), sides(frozen))
            assert again.complete == frozen.complete
            assert again.exact == frozen.exact != frozen
        assert {frozen, copy.deepcopy(frozen)} == {frozen}
    assert fed.freeze() != fed.freeze(1)
    with pytest.raises(TypeError, match="freeze"):
        pickle.dumps(fed)


def test_an_update_that_may_not_be_read_still_may_not() -> None:
    lost = pickle.loads(pickle.dumps(updates()[2]))  # noqa: S301
    with pytest.raises(BookNotSynced, match="silent"):
        _ = lost.best


@pytest.mark.parametrize("condition", ["stale", "halted", "disconnected", "closed"])
def test_a_frozen_book_keeps_its_status_and_reason(condition: Any) -> None:
    doubted = router()
    doubted.set_condition(1, condition, "because\nof it", 9)
    follower = doubted.follow("status", on_stale="serve", most_items=1, most_bytes=1)
    follower.add(doubted, 1)
    told = follower.take(10)
    assert told is not None
    again = pickle.loads(pickle.dumps(told))  # noqa: S301
    assert (again.status, again.reason, again.since_ns) == (Status(condition), "because\nof it", 9)
    assert (again, again.counters) == (told, told.counters)


def states() -> Iterator[tuple[Callable[..., object], bytes, tuple[Any, ...]]]:
    values: tuple[Any, ...] = (book().freeze(), updates()[1], book().to_arrow(exact=True), books_of_two())
    for value in values:
        function, (state, *others) = value.__reduce__()
        yield function, state, tuple(others)
    function, (book_state, *others, changes) = values[1].__reduce__()
    yield lambda state, *_: function(book_state, *others, state), changes, ()


def test_a_state_that_is_none_is_refused_and_never_ends_the_process() -> None:
    for function, state, others in states():
        assert function(state, *others) is not None
        broken = [state[:count] for count in range(len(state))]
        broken += [state + b"\0", bytes([state[0] + 1]) + state[1:], b"\xff" * len(state)]
        for bad in broken:
            with pytest.raises(InvalidArgument):
                function(bad, *others)
        for place in range(len(state)):
            for byte in (0, 1, 0x7F, 0x80, 0xFF, state[place] ^ 1):
                try:
                    again = function(state[:place] + bytes([byte]) + state[place + 1 :], *others)
                except InvalidArgument:
                    continue
                use(again)


def use(value: Any) -> None:
    """Read all of it: whatever was let through can be used."""
    repr(value), hash(value), value == value
    if isinstance(value, depthcache.Columns):
        value._parts(), value.__arrow_c_array__()
        return
    if isinstance(value, depthcache.FrozenBook):
        try:
            list(value.exact.bids), list(value.asks), value.exact.fill("sell", base=1), value.depth_within(50)
            value.to_arrow(exact=True), value.grouped(1), value.complete_to, value.freeze(1), value.spread
            value.since_at, value.updated_at, value.confirmed_at, value.event_time  # noqa: B018
        except (BookNotSynced, BookEmpty):
            pass


# --- other processes -------------------------------------------------------------------------


def raise_it(error: DepthCacheError) -> None:
    raise error


def its_best(frozen: depthcache.FrozenBook[float]) -> tuple[object, object, depthcache.FrozenBook[float]]:
    return frozen.best, frozen.exact.best, frozen


@pytest.mark.slow
def test_every_error_passes_a_pool_of_processes() -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        for cls in error_classes():
            error = made(cls)
            with pytest.raises(cls) as raised:
                pool.apply_async(raise_it, (error,)).get(timeout=60)
            assert raised.value == error
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        frozen = book().freeze()
        assert executor.submit(its_best, frozen).result(60) == (frozen.best, frozen.exact.best, frozen)
        with pytest.raises(UnknownSymbol):
            executor.submit(raise_it, made(UnknownSymbol)).result(60)


@pytest.mark.slow
def test_a_fresh_interpreter_reads_them(tmp_path: Path) -> None:
    pickles = tmp_path / "values.pickle"
    frozen, error = book().freeze(), DepthCacheNotFound("btcusdt", reason="never added")
    pickles.write_bytes(pickle.dumps([frozen, error, Settings(), updates()[1], book().to_arrow()]))
    program = (
        "import pickle, sys; from pathlib import Path\n"
        f"frozen, error, settings, update, columns = pickle.loads(Path({str(pickles)!r}).read_bytes())\n"
        "print(frozen.exact.bids[0].quantity, error.market, settings.transport, update.skipped, len(columns))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [WIDE[1], "btcusdt", "native", "0", "4"]

"""The native engine and the reference agree in everything that Hypothesis tries.

After every step, they must have the same outcomes, errors, events, states, levels, ranges and counters.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from depthcache import DepthCacheError
from depthcache.events import Event, MarketChange, StrayFrame
from depthcache.reference import market as reference_market
from depthcache.reference.sequence import SequenceCheck, check_sequence
from tests.engine import Engine, diff, encode, facts, load, payload, sides, snapshot, wrapped

STREAM = "btcusdt@depth@100ms"
TOP = "btcusdt@depth20@100ms"
PRICES = ["99", "98.5", "98.50", "97", "90.001", "100", "101", "101.5", "103", "150", "1e2"]
QUANTITIES = ["0", "0.0", "0.000", "1", "2.5", "2.50", "1000000.00000001", "92233720368547.75807001"]

SHARED_FACTS = ("expected", "received", "exchange", "symbol", "status", "since_ns")
MALFORMED = "malformed frame"

levels = st.lists(st.tuples(st.sampled_from(PRICES), st.sampled_from(QUANTITIES)), max_size=6)
small = st.integers(0, 6)
_MANY = 1_000
"""More levels than anybody reads here: the reference does not note what readers ask for."""


def says(call: Any) -> Any:
    """What a call did: its value, or its error with all facts that both engines must share."""
    try:
        return call()
    except DepthCacheError as error:
        return type(error).__name__, {name: getattr(error, name, None) for name in SHARED_FACTS}
    except (KeyError, ValueError, TypeError) as error:
        return type(error).__name__


def levels_of(book: Any) -> Any:
    return says(lambda: sides(book)), says(lambda: book.best), says(lambda: book.bids[:3].complete)


def told(events: list[Event]) -> list[Event]:
    """Events as values; what is malformed is worded differently."""
    shown = []
    for event in events:
        match event:
            case StrayFrame(what="malformed"):
                shown.append(replace(event, detail=""))
            case MarketChange() if event.reason.startswith(MALFORMED):
                shown.append(replace(event, reason=MALFORMED))
            case _:
                shown.append(event)
    return shown


def facts_of(book: Any) -> dict[str, Any]:
    shown = facts(book)
    if shown["reason"].startswith(MALFORMED):
        shown["reason"] = MALFORMED
    return shown


def item_of(item: Any) -> Any:
    """All that an item of a follower says."""
    changes = item.exact.changes
    changed = None if changes is None else [[(str(p), str(q)) for p, q in side] for side in changes]
    return facts_of(item), levels_of(item), item.skipped, item.is_fresh, changed, item.complete


class Machine(RuleBasedStateMachine):
    """One market and one offline book on each engine, and everything that can happen to them."""

    engines: tuple[Engine, Engine]

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.held = 100

    @initialize(continuity=st.sampled_from(["contiguous", "chained"]), buffer=st.sampled_from([600, 10**6]))
    def begin(self, continuity: str, buffer: int) -> None:
        self.continuity = continuity
        self.routers = [engine.Router(buffer_bytes=buffer) for engine in self.engines]
        for router in self.routers:
            router.set_virtual_time(0, 1_790_000_000 * 10**9)
        self.books = [
            engine.book(continuity, symbol=None, exchange="binance.com", buffer_bytes=buffer)
            for engine in self.engines
        ]
        for router in self.routers:
            router.add_market(1, "binance.com", "BTCUSDT", continuity)
            router.set_depth_target(1, 3, requested=_MANY)
            router.open_connection(1)
            router.route(1, STREAM, 1)
            router.listen(1, TOP)
        self.carriers = [1]
        self.next_carrier = 2
        self.followers: list[list[Any]] = []
        self.readers = [
            [router.reader(1, serve_stale=stale) for stale in (False, True)] for router in self.routers
        ]

    def both(self, on_router: Any, on_book: Any = None) -> None:
        """Do it on both engines and compare everything."""
        self.now_ns += 10
        one, other = (says(lambda router=router: on_router(router)) for router in self.routers)
        assert one == other
        if on_book is not None:
            one, other = (says(lambda book=book: on_book(book)) for book in self.books)
            assert one == other
        native, readable = (told(router.take_events()) for router in self.routers)
        assert native == readable
        for one, other in zip(
            [*self.readers[0], self.books[0]], [*self.readers[1], self.books[1]], strict=True
        ):
            assert facts_of(one) == facts_of(other)
            assert levels_of(one) == levels_of(other)
        one, other = (self.facts_of_router(router) for router in self.routers)
        assert one == other

    def facts_of_router(self, router: Any) -> Any:
        lines, traffic = router.feeds(1), [router.traffic(number) for number in self.carriers]
        covered = [(shallow.market, shallow.covered_levels) for shallow in router.shallow()]
        # With a single line nobody asks whether it is joined.
        return lines if len(lines) > 1 else len(lines), traffic, covered

    @precondition(lambda self: len(self.followers) < 4)
    @rule(
        mode=st.sampled_from(["every", "every", "latest", "interval", "best", "levels", "status"]),
        on_stale=st.sampled_from(["raise", "serve", "wait"]),
        levels=st.sampled_from([1, 3, None]),
        most=st.sampled_from([0, 2, 100]),
    )
    def follow(self, mode: str, on_stale: str, levels: int | None, most: int) -> None:
        pair = [
            router.follow(
                mode, levels=levels, on_stale=on_stale, most_items=most, most_bytes=1 << 24, interval_ns=25,
                start_ns=3,
            )
            for router in self.routers
        ]  # fmt: skip
        for follower, router in zip(pair, self.routers, strict=True):
            follower.add(router, 1)
        self.followers.append(pair)

    @precondition(lambda self: self.followers)
    @rule(which=small, count=st.sampled_from([1, 2, 100]))
    def take(self, which: int, count: int) -> None:
        """A consumer comes, sooner or later, and does not always stay until there is nothing more."""
        native, readable = self.followers[which % len(self.followers)]
        for _ in range(count):
            one, other = native.take(self.now_ns), readable.take(self.now_ns)
            assert (one is None) == (other is None)
            assert (native.due_ns, native.held_items) == (readable.due_ns, readable.held_items)
            if one is None:
                return
            assert item_of(one) == item_of(other)

    @precondition(lambda self: self.followers)
    @rule(which=small)
    def unfollow(self, which: int) -> None:
        for follower in self.followers.pop(which % len(self.followers)):
            follower.close()

    @rule(
        back=st.integers(-8, 3), width=small, bids=levels, asks=levels,
        later=st.sampled_from([0, 100, 6_000]), skip=st.sampled_from([0, 0, 0, 0, 1, 5]),
        carrier=small, pause=st.sampled_from([0, 0, 0, 2_000_000_000]),
    )  # fmt: skip
    def frame(
        self, back: int, width: int, bids: Any, asks: Any, later: int, skip: int, carrier: int, pause: int
    ) -> None:
        """A diff at, before or after the newest id, on the wire of either kind."""
        follows = max(self.held + skip + min(back, 0), 0)
        first, last = follows + 1, follows + 1 + width
        more = {"pu": follows} if self.continuity == "chained" else {}
        self.held = max(self.held, last) if back >= 0 else self.held
        data = payload(first, last, bids, asks, E=1_700_000_000_000 + self.now_ns + later, **more)
        note(json.dumps(data))
        self.now_ns += pause
        number = self.carriers[carrier % len(self.carriers)]
        self.both(
            lambda router: router.feed(number, wrapped(data, STREAM), self.now_ns),
            lambda book: book.apply(encode(data)),
        )

    @rule(
        behind=st.integers(-3, 12),
        bids=levels,
        asks=levels,
        limit=st.sampled_from([None, 1, 3, 100]),
        live=st.booleans(),
    )
    def install(self, behind: int, bids: Any, asks: Any, limit: int | None, live: bool) -> None:
        body = snapshot(max(self.held - behind, 0), bids, asks)
        self.both(
            lambda router: router.install_snapshot(1, body, limit=limit, live=live, now_ns=self.now_ns),
            lambda book: book.load_snapshot(body, limit=limit),
        )

    @rule()
    def begin_refresh(self) -> None:
        self.both(lambda router: router.begin_refresh(1))

    @rule()
    def end_refresh(self) -> None:
        self.both(lambda router: router.end_refresh(1))

    @rule(behind=st.integers(-3, 6), bids=levels, asks=levels, limit=st.sampled_from([None, 1, 3, 100]))
    def refresh(self, behind: int, bids: Any, asks: Any, limit: int | None) -> None:
        body = snapshot(max(self.held - behind, 0), bids, asks)
        self.both(lambda router: router.refresh(1, body, limit=limit, now_ns=self.now_ns))

    @rule(limit=st.sampled_from([1, 2, 100]))
    def refresh_with_itself(self, limit: int) -> None:
        """A snapshot that shows what the book holds, as far as it goes."""
        book = self.readers[0][0]
        if book.status != "synced":
            return
        texts = [
            [(str(price), str(quantity)) for price, quantity in side]
            for side in (book.exact.bids[:limit], book.exact.asks[:limit])
        ]
        body = snapshot(book.last_update_id, *texts)
        self.both(lambda router: router.refresh(1, body, limit=limit, now_ns=self.now_ns))

    @rule(enough=st.sampled_from([0, 1, 2, 3, 100]))
    def set_depth_target(self, enough: int) -> None:
        self.both(lambda router: router.set_depth_target(1, enough, requested=_MANY))

    @rule()
    def settle_refresh(self) -> None:
        self.both(lambda router: router.settle_refresh(1, self.now_ns))

    @precondition(lambda self: len(self.carriers) < 3)
    @rule()
    def another_connection(self) -> None:
        number = self.next_carrier
        self.next_carrier += 1
        self.carriers.append(number)
        self.both(lambda router: (router.open_connection(number), router.route(number, STREAM, 1)))

    @precondition(lambda self: len(self.carriers) > 1)
    @rule(which=small, by_route=st.booleans())
    def a_connection_less(self, which: int, by_route: bool) -> None:
        number = self.carriers.pop(which % len(self.carriers))
        if by_route:
            self.both(lambda router: router.unroute(number, STREAM))
        self.both(lambda router: router.close_connection(number))

    @rule(
        frame=st.sampled_from([
            b"{}", b'{"result":null,"id":3}', b"rubbish", diff(1, 2), wrapped({"u": 1}, STREAM),
            wrapped(payload(1, 2, s="ETHUSDT"), STREAM), wrapped(payload(1, 2, [("x", "1")]), STREAM),
            wrapped(payload(1, 2, [("1", "-1")]), "other@depth"), wrapped(payload(5, 4), STREAM),
            wrapped({"lastUpdateId": 5, "bids": [], "asks": []}, TOP),
        ])
    )  # fmt: skip
    def strange(self, frame: bytes) -> None:
        number = self.carriers[0]
        self.both(lambda router: router.feed(number, frame, self.now_ns), lambda book: book.apply(frame))

    @rule(reason=st.sampled_from(["asked", "other"]))
    def resync(self, reason: str) -> None:
        self.both(lambda router: router.resync(1, reason, self.now_ns))

    @rule()
    def restart(self) -> None:
        self.both(lambda router: router.restart(1, "a new connection", self.now_ns))

    @rule(word=st.sampled_from(["stale", "halted", "disconnected", None, None]), reason=st.sampled_from("ab"))
    def condition(self, word: str | None, reason: str) -> None:
        self.both(lambda router: router.set_condition(1, word, reason, self.now_ns))

    @rule(reason=st.sampled_from(["it stands still", None, None]))
    def stalled(self, reason: str | None) -> None:
        self.both(lambda router: router.set_stalled(reason, self.now_ns))

    @precondition(lambda self: self.books)
    @rule(count=st.integers(0, 5))
    def freeze(self, count: int) -> None:
        for native, readable in zip(
            [*self.readers[0], self.books[0]], [*self.readers[1], self.books[1]], strict=True
        ):
            one, other = (
                says(lambda book=native: book.freeze(count)),
                says(lambda book=readable: book.freeze(count)),
            )
            if isinstance(one, tuple):
                assert one == other
                continue
            assert facts_of(one) == facts_of(other)
            assert levels_of(one) == levels_of(other)
            assert one.complete == other.complete
            assert sides(one.freeze(1)) == sides(other.freeze(1))
            assert one.freeze(1).complete_to == other.freeze(1).complete_to


def machine(engines: tuple[Engine, Engine]) -> type[Machine]:
    return type("Machine", (Machine,), {"engines": engines})


@pytest.mark.slow
def test_both_engines_do_the_same() -> None:
    run_state_machine_as_test(machine((load("native"), load("reference"))))


@pytest.mark.slow
def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_too_many(continuity: Any, held_id: int, update: Any, *, has_diff: bool) -> SequenceCheck:
        verdict = check_sequence(continuity, held_id, update, has_diff=has_diff)
        lenient = verdict is SequenceCheck.GAP and update.first_update_id == held_id + 2
        return SequenceCheck.NEXT if lenient else verdict

    monkeypatch.setattr(reference_market, "check_sequence", one_too_many)
    found = settings(max_examples=500, report_multiple_bugs=False, deadline=None, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine((load("native"), load("reference"))), settings=found)


# --- bytes ------------------------------------------------------------------------------------------

texts = st.one_of(
    st.sampled_from([*PRICES, *QUANTITIES]),
    st.from_regex(r"\A[0-9]{0,22}\.?[0-9]{0,20}\Z"),
    st.text(max_size=4),
)
numbers = st.one_of(st.integers(0, 2**63 + 5), st.floats(allow_nan=False), st.none(), st.booleans(), texts)
wire = st.fixed_dictionaries(
    {
        "e": st.sampled_from(["depthUpdate", "depthUpdate", "trade", 5]),
        "s": st.one_of(st.just("BTCUSDT"), texts),
        "U": st.one_of(st.integers(0, 50), numbers),
        "u": st.one_of(st.integers(50, 99), numbers),
        "b": st.lists(st.lists(texts, min_size=2, max_size=2), max_size=4),
        "a": st.lists(st.lists(st.one_of(texts, numbers), min_size=1, max_size=3), max_size=3),
    },
    optional={
        "E": numbers,
        "pu": numbers,
        "x": st.recursive(numbers, lambda inner: st.lists(inner, max_size=2)),
    },
)


def judged(frame: bytes) -> Any:
    """What each engine makes of one frame."""
    found = []
    for name in ("native", "reference"):
        book = load(name).book(symbol=None)
        book.load_snapshot(snapshot(10, (), ()))
        found.append((says(lambda book=book: book.apply(frame)), facts_of(book), levels_of(book)))
    return found


@given(data=wire, stream=st.sampled_from([None, "btcusdt@depth", "btcusdt@depth20", "x"]), seed=st.randoms())
def test_generated_frames_are_read_alike_and_only_json_is_accepted(
    data: Any, stream: str | None, seed: Any
) -> None:
    items = list(data.items())
    seed.shuffle(items)
    frame = encode(dict(items)) if stream is None else encode({"stream": stream, "data": dict(items)})
    native, readable = judged(frame)
    assert native == readable


@given(data=st.data())
def test_spoiled_frames_are_read_alike_and_only_json_is_accepted(data: Any) -> None:
    good = wrapped(
        payload(11, 12, [("99.5", "1.25"), ("98", "0.000")], [("101", "3")], x="é\\n"), "btcusdt@depth"
    )
    frame = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(frame) - 1))
        match data.draw(st.integers(0, 2)):
            case 0:
                frame[place] = data.draw(st.sampled_from(b'"{}[]:,.0159eE+-\\utn \x00\xff'))
            case 1:
                del frame[place]
            case _:
                frame.insert(place, data.draw(st.integers(0, 255)))
    native, readable = judged(bytes(frame))
    assert native == readable
    if not isinstance(native[0], tuple):
        json.loads(bytes(frame))

"""The runner between a scripted core and a scripted network: it forwards in order, and survives."""

from __future__ import annotations

import logging

import pytest

from depthcache import venues
from depthcache.core.commands import CloseConnection, Fetch, OpenConnection, Send
from depthcache.core.notices import AuditDone, FaultCaught, LimitRefused, StatusChanged, TroubleFound
from depthcache.events import Comparison
from depthcache.io.network.interface import Closed, Failure, Response
from depthcache.io.runner import BookNotice, Runner
from depthcache.model import Status
from tests.io.doubles import ScriptedCore, ScriptedNetwork, ScriptedRouter

SPOT = venues.venue("binance.com")


class Stage:
    """A runner and its doubles."""

    def __init__(self) -> None:
        self.core, self.router, self.network = ScriptedCore(), ScriptedRouter(), ScriptedNetwork()
        self.told: list[BookNotice] = []
        self.runner = Runner(self.core, self.router, self.network, on_notice=self.told.append)  # type: ignore[arg-type]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def notice(market: int = 1, status: Status = Status.SYNCED) -> StatusChanged:
    return StatusChanged(market, status, "", 0)


def remove(runner: Runner) -> None:
    runner.call_core(lambda core, now_ns: core.remove(1, now_ns))


def test_everything_that_happens_reaches_the_core_with_the_time_of_the_network(stage: Stage) -> None:
    runner = stage.runner
    assert runner.call_core(lambda core, now_ns: core.add(SPOT, "BTCUSDT", depth=100, now_ns=now_ns)) == 1
    stage.network.clock_ns = 2_000
    runner.on_open(5)
    runner.on_alive(5)
    runner.on_response(6, Response(200, {"a": "b"}, b"{}"))
    runner.on_response(7, Failure("refused"))
    runner.on_closed(5, Closed(1001, "going away"))
    runner.on_wake()
    remove(runner)
    runner.close()
    assert stage.core.calls == [
        ("add", "binance.com", "BTCUSDT", 100, None, 1_000),
        ("on_open", 5, 2_000),
        ("on_alive", 5, 2_000),
        ("on_response", 6, 200, {"a": "b"}, b"{}", 2_000),
        ("on_failure", 7, "refused", 2_000),
        ("on_closed", 5, 1001, "going away", 2_000, None, None, None),
        ("on_wake", 2_000),
        ("remove", 1, 2_000),
        ("close", 2_000, "the client was closed"),
    ]


def test_commands_are_performed_in_their_order(stage: Stage) -> None:
    stage.core.commands = [
        OpenConnection(1, "wss://h/stream"),
        Send(1, "hello"),
        Fetch(2, "https://h/depth", 9.0),
        CloseConnection(1),
    ]
    stage.runner.on_alive(1)
    assert stage.network.calls == [
        ("open", 1, "wss://h/stream"),
        ("send", 1, "hello"),
        ("fetch", 2, "https://h/depth", 9.0),
        ("close", 1),
    ]


def test_the_router_feeds_directly_and_its_events_are_taken_once_for_a_batch(stage: Stage) -> None:
    assert stage.network.router is stage.router
    stage.router.events = ["a", "b", "c"]
    stage.runner.on_events()
    assert stage.core.calls == [("on_events", ("a", "b", "c"), 1_000)]


def test_events_that_an_answer_causes_are_taken_without_being_told_of(stage: Stage) -> None:
    """Installing a snapshot syncs a book: no frame tells of that."""
    stage.core.when["on_response"] = lambda: stage.router.events.append("synced")
    stage.runner.on_response(1, Response(200, {}, b"{}"))
    assert [call[0] for call in stage.core.calls] == ["on_response", "on_events"]


def test_settling_goes_on_until_nothing_is_left(stage: Stage) -> None:
    def first() -> None:
        stage.core.commands.append(Send(1, "one"))
        stage.core.when["on_events"] = second
        stage.router.events.append("more")

    def second() -> None:
        stage.core.commands.append(Send(1, "two"))
        stage.core.notices.append(notice())

    stage.core.when["on_open"] = first
    stage.runner.on_open(1)
    assert stage.network.calls == [("send", 1, "one"), ("send", 1, "two")]
    assert stage.told == [notice()]


def test_the_wake_up_is_set_once_per_change_and_again_after_it_came(stage: Stage) -> None:
    stage.core.wake_ns = 7_000
    stage.runner.on_alive(1)
    stage.runner.on_alive(1)
    assert stage.network.calls == [("wake_at", 7_000)]
    stage.runner.on_wake()
    assert stage.network.calls == [("wake_at", 7_000)] * 2
    stage.core.wake_ns = None
    stage.runner.on_alive(1)
    assert stage.network.calls[2:] == [("wake_at", None)]


def test_a_listener_may_call_back_into_the_runner(stage: Stage) -> None:
    def listen(what: BookNotice) -> None:
        stage.told.append(what)
        if what.market == 1:
            stage.core.when["remove"] = lambda: stage.core.notices.append(notice(2, Status.CLOSED))
            remove(stage.runner)

    stage.runner = Runner(stage.core, stage.router, stage.network, on_notice=listen)  # type: ignore[arg-type]
    stage.core.notices = [notice(1), notice(3)]
    stage.runner.on_alive(1)
    assert [each.market for each in stage.told] == [1, 3, 2]


def test_a_network_that_reports_from_inside_a_call_breaks_nothing(stage: Stage) -> None:
    stage.network.on_call["open"] = lambda: stage.runner.on_open(1)
    stage.core.when["on_open"] = lambda: stage.core.commands.append(Send(1, "subscribe"))
    stage.core.commands = [OpenConnection(1, "wss://h"), Fetch(2, "https://h", 1.0)]
    stage.runner.on_alive(9)
    assert [call[0] for call in stage.network.calls] == ["open", "fetch", "send"]


def raise_mistake() -> None:
    raise KeyError("a mistake")


@pytest.mark.parametrize("where", ["on_open", "on_events", "on_wake", "on_response", "close"])
def test_a_mistake_in_the_core_is_logged_each_time_and_the_client_goes_on(
    stage: Stage, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    happenings = {
        "on_open": lambda: stage.runner.on_open(1),
        "on_events": lambda: (stage.router.events.append("x"), stage.runner.on_events()),
        "on_wake": stage.runner.on_wake,
        "on_response": lambda: stage.runner.on_response(1, Response(200, {}, b"")),
        "close": stage.runner.close,
    }
    stage.core.when[where] = raise_mistake
    stage.core.commands = [Send(1, "still sent")]
    stage.core.wake_ns = 5_000
    happenings[where]()
    happenings[where]()
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in errors] == [
        f"internal error in {where}; the client keeps running; please report this"
    ] * 2
    assert ("send", 1, "still sent") in stage.network.calls
    assert ("wake_at", 5_000) in stage.network.calls


def test_a_failing_listener_or_network_stops_nothing_else(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.runner = Runner(
        stage.core,  # type: ignore[arg-type]
        stage.router,  # type: ignore[arg-type]
        stage.network,
        on_notice=lambda what: raise_mistake() if what.market == 1 else stage.told.append(what),
    )
    stage.network.on_call["open"] = raise_mistake
    stage.core.commands = [OpenConnection(1, "wss://h"), Send(2, "still sent")]
    stage.core.notices = [notice(1), notice(2)]
    stage.runner.on_alive(1)
    assert stage.network.calls[1:] == [("send", 2, "still sent")]
    assert stage.told == [notice(2)]
    assert len(caplog.records) == 2


def test_wrong_arguments_are_the_callers_and_reach_the_caller(stage: Stage) -> None:
    stage.core.when["add"] = raise_mistake
    with pytest.raises(KeyError):
        stage.runner.call_core(lambda core, now_ns: core.add(SPOT, "BTCUSDT", depth=100, now_ns=now_ns))
    stage.core.when["remove"] = raise_mistake
    with pytest.raises(KeyError):
        remove(stage.runner)


def test_trouble_is_a_warning_and_what_was_wanted_is_none(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "depthcache")
    stage.core.commands = [
        OpenConnection(1, "wss://stream.x:9443/stream?key=secret"),
        OpenConnection(2, "wss://stream.x/stream"),
        OpenConnection(3, "wss://stream.x/stream"),
        Fetch(1, "https://user:secret@api.x/depth?symbol=S", 9.0),
        Fetch(2, "https://api.x/depth?symbol=S", 9.0),
        Fetch(3, "https://api.x/depth?symbol=S", 9.0),
    ]
    stage.runner.on_wake()
    stage.runner.on_closed(1, Closed(None, "refused"))
    stage.runner.on_open(2)
    stage.runner.on_closed(2, Closed(1006, "cut"))
    stage.runner.on_open(3)
    stage.core.commands = [CloseConnection(3)]
    stage.runner.on_wake()
    stage.runner.on_closed(3, Closed(1000, "closed by this client"))
    stage.runner.on_response(1, Failure("timed out"))
    stage.runner.on_response(2, Response(429, {}, b""))
    stage.runner.on_response(3, Response(200, {}, b""))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "connection 1 to stream.x:9443 could not be opened, retrying: refused"),
        ("INFO", "connection 2 to stream.x is open"),
        ("WARNING", "connection 2 to stream.x broke (close code 1006), reconnecting: cut"),
        ("INFO", "connection 3 to stream.x is open"),
        ("INFO", "connection 3 to stream.x is closed"),
        ("WARNING", "request 1 (depth of S) to api.x failed: timed out"),
        ("WARNING", "request 2 (depth of S) to api.x failed: HTTP 429"),
    ]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            OpenConnection(1, "wss://h"),
            ("on_closed", 1, None, "KeyError: 'a mistake'", 1_000, None, None, None),
        ),
        (Fetch(2, "https://h", 1.0), ("on_failure", 2, "KeyError: 'a mistake'", 1_000)),
    ],
)
def test_the_core_is_answered_for_what_could_not_be_performed(
    stage: Stage, command: OpenConnection | Fetch, told: tuple[object, ...]
) -> None:
    stage.network.on_call["open"] = stage.network.on_call["fetch"] = raise_mistake
    stage.core.commands = [command]
    stage.runner.on_alive(9)
    assert told in stage.core.calls


def test_a_wake_up_that_could_not_be_set_is_set_next_time(stage: Stage) -> None:
    stage.core.wake_ns = 7_000
    stage.network.on_call["wake_at"] = raise_mistake
    stage.runner.on_alive(1)
    del stage.network.on_call["wake_at"]
    stage.runner.on_alive(1)
    assert stage.network.calls == [("wake_at", 7_000)] * 2


def test_what_the_core_found_wrong_with_itself_is_logged_each_time(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        stage.core.notices = [FaultCaught("on_change of market 3", KeyError("x"))]
        stage.runner.on_alive(1)
    assert [record.getMessage() for record in caplog.records] == [
        "internal error in on_change of market 3; the client keeps running; please report this"
    ] * 2
    assert stage.runner.unexpected == ("KeyError in on_change of market 3",)


def test_what_concerns_a_book_is_passed_on_in_its_order_and_a_refused_limit_is_logged(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    found = Comparison(12, 4, 0, 0, 0)
    told = [TroubleFound(1, "gap", "expected 12"), notice(1, Status.BUFFERING), AuditDone(1, found, "")]
    stage.core.notices = [*told[:2], LimitRefused("binance.com", "BTCUSDT", 5_000, 1_000, "-1130"), told[2]]
    stage.runner.on_alive(1)
    assert stage.told == told
    (record,) = caplog.records
    assert "5000" in record.getMessage().replace(",", "")


# --- a loop that is watched -------------------------------------------------------------------------


def test_whatever_happens_tells_the_router_that_the_loop_looks_after_its_books(stage: Stage) -> None:
    for happens in (
        lambda: stage.runner.on_open(5),
        lambda: stage.runner.on_alive(5),
        lambda: stage.runner.on_closed(5, Closed(None, "")),
        lambda: stage.runner.on_response(6, Failure("refused")),
        stage.runner.on_wake,
        stage.runner.on_events,
    ):
        stage.network.clock_ns += 1
        happens()
        assert stage.router.attended_ns[-1] == stage.network.clock_ns


def test_the_core_hears_of_a_pause_once_and_before_anything_else(stage: Stage) -> None:
    stage.runner.on_alive(5)
    stage.router.pauses = 1
    stage.runner.on_response(6, Response(200, {}, b"{}"))
    stage.runner.on_alive(5)
    assert [call[0] for call in stage.core.calls] == ["on_alive", "on_resumed", "on_response", "on_alive"]


def test_the_end_of_the_loop_closes_the_books_without_asking_the_core(stage: Stage) -> None:
    stage.runner.on_loop_ended()
    assert stage.router.closed == [("the event loop ended before the client was closed", 1_000)]
    assert stage.core.calls == []

"""A connection whose last book was removed stays for a moment: the exchange limits how often one connects."""

from __future__ import annotations

from tests.core.harness import Bench
from tests.engine import Engine


def test_books_that_come_and_go_quickly_do_not_use_up_the_connects(engine: Engine) -> None:
    bench = Bench(router=engine.Router())
    for _ in range(300):
        bench.add("AUSDT")
        bench.run(0.05)
        bench.core.remove(bench.ids.pop("AUSDT"), bench.now_ns)
        bench.run(0.02)
    bench.add("BUSDT")
    bench.run_until(bench.all_synced, within_s=60)  # snapshots have used the request weight of a minute
    assert len(bench.exchange.connects) == 1


def test_a_connection_without_books_ends_after_ten_seconds(engine: Engine) -> None:
    bench = without_books(engine)
    bench.run(9)
    assert [socket.streams for socket in bench.exchange.sockets.values()] == [set()]
    bench.run(2)
    assert bench.exchange.sockets == {}
    bench.run(120)
    assert len(bench.exchange.connects) == 1


def test_a_connection_without_books_that_is_lost_is_not_opened_again(engine: Engine) -> None:
    bench = without_books(engine)
    bench.run(1)
    bench.exchange.close_all()
    bench.run(120)
    assert len(bench.exchange.connects) == 1


def without_books(engine: Engine) -> Bench:
    """A client whose only book was just removed."""
    bench = Bench(router=engine.Router())
    bench.add("AUSDT")
    bench.run_until(bench.all_synced, within_s=60)
    bench.core.remove(bench.ids.pop("AUSDT"), bench.now_ns)
    return bench

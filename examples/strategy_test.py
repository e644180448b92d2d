"""A strategy tested in five minutes of trouble, on a virtual clock: in a second, and the same every time."""

from depthcache import BookNotSynced, BookReader
from depthcache.simulator import Faults, Pair, SimulatedExchange


class Quoter:
    """One's own program: it quotes around the middle, and not at all while the book cannot be trusted."""

    quote: tuple[float, float] | None = None

    def look(self, book: BookReader) -> None:
        """Called whenever something happened."""
        try:
            bid, ask, _ = book.best
        except BookNotSynced:
            self.quote = None
            return
        self.quote = None if bid is None or ask is None else (bid.price, ask.price)


trouble = Faults(seed=7, drop=0.01, reorder=0.01, cut=0.001, lagging=0.3)
pair = Pair(SimulatedExchange({"binance.com": ["BTCUSDT"]}, seed=1, faults=trouble))
book, quoter = pair.add("binance.com", "BTCUSDT"), Quoter()
quoted = silent = 0


def on_step() -> None:
    """After everything that happened at one moment."""
    global quoted, silent
    quoter.look(book)
    quoted, silent = quoted + (quoter.quote is not None), silent + (quoter.quote is None)
    assert quoter.quote is None or quoter.quote[0] < quoter.quote[1], "never a crossed quote"


pair.on_step = on_step
pair.run_for(300)
pair.close()
print(f"quoted at {quoted} moments, silent at {silent}; {book.counters['gaps']} gaps")

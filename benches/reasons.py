"""Why known thresholds are missed, and what could be tried next; the report prints both."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """`row`: a pattern that finds the row's text. `why` and `idea`: whole sentences."""

    row: str
    why: str
    idea: str


REASONS = (
    Reason(
        r"top 20 of both sides, first after",
        "ccxt builds its lists while it applies an update, which this row does not count, and hands them out "
        "themselves. Here a first read takes a lock, copies 40 pairs of numbers and makes two sequences that "
        "nobody can change.",
        "Copy both sides under one lock, and reuse sequences that nobody holds any more.",
    ),
    Reason(
        r"all of 40 levels used, unchanged",
        "Nearly all of the time is the loop, which is the same for both.",
        "Read the count of levels without a conversion for every integer type.",
    ),
    Reason(
        r"all of 40 levels used, first after",
        "As for the top 20; and the tuples of the levels that changed are made in the read.",
        "Let the native thread prepare the numbers of books that are read after every update.",
    ),
    Reason(
        r"used, by attributes or unpacking",
        "CPython takes twice as long to unpack a NamedTuple as a plain tuple, so the loop alone takes nearly "
        "all of the limit. `pairs` gives plain tuples.",
        "A native class for levels, with attributes and a fast iterator, measured against NamedTuple.",
    ),
    Reason(
        r"(best bid and ask|mid|cost of buying 5), first after",
        "The first call after other work takes about 70 ns before it reads anything: its code has left the "
        "caches, and every read looks at the clock to notice a pause of the machine.",
        "Read a time that the native thread keeps in memory instead of the system's clock.",
    ),
    Reason(
        r"used.* with the update before",
        "Creating 40 Python objects takes longer than the update itself.",
        "As for the first reads alone.",
    ),
    Reason(
        r"CPU at [\d,]+/s against the bare receiver",
        "Of 500 books, none is in the nearest caches when its frame comes, and their frames come from a few "
        "connections in turns, so that the head of the frame before is seldom that of the next.",
        "Remember the head of a message for each book, and prefetch a book as soon as its symbol is read.",
    ),
    Reason(
        r"CPU for a message",
        "Each update has one subscriber here, so every message wakes a worker of the server for itself, "
        "which costs more than to encode and to send it; several subscribers of a book share the wake-up. "
        "Until there was one worker for two processors, a second one was woken as well: 33 us.",
        "Let the feed note all books of one read of its socket, and wake the worker once.",
    ),
    Reason(
        r"p99 above the relay's",
        "A message changes threads once more than in the relay: the thread of the feed never writes to a "
        "subscriber, so that none can delay a book. On two busy cores the next thread waits for a core.",
        "As for the CPU of a message; and measure on more cores than there are busy threads.",
    ),
    Reason(
        r"read of a book (of its own|through another node)",
        "Three nodes and the exchange share the two cores of this machine: a read probably waits until a "
        "thread that applies frames or checks other nodes gives its core back. The bare handler is alone.",
        "Measure with a core for each node; and give threads that serve readers a higher priority.",
    ),
    Reason(
        r"each item taken",
        "An item looks up its market, takes its lock, copies levels and makes objects. With 500 books, the "
        "memory of each has left the nearest caches; an empty call never waits for memory.",
        "Take several items in one call, and prefetch the next marked market meanwhile.",
    ),
    Reason(
        r"against orjson\.loads",
        "Two thirds of the time go into setting levels: 40 % of the updates of spot BTCUSDT are new prices, "
        "which cost two to three times as much as changes.",
        "Groups of 64 ticks with a bitmap each, in a table around the best price (docs/concepts/ladder.md).",
    ),
    Reason(
        r"the slowest hundredth of frames",
        "Frames of one to three levels divide the fixed cost of a frame among few levels.",
        "Less work per frame beside its levels: status, followers and clock once for a batch of frames.",
    ),
)


def reason_of(what: str) -> Reason | None:
    """The reason that is known for a row."""
    return next((reason for reason in REASONS if re.search(reason.row, what)), None)

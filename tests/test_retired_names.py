"""Retired names do not return as identifiers or file names.

Only identifiers are retired, never English words: "line", "place" and "order" are fine in prose where they
are right. docs/glossary.md defines the terms.
"""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IDENTIFIERS = {
    # client
    "Wanted": "ClientConfig",
    "snapshot_places": "exchanges_by_depth_url",
    "Lookup": "BooksBase",
    "Listener": "CallbackHandle",
    "ThreadListeners": "ThreadCallbacks",
    "LAST_CALL_S": "CALLBACK_DRAIN_S",
    "Wish": "FollowSpec",
    "parse_wish": "parse_follow_spec",
    "FollowOptions": "named parameters",
    "Facts": "Stats",
    "BookFacts": "BookStats",
    "ConnectionFacts": "ConnectionStats",
    "BudgetFacts": "BudgetStats",
    # core
    "Plane": "ConnectionPool",
    "Carriage": "Arbitration",
    "Strand": "Feed",
    "Succession": "Handover",
    "Upkeep": "Maintenance",
    "Depths": "DepthScheduler",
    "Seed": "Bootstrap",
    "Proof": "CrossCheck",
    "start_proof": "start_cross_check",
    "end_proof": "end_cross_check",
    "Pacer": "RequestScheduler",
    "Ticket": "PendingRequest",
    "Asker": "Requester",
    "Listing": "ExchangeInfoPoller",
    "Listed": "ListingSubscriber, ListedSymbol",
    "Verdict": "ResponseAction, SequenceCheck, Severity",
    "judge_handshake": "classify_handshake",
    "on_answer": "on_response",
    "OWN_MISTAKE_WITH_BOOK": "INTERNAL_ERROR_WITH_BOOK",
    "OWN_MISTAKE_WITH_CONNECTION": "INTERNAL_ERROR_WITH_CONNECTION",
    "ANSWER_NEVER_REPORTED": "RESPONSE_NEVER_REPORTED",
    "answer_read_late": "response_read_late",
    "is_to_be_told": "should_report",
    "looks_itself": "any_notice",
    "renew_in": "schedule_handover",
    "resettle": "reassign",
    "last_life_ns": "last_alive_ns",
    "_look_for_life": "_check_liveness",
    "_first_in_line": "_next",
    "_ABSURD": "_IMPLAUSIBLE_FACTOR",
    "_RINGS": "_DRAIN_BYTES",
    "_keep_record": "_start_recording",
    "TellTrouble": "TroubleFound",
    "TellAudit": "AuditDone",
    "TellLimit": "LimitRefused",
    "TellFault": "FaultCaught",
    # io
    "Ears": "WebSocketHandler",
    "TakesFrames": "FrameSink",
    "Pulse": "LoopWatchdog",
    "MarksStalled": "StallSink",
    "Way": "Route",
    "way_to": "proxy_for",
    "Through": "RouteArguments",
    "Flights": "FlightDumps",
    "save_flight": "save_flight_dump",
    "write_flight": "write_flight_dump",
    "flight_to": "flight_dumps_to",
    # recordings and the simulator
    "Held": "HeldBook, DatedId",
    "Place": "SourcePosition, RunningMarket, SubscriptionState",
    "Cast": "RecordingIndex",
    "VenueCast": "VenueIndex",
    "Carrier": "HttpServer",
    "Marks": "IdHistory",
    "HttpAnswer": "HttpResponse",
    # books
    "MidPrice": "mid, microprice",
    "Terms": "MarketConfig",
    "Said": "Reason",
    "Standing": "StatusInfo",
    "Seat": "FollowerSlot",
    "What": "ChangeSummary",
    "Fresh": "RolledSnapshot",
    "Deep": "DepthTarget",
    "Surroundings": "ConnectionContext",
    "goodbye_s": "close_timeout_s",
    "hollow": "tombstone",
    "is_far": "is_worthwhile",
    "add_line": "add_feed",
    "remove_line": "remove_feed",
    "set_enough": "set_depth_target",
    "Desk": "MarketHarness",
    "Dice": "Generator",
}
"""What was retired, and what stands in its place."""

FILES = (
    "depthcache/caches.py",
    "depthcache/view.py",
    "depthcache/lookup.py",
    "depthcache/wanted.py",
    "depthcache/listen.py",
    "core/upkeep.py",
    "core/depths.py",
    "core/plane.py",
    "core/link.py",
    "core/carriage.py",
    "core/seed.py",
    "core/proof.py",
    "core/pacing.py",
    "core/answers.py",
    "core/replies.py",
    "core/listing.py",
    "core/order.py",
    "io/pulse.py",
    "io/flights.py",
    "io/journal.py",
    "simulator/memory.py",
    "simulator/cast.py",
    "simulator/place.py",
    "simulator/carrier.py",
    "simulator/listener.py",
    "ubldc/faces.py",
    "ubldc/rest_face.py",
    "benches/crowd.py",
    "benches/processor.py",
    "book/src/far.rs",
    "scan/usual.rs",
    "market/deep.rs",
    "market/listing.rs",
    "router/live.rs",
    "follow/seat.rs",
    "transport/src/words.rs",
    "book/src/lines.rs",
    "support/desk.rs",
    "support/dice.rs",
)
"""Names of files that are retired."""

RUST_TEXTS = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"', re.DOTALL)


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks; none outside a checkout."""
    answer = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [ROOT / line for line in answer.stdout.splitlines()] if answer.returncode == 0 else []


def identifiers(path: Path, source: str) -> set[str]:
    """The identifiers of a source: no comment, no text."""
    if path.suffix == ".rs":
        return set(re.findall(r"\w+", RUST_TEXTS.sub(" ", source)))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


SOURCES = [
    path
    for path in tracked("src/*.py", "src/*.pyi", "tests/*.py", "benches/*.py", "examples/*.py", "*.rs")
    if path != Path(__file__) and path.is_file() and "compat" not in path.parts
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_retired_identifier_is_used(path: Path) -> None:
    found = identifiers(path, path.read_text("utf-8")) & IDENTIFIERS.keys()
    assert {name: IDENTIFIERS[name] for name in sorted(found)} == {}


def test_no_file_has_a_retired_name() -> None:
    assert [str(path) for path in tracked() if str(path).endswith(FILES)] == []


def test_a_retired_identifier_is_noticed_and_prose_is_not() -> None:
    source = '"""A Ticket is an English word."""\nclass Ticket: ...  # Plane, too\n'
    assert identifiers(Path("a.py"), source) & IDENTIFIERS.keys() == {"Ticket"}
    assert identifiers(Path("a.rs"), "// Seat\nstruct Terms; // Said") & IDENTIFIERS.keys() == {"Terms"}

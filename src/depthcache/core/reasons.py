"""The reasons that the core gives for the status of a book or connection, as users read them.

Reasons of the book itself are in `reference.reasons` and repeated by the native engine; log lines are in
`logs`.
"""

from __future__ import annotations

from depthcache.errors import MalformedSnapshot, SymbolMismatch
from depthcache.events import Comparison

__all__ = [
    "ASKED_BEFORE_PAUSE",
    "AWAITING_DATA",
    "CHECK_TOKEN",
    "CHECK_TRUST",
    "CHECK_URL",
    "CLIENT_CLOSED",
    "CONNECTION_GONE",
    "CONNECTION_NEW",
    "INTERNAL_ERROR_WITH_BOOK",
    "INTERNAL_ERROR_WITH_CONNECTION",
    "MOVED_ON",
    "NEEDS_TOKEN",
    "NOT_COMPARABLE",
    "NOT_CONFIRMED",
    "NOT_OPENED",
    "NO_STATE",
    "NO_SUCH_MARKET",
    "NO_TLS",
    "REMOVED",
    "RESPONSE_NEVER_REPORTED",
    "SNAPSHOT_TOO_OLD",
    "STREAM_MOVES",
    "TOO_MANY_CONTROL_MESSAGES",
    "USE_HTTP",
    "connection_closed",
    "connection_silent",
    "connection_without_data",
    "crossed_for",
    "ended",
    "halted",
    "late",
    "late_beyond",
    "list_awaited",
    "listed_again",
    "malformed_snapshot",
    "not_listed",
    "not_trading",
    "of_server",
    "other_protocol",
    "prices_differed",
    "refused_for_audit",
    "requests_stopped",
    "response_read_late",
    "snapshot_failed",
    "snapshot_not_taken",
    "snapshot_refused",
    "stream_refused",
    "unknown_symbol",
]

# --- the book ------------------------------------------------------------------------------

REMOVED = "removed by the application"
CLIENT_CLOSED = "the client was closed"
NO_SUCH_MARKET = "this client does not have the book, or no longer"
INTERNAL_ERROR_WITH_BOOK = "internal error while handling the book"
AWAITING_DATA = "resubscribed because the stream had no data; waiting for data"
MOVED_ON = "the exchange's book changed, but no update arrived"
NOT_COMPARABLE = "no update arrives, and comparing the book with a snapshot fails"
COPY_TOO_OLD = "its book is behind the updates of this client"
NOT_CONFIRMED = "no update confirmed the snapshot"


def crossed_for(seconds: float) -> str:
    """Best prices touched or crossed for too long."""
    return f"crossed for {seconds:g} s"


def late(late_s: float) -> str:
    """Updates arrive late."""
    return f"updates arrive {late_s:.1f} s late"


def late_beyond(most_s: float) -> str:
    """Updates arrive later than the policy allows."""
    return f"updates arrive more than {most_s:g} s late"


def prices_differed(found: Comparison) -> str:
    """A comparison found wrong prices."""
    compared = f"{found.wrong} of {found.checked} prices"
    return f"{compared} differed from the exchange's at update id {found.update_id}"


# --- snapshots -----------------------------------------------------------------------------

SNAPSHOT_TOO_OLD = "the snapshot is older than the buffered updates; requesting a newer one"
RESPONSE_NEVER_REPORTED = "the network reported no response"
ASKED_BEFORE_PAUSE = "it was requested before the machine or this process was paused"


def response_read_late(after_s: float) -> str:
    """A response was read too late to prove anything about the present."""
    return f"the response was read {after_s:.0f} s after the request"


def malformed_snapshot(what: str) -> str:
    """A body is not a valid snapshot."""
    return f"malformed snapshot: {what}"


def requests_stopped(reason: str, for_s: float) -> str:
    """All requests of the budget are stopped, from the response on."""
    return f"requests are stopped for {for_s:,.0f} s: {reason}"


def snapshot_failed(reason: str) -> str:
    """A snapshot request failed."""
    return f"the snapshot request failed and will be retried: {reason}"


def copy_failed(reason: str) -> str:
    """Another node of the cluster did not give its book."""
    return f"copying the book of another node failed: {reason}"


def snapshot_refused(reason: str) -> str:
    """The exchange refused a snapshot because the symbol is not trading."""
    return f"the exchange refused the snapshot; it will be requested again: {reason}"


def refused_for_audit(reason: str) -> str:
    """The exchange refused the snapshot of an audit."""
    return f"the exchange refused the snapshot: {reason}"


def snapshot_not_taken(error: MalformedSnapshot | SymbolMismatch) -> str:
    """The book rejected a snapshot."""
    if isinstance(error, SymbolMismatch):
        return f"the snapshot is for {error.received}"
    return malformed_snapshot(error.what)


# --- the symbol ----------------------------------------------------------------------------


def list_awaited(reason: str) -> str:
    """A snapshot was refused as if the symbol did not exist."""
    return f"waiting for the exchange's list of symbols: {reason}"


def listed_again(reason: str) -> str:
    """A symbol whose snapshot was refused is on the list."""
    return f"the symbol is listed; its snapshot will be requested again: {reason}"


def not_trading(reason: str) -> str:
    """A snapshot was refused because the symbol is not trading."""
    return f"the exchange reports that the symbol is not trading: {reason}"


def halted(status: str) -> str:
    """The list says that the symbol is not trading."""
    return f"the exchange reports status {status}"


def ended(status: str) -> str:
    """The list says that the symbol has ended."""
    return f"the exchange ended the symbol: status {status}"


def unknown_symbol(refused: str) -> str:
    """Neither snapshots nor the list know a symbol that never had data."""
    return f"the exchange does not know the symbol: {refused}"


def not_listed(refused: str) -> str:
    """A symbol that had data is no longer on the list."""
    return "the exchange no longer lists the symbol" + (f": {refused}" if refused else "")


# --- connections ---------------------------------------------------------------------------

CONNECTION_GONE = "the connection is gone"
CONNECTION_NEW = "the connection is new"
CHECK_TOKEN = "check the token: the argument token, or DEPTHCACHE_TOKEN"  # noqa: S105 - words for people
CHECK_TRUST = "check the trust: the argument ca or fingerprint, or DEPTHCACHE_CA_FILE"
NEEDS_TOKEN = (
    "the server asks programs on other machines for a token: give the argument token, or DEPTHCACHE_TOKEN "  # noqa: S105
    "(the contents of read.token)"
)
CERTIFICATE_REJECTED = "the TLS certificate was rejected"  # the words of both transports
NO_TLS = "the server does not speak TLS"  # the words of both transports (`describe_error.rs`)
USE_HTTP = "use http://"
CHECK_URL = "check the URL: it must be that of a book server which speaks the exchange's protocol"
NO_STATE = (
    "no state of its book arrives: it is no server of depthcache, or of a release without this protocol"
)
NOT_OPENED = "the connection did not open in time"
INTERNAL_ERROR_WITH_CONNECTION = "internal error while handling the connection"
STREAM_MOVES = "the stream is moving to another connection"
TOO_MANY_CONTROL_MESSAGES = "too many control messages to buffer"


def connection_closed(reason: str, *, was_open: bool, code: int | None, held_s: float | None) -> str:
    """A connection was lost, or could not be made. `held_s`: how long no connect is allowed."""
    said = f"the connection {'was lost' if was_open else 'could not be made'}"
    said += f": {reason}" if reason else ""
    said += "" if held_s is None else f"; no new attempt for {held_s:,.0f} s"
    return said if code is None else f"{said} (close code {code})"


def other_protocol(reason: str) -> str:
    """A book server does not have the stream by which this release reads its books."""
    return f"its protocol is not that of this client, upgrade the older of the two: {reason}"


def of_server(server: str, reason: str) -> str:
    """What a book server says, or what happened to the connection to it."""
    return f"{server}: {reason}"


def held_by_none(reason: str, others: list[str]) -> str:
    """No book server holds the symbol. `reason`: of the last one asked. `others`: the names of the others."""
    return f"{reason}; nor does {', nor '.join(others)}" if others else reason


def connection_silent(method: str | None, patience_s: float) -> str:
    """No response to a control message arrived; without a method, nothing arrived at all."""
    what = "nothing received" if method is None else f"no response to {method}"
    return f"{what} within {patience_s:g} s"


def connection_without_data(reason: str) -> str:
    """No stream of a connection delivers data."""
    return f"the connection delivers no data: {reason}"


def stream_refused(code: int | None, text: str) -> str:
    """The exchange refused a subscription."""
    return f"the exchange refused the stream: {text if code is None else f'code {code}: {text}'}"

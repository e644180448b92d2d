"""Begin and end books for clients of the old cluster (UBDCC 0.9), by the error ids of its contract.

Exchange keys that such a client hands over are accepted, since its programs expect that, and used for
nothing: order books need none. Of a key only its first and last characters are kept, of a secret nothing.
"""

from __future__ import annotations

import json
import time
import uuid
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from depthcache import logs
from depthcache.errors import DepthCacheError
from depthcache.model import Status, compact_json
from depthcache.server.kept_books import KeptBooks
from depthcache.server.management import ManagedBooks

__all__ = ["CompatManagement"]

_PREFIX = "compat_"
_GROUPS = (
    "binance.com",
    "binance.com-futures-testnet",
    "binance.com-testnet",
    "binance.tr",
    "binance.us",
)
_MOST_CREDENTIALS = 1_000
_MOST_MARKETS = 5_000
_NO_EFFECT = {
    "desired_quantity": "kept once, by this process: desired_quantity has no effect",
    "update_interval": "kept at the speed of this server (speed_ms): update_interval has no effect",
    "refresh_interval": "compared and repaired without a timer: refresh_interval has no effect",
}
"""What an answer says of an option that was asked for, and why nothing follows from it."""
_USUAL = {"desired_quantity": 1, "update_interval": None, "refresh_interval": 0}
"""What the old cluster does anyway."""

_Given = dict[str, Any]


class _Refused(Exception):
    """The contract's error."""

    def __init__(self, error_id: str, message: str) -> None:
        super().__init__(message)
        self.error_id, self.message = error_id, message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Credential:
    """What is kept of a pair of keys."""

    account_group: str
    added_timestamp: float
    preview: str


class CompatManagement:
    """Answers the managing requests of old clients; for an asyncio client, only on its loop."""

    def __init__(self, books: ManagedBooks, kept: KeptBooks) -> None:
        self._books, self._kept = books, kept
        self._credentials: dict[str, _Credential] = {}
        self._handlers: dict[str, Callable[[_Given], _Given]] = {
            "create_depthcache": self._create,
            "create_depthcaches": self._create_several,
            "stop_depthcache": self._stop,
            "add_credentials": self._add_credentials,
            "remove_credentials": self._remove_credentials,
            "get_credentials_list": self._list_credentials,
        }

    def answers(self, route: str) -> bool:
        """Whether a route is one of these."""
        return route.startswith(_PREFIX)

    def answer(self, route: str, body: bytes) -> bytes:
        """The facts of an answer as JSON. Never raises: a bug is error #9000 and a log line."""
        try:
            facts = {"result": "OK"} | self._handlers[route.removeprefix(_PREFIX)](_parsed(body))
            self._kept.save()
        except _Refused as error:
            facts = _error(error.error_id, error.message)
        except Exception as error:  # noqa: BLE001 - the sender gets an answer, the log the error
            logs.unexpected(where="a request of an old client", error=error)
            facts = _error("#9000", "a bug in the server: its log has the error")
        return compact_json(facts)

    # --- books ----------------------------------------------------------------------------------

    def _create(self, given: _Given) -> _Given:
        exchange, market = _required(given, "#1016", "exchange", "market")
        words = _options(given)
        if self._held(exchange, market) is not None:
            raise _Refused("#1024", f"DepthCache '{market}' for '{exchange}' already exists!")
        self._begin(exchange, market)
        return words

    def _create_several(self, given: _Given) -> _Given:
        exchange, listed = _required(given, "#1016", "exchange", "markets")
        words = _options(given)
        failed: dict[str, str] = {}
        for market in _markets(listed):
            if self._held(exchange, market) is None:
                try:
                    self._begin(exchange, market)
                except _Refused as error:
                    failed[market] = error.message
        if failed:
            named = "; ".join(f"{market}: {why}" for market, why in list(failed.items())[:5])
            message = f"{len(failed)} of the markets cannot be kept: {named}"
            return _error("#1018", message) | {"failed": list(failed)}
        return words

    def _stop(self, given: _Given) -> _Given:
        exchange, market = _required(given, "#1019", "exchange", "market")
        held = self._held(exchange, market)
        if held is None:
            raise _Refused("#7000", f"DepthCache '{market}' for '{exchange}' not found!")
        self._books.remove(held.symbol, held.exchange)
        self._kept.end(held.exchange, held.symbol)
        return {}

    def _held(self, exchange: str, market: str) -> Any:
        try:
            held = self._books.get((exchange, market))
        except DepthCacheError as error:
            raise _Refused("#1017", str(error)) from None
        return None if held is None or held.status is Status.CLOSED else held

    def _begin(self, exchange: str, market: str) -> None:
        """Raises _Refused, also for an exchange that does not exist."""
        try:
            book = self._books.add(market, exchange)
        except DepthCacheError as error:
            raise _Refused("#1017", str(error)) from None
        self._kept.begin(book.exchange, book.symbol)

    # --- credentials ----------------------------------------------------------------------------

    def _add_credentials(self, given: _Given) -> _Given:
        group, key, _ = _required(given, "#1030", "account_group", "api_key", "api_secret")
        if group not in _GROUPS:
            allowed = ", ".join(_GROUPS)
            raise _Refused("#1031", f"Invalid account_group. Valid groups: {allowed}")
        if len(self._credentials) >= _MOST_CREDENTIALS:
            raise _Refused("#1032", f"{_MOST_CREDENTIALS} credentials are held already")
        number = str(uuid.uuid4())
        self._credentials[number] = _Credential(
            account_group=group, added_timestamp=time.time(), preview=_preview(key)
        )
        return {"id": number, "message": "order books need no keys: these are used for nothing"}

    def _remove_credentials(self, given: _Given) -> _Given:
        [number] = _required(given, "#1033", "id")
        if self._credentials.pop(number, None) is None:
            raise _Refused("#1034", "Credentials not found!")
        return {}

    def _list_credentials(self, _: _Given) -> _Given:
        return {
            "credentials": [
                {
                    "id": number,
                    "account_group": held.account_group,
                    "added_timestamp": held.added_timestamp,
                    "assigned_dcns": [],
                    "api_key_preview": held.preview,
                }
                for number, held in self._credentials.items()
            ]
        }


def _error(error_id: str, message: str) -> _Given:
    return {"result": "ERROR", "error_id": error_id, "message": message}


def _parsed(body: bytes) -> _Given:
    """The parameters; those of a query are an object of texts. Release 2.9 encodes twice."""
    try:
        given = json.loads(body or b"{}")
        is_twice = isinstance(given, str)
        if is_twice:
            given = json.loads(given)
    except (ValueError, RecursionError):
        raise _Refused("#1014", "the body is no JSON") from None
    if not isinstance(given, dict):
        raise _Refused("#1014", "the body is no JSON object")
    return cast("_Given", given)


def _required(given: _Given, error_id: str, *names: str) -> list[Any]:
    values = [given.get(name) for name in names]
    if any(value in (None, "", []) for value in values):
        raise _Refused(error_id, f"Missing required parameter: {', '.join(names)}")
    for name, value in zip(names, values, strict=True):
        if name != "markets" and not isinstance(value, str):
            raise _Refused(error_id, f"{name} is no text")
    return values


def _options(given: _Given) -> _Given:
    """What the answer says of options; raises _Refused for what is no number."""
    words: list[str] = []
    for name, least in (("desired_quantity", 1), ("update_interval", 1), ("refresh_interval", 0)):
        value = given.get(name)
        if value in (None, "", "None"):
            continue
        try:
            number = int(str(value))
        except ValueError:
            number = -1
        if number < least:
            raise _Refused(
                "#1017", f"{name} is {str(value)[:50]!r}; allowed: a whole number, {least} or more"
            )
        if number != _USUAL[name]:
            words.append(_NO_EFFECT[name])
    return {"message": "; ".join(words)} if words else {}


def _markets(listed: Any) -> list[str]:
    """A list; or as text: names with commas between them, or the Base64 of a JSON list (release 2.8)."""
    found = listed
    if isinstance(listed, str):
        try:
            found = json.loads(b64decode(listed, validate=True))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list):
            found = [each.strip() for each in listed.split(",") if each.strip()]
    listed_names: list[Any] = cast("list[Any]", found)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in listed_names):
        raise _Refused("#1016", "markets is no list of symbols")
    names: list[str] = list(dict.fromkeys(listed_names))
    if len(names) > _MOST_MARKETS:
        raise _Refused("#1016", f"{_MOST_MARKETS} markets at most")
    return names


def _preview(key: str) -> str:
    """As the old cluster masks it; of a short key nothing is shown."""
    fewest = 12
    return f"{key[:4]}**********{key[-2:]}" if len(key) >= fewest else "*" * 10

"""Begin and end books for clients of the old cluster (UBDCC 0.9), by the error ids of its contract.

Exchange keys that such a client hands over are accepted, since its programs expect that, and used for
nothing: order books need none. Of a key only its first and last characters are kept, of a secret nothing.
"""

from __future__ import annotations

import json
import time
import uuid
from base64 import b64decode
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, cast

from depthcache import logs
from depthcache.errors import DepthCacheError
from depthcache.model import Status, compact_json
from depthcache.server.kept_books import KeptBooks
from depthcache.server.management import ManagedBooks

__all__ = [
    "NO_EFFECT",
    "CompatCredential",
    "CompatManagement",
    "ContractError",
    "Given",
    "contract_error",
    "parse_markets",
    "parse_options",
    "parse_parameters",
    "required",
    "without_effect",
]

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
NO_EFFECT = {
    "desired_quantity": "kept once, by this process: desired_quantity has no effect",
    "update_interval": "kept at the speed of this server (speed_ms): update_interval has no effect",
    "refresh_interval": "compared and repaired without a timer: refresh_interval has no effect",
}
"""What an answer says of an option that was asked for, and why nothing follows from it."""
_USUAL = {"desired_quantity": 1, "update_interval": None, "refresh_interval": 0}
"""What the old cluster does anyway."""

Given = dict[str, Any]
"""Parameters of a request, or facts of an answer."""


class ContractError(Exception):
    """The contract's error."""

    def __init__(self, error_id: str, message: str) -> None:
        super().__init__(message)
        self.error_id: str = error_id
        self.message: str = message


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatCredential:
    """What is kept of a pair of keys.

    Attributes:
        account_group: the accounts that it is for.
        added_timestamp: when it was added, in seconds since 1970.
        preview: the first and last characters of the key.
    """

    account_group: str
    added_timestamp: float
    preview: str


class CompatManagement:
    """Answers the managing requests of old clients; for an asyncio client, only on its loop."""

    def __init__(self, books: ManagedBooks, kept: KeptBooks) -> None:
        self._books, self._kept = books, kept
        self.credentials: MutableMapping[str, CompatCredential] = {}
        """By their numbers; a cluster keeps them elsewhere."""
        self._handlers: dict[str, Callable[[Given], Given]] = {
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
            facts = {"result": "OK"} | self._handlers[route.removeprefix(_PREFIX)](parse_parameters(body))
            self._kept.save()
        except ContractError as error:
            facts = contract_error(error.error_id, error.message)
        except Exception as error:  # noqa: BLE001 - the sender gets an answer, the log the error
            logs.unexpected(where="a request of an old client", error=error)
            facts = contract_error("#9000", "a bug in the server: its log has the error")
        return compact_json(facts)

    # --- books ----------------------------------------------------------------------------------

    def _create(self, given: Given) -> Given:
        exchange, market = required(given, "#1016", "exchange", "market")
        words = without_effect(parse_options(given))
        if self._held(exchange, market) is not None:
            raise ContractError("#1024", f"DepthCache '{market}' for '{exchange}' already exists!")
        self._begin(exchange, market)
        return words

    def _create_several(self, given: Given) -> Given:
        exchange, listed = required(given, "#1016", "exchange", "markets")
        words = without_effect(parse_options(given))
        failed: dict[str, str] = {}
        for market in parse_markets(listed):
            if self._held(exchange, market) is None:
                try:
                    self._begin(exchange, market)
                except ContractError as error:
                    failed[market] = error.message
        if failed:
            named = "; ".join(f"{market}: {why}" for market, why in list(failed.items())[:5])
            message = f"{len(failed)} of the markets cannot be kept: {named}"
            return contract_error("#1018", message) | {"failed": list(failed)}
        return words

    def _stop(self, given: Given) -> Given:
        exchange, market = required(given, "#1019", "exchange", "market")
        held = self._held(exchange, market)
        if held is None:
            raise ContractError("#7000", f"DepthCache '{market}' for '{exchange}' not found!")
        self._books.remove(held.symbol, held.exchange)
        self._kept.end(held.exchange, held.symbol)
        return {}

    def _held(self, exchange: str, market: str) -> Any:
        try:
            held = self._books.get((exchange, market))
        except DepthCacheError as error:
            raise ContractError("#1017", str(error)) from None
        return None if held is None or held.status is Status.CLOSED else held

    def _begin(self, exchange: str, market: str) -> None:
        """Raises ContractError, also for an exchange that does not exist."""
        try:
            book = self._books.add(market, exchange)
        except DepthCacheError as error:
            raise ContractError("#1017", str(error)) from None
        self._kept.begin(book.exchange, book.symbol)

    # --- credentials ----------------------------------------------------------------------------

    def _add_credentials(self, given: Given) -> Given:
        group, key, _ = required(given, "#1030", "account_group", "api_key", "api_secret")
        if group not in _GROUPS:
            allowed = ", ".join(_GROUPS)
            raise ContractError("#1031", f"Invalid account_group. Valid groups: {allowed}")
        if len(self.credentials) >= _MOST_CREDENTIALS:
            raise ContractError("#1032", f"{_MOST_CREDENTIALS} credentials are held already")
        number = str(uuid.uuid4())
        self.credentials[number] = CompatCredential(
            account_group=group, added_timestamp=time.time(), preview=_preview(key)
        )
        return {"id": number, "message": "order books need no keys: these are used for nothing"}

    def _remove_credentials(self, given: Given) -> Given:
        [number] = required(given, "#1033", "id")
        if self.credentials.pop(number, None) is None:
            raise ContractError("#1034", "Credentials not found!")
        return {}

    def _list_credentials(self, _: Given) -> Given:
        return {
            "credentials": [
                {
                    "id": number,
                    "account_group": held.account_group,
                    "added_timestamp": held.added_timestamp,
                    "assigned_dcns": [],
                    "api_key_preview": held.preview,
                }
                for number, held in self.credentials.items()
            ]
        }


def contract_error(error_id: str, message: str) -> Given:
    """The facts of an answer that says what is wrong."""
    return {"result": "ERROR", "error_id": error_id, "message": message}


def parse_parameters(body: bytes) -> Given:
    """The parameters; those of a query are an object of texts. Release 2.9 encodes twice."""
    try:
        given = json.loads(body or b"{}")
        is_twice = isinstance(given, str)
        if is_twice:
            given = json.loads(given)
    except (ValueError, RecursionError):
        raise ContractError("#1014", "the body is no JSON") from None
    if not isinstance(given, dict):
        raise ContractError("#1014", "the body is no JSON object")
    return cast("Given", given)


def required(given: Given, error_id: str, *names: str) -> list[Any]:
    """The values of these parameters. Raises ContractError with this id where one is missing."""
    values = [given.get(name) for name in names]
    if any(value in (None, "", []) for value in values):
        raise ContractError(error_id, f"Missing required parameter: {', '.join(names)}")
    for name, value in zip(names, values, strict=True):
        if name != "markets" and not isinstance(value, str):
            raise ContractError(error_id, f"{name} is no text")
    return values


def parse_options(given: Given) -> dict[str, int]:
    """The options that were given, by name. Raises ContractError for what is no number."""
    options: dict[str, int] = {}
    for name, least in (("desired_quantity", 1), ("update_interval", 1), ("refresh_interval", 0)):
        value = given.get(name)
        if value in (None, "", "None"):
            continue
        try:
            number = int(str(value))
        except ValueError:
            number = -1
        if number < least:
            raise ContractError(
                "#1017", f"{name} is {str(value)[:50]!r}; allowed: a whole number, {least} or more"
            )
        options[name] = number
    return options


def without_effect(options: Mapping[str, int], words: Mapping[str, str] = NO_EFFECT) -> Given:
    """What the answer says of options from which nothing follows. `words`: by the name of such an option."""
    said = [each for name, each in words.items() if options.get(name, _USUAL[name]) != _USUAL[name]]
    return {"message": "; ".join(said)} if said else {}


def parse_markets(listed: Any) -> list[str]:
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
        raise ContractError("#1016", "markets is no list of symbols")
    names: list[str] = list(dict.fromkeys(listed_names))
    if len(names) > _MOST_MARKETS:
        raise ContractError("#1016", f"{_MOST_MARKETS} markets at most")
    return names


def _preview(key: str) -> str:
    """As the old cluster masks it; of a short key nothing is shown."""
    fewest = 12
    return f"{key[:4]}**********{key[-2:]}" if len(key) >= fewest else "*" * 10

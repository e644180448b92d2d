"""Whether a port of a node can be reached from here, and what is wrong if not. Every probe ends in time.

A probe connects, shakes hands over TLS and, at the port for readers, asks `/healthz`. Each step fails in its
own way: a refused connection means that no process listens, a silent one that packets are lost on the way,
and a connection without an answer that the process is frozen.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, cast

from depthcache.foreign_text import clean

__all__ = ["CONNECT_S", "Port", "Probe", "Reach", "checking_context", "probe"]

CONNECT_S = 2.0
"""How long connecting may take, and then the answer."""
_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
_OK = b"HTTP/1.1 200"
_MOST_LINE = 256


class Port(StrEnum):
    """Which port of a node."""

    READERS = "readers"
    NODES = "nodes"


class Reach(StrEnum):
    """How far a probe came."""

    REACHED = "reached"
    """The node answered."""
    UNKNOWN = "unknown"
    """The node has not said where this port is."""
    NO_NAME = "no_name"
    """The name of the host is not known here."""
    REFUSED = "refused"
    """The machine answers, and nothing listens on the port."""
    LOST = "lost"
    """No connection in time, or no route: a firewall, a cut, or a machine that is off."""
    SILENT = "silent"
    """Connected, but no answer: the process is frozen or overloaded."""
    UNTRUSTED = "untrusted"
    """Something else than a node of this cluster answers there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The result of one probe.

    Attributes:
        port: which port of the node.
        address: its host and port; empty if unknown.
        reach: how far it came.
        took_ms: how long it took.
        problem: what went wrong, in words; empty if it was reached.
    """

    port: Port
    address: str
    reach: Reach
    took_ms: float = 0.0
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "port": self.port.value, "reach": self.reach.value}

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Probe:
        """What `to_dict` made, perhaps on another release. Raises ValueError, LookupError."""
        return cls(
            port=Port(found["port"]),
            address=clean(found["address"]),
            reach=Reach(found["reach"]),
            took_ms=float(found["took_ms"]),
            problem=clean(found["problem"]),
        )


def checking_context(
    authority: str, *, checks_name: bool, certificate: tuple[str, str] | None = None
) -> ssl.SSLContext:
    """Trusts the authorities of a cluster alone, in PEM. `certificate`: files of one, and of its key."""
    context = ssl.create_default_context(cadata=authority)
    context.check_hostname = checks_name
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


async def probe(
    port: Port, address: str, *, context: ssl.SSLContext | None, node: str = "", timeout_s: float = CONNECT_S
) -> Probe:
    """Try a port of a node. Never raises, and takes at most twice `timeout_s`.

    `context`: None for a port without TLS, or to connect only. `node`: the id that its certificate must name;
    empty for any of the cluster.
    """
    if not address:
        return Probe(port=port, address="", reach=Reach.UNKNOWN, problem="its address is not known")
    begun_s = time.perf_counter()
    found = await _try(Probe(port=port, address=address, reach=Reach.REACHED), context, node, timeout_s)
    return replace(found, took_ms=round((time.perf_counter() - begun_s) * 1e3, 1))


async def _try(made: Probe, context: ssl.SSLContext | None, node: str, timeout_s: float) -> Probe:
    host, _, number = made.address.rpartition(":")
    host = host.strip("[]")
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, int(number))
    except TimeoutError:
        return replace(made, reach=Reach.LOST, problem=f"no connection within {timeout_s:g} s")
    except ConnectionRefusedError:
        return replace(made, reach=Reach.REFUSED, problem="connection refused: nothing listens there")
    except (OSError, ValueError, OverflowError) as error:
        is_name = type(error).__name__ == "gaierror" or isinstance(error, UnicodeError)
        problem = clean(getattr(error, "strerror", None) or error)
        return replace(made, reach=Reach.NO_NAME if is_name else Reach.LOST, problem=problem)
    try:
        async with asyncio.timeout(timeout_s):
            if context is not None:
                await writer.start_tls(context, server_hostname=host)
            problem = _other_node(writer, node) if context is not None and node else ""
            if not problem and made.port is Port.READERS:
                problem = await _ask_health(reader, writer, host)
    except TimeoutError:
        words = f"connected, but no answer within {timeout_s:g} s"
        return replace(made, reach=Reach.SILENT, problem=words)
    except ssl.SSLCertVerificationError as error:
        problem = f"its certificate is not of this cluster ({clean(error.verify_message)})"
    except (OSError, ValueError) as error:
        problem = clean(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
        problem = f"no TLS of a node ({problem or type(error).__name__})"
    finally:
        writer.close()
        with suppress(Exception):
            writer.transport.abort()
    return replace(made, reach=Reach.UNTRUSTED, problem=problem) if problem else made


def _other_node(writer: asyncio.StreamWriter, node: str) -> str:
    """What is wrong if the certificate names another node; empty if it does not."""
    certificate: Any = writer.get_extra_info("peercert")
    subject = cast("dict[str, Any]", certificate or {}).get("subject", ())
    names: dict[str, str] = dict(entry[0] for entry in subject)
    found = clean(names.get("commonName", "no name"))
    return "" if found == node else f"another node answers there: {found}"


async def _ask_health(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> str:
    writer.write(_HEALTH % (f"[{host}]" if ":" in host else host).encode("ascii", "replace"))
    await writer.drain()
    line = (await reader.readline())[:_MOST_LINE]
    if line.startswith(_OK):
        return ""
    return f"it answers {clean(line) or 'nothing'!r} to GET /healthz: this is no book server"

"""The methods of UNICORN Binance WebSocket API about the state of streams, for programs with depth caches.

A stream is a connection with its subscriptions; the drop-in assigns its id. Only the caches start and stop
streams.
"""

from __future__ import annotations

import platform
from collections import deque
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any
from uuid import UUID, uuid4, uuid5

import depthcache
from depthcache import ConnectionStats, venues
from depthcache.compat.ubldc.human import human_bytes, human_seconds
from depthcache.compat.ubldc.managed import Managed
from depthcache.compat.ubldc.rates import Rates
from depthcache.pickling import OneProcess

__all__ = ["StreamApi"]


_SIGNALS = ("CONNECT", "DISCONNECT", "FIRST_RECEIVED_DATA", "STOP", "STREAM_UNREPAIRABLE")
_MOST_SIGNALS = 1_000


class StreamApi(OneProcess):
    """The state of a manager's streams. Thread-safe."""

    _pickle_instead = "pickle what its methods return"

    def __init__(self, manager: Managed) -> None:
        self._manager = manager
        self._namespace: UUID = uuid4()
        self.start_time: float = time()
        self.stream_signal_buffer: deque[dict[str, Any]] = deque(maxlen=_MOST_SIGNALS)
        """The newest 1,000 signals of `add_to_stream_signal_buffer`, oldest first."""
        self.rates: Rates = Rates()
        """The rates of this manager's counters, shared by all displays."""

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError with advice for methods that do not exist here."""
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(f"this API has only the state of the streams of depth caches and no {name!r}")

    @property
    def exchange(self) -> str:
        """The exchange name."""
        return self._manager.exchange

    # --- one stream ------------------------------------------------------------------------

    def get_stream_list(self) -> dict[str, dict[str, Any]]:
        """Every stream by its id."""
        return {self._id(each): self._info(each) for each in self._manager.stats().connections}

    def get_active_stream_list(self) -> dict[str, dict[str, Any]] | None:
        """The open streams by id; None if there are none."""
        streams = self.get_stream_list()
        return {key: each for key, each in streams.items() if each["status"] == "running"} or None

    def get_stream_info(self, stream_id: str) -> dict[str, Any] | bool:
        """The state of one stream; False for an unknown id."""
        return self.get_stream_list().get(stream_id, False)

    # --- all of them -----------------------------------------------------------------------

    def get_number_of_streams_in_stream_list(self) -> int:
        """Number of streams."""
        return len(self._manager.stats().connections)

    def get_number_of_all_subscriptions(self) -> int:
        """Number of markets on all streams."""
        return sum(each.streams for each in self._manager.stats().connections)

    def get_limit_of_subscriptions_per_stream(self) -> int:
        """Most markets on one connection of this exchange."""
        return venues.venue(self.exchange).streams_per_connection

    def get_total_receives(self) -> int:
        """Frames received on the current connections."""
        return sum(each.frames for each in self._manager.stats().connections)

    def get_total_received_bytes(self) -> int:
        """Bytes received on the current connections."""
        return sum(each.received_bytes for each in self._manager.stats().connections)

    def get_current_receiving_speed_global(self) -> float:
        """Bytes received per second."""
        return self.rates.of("received bytes", self.get_total_received_bytes())

    def get_all_receives_last_second(self) -> int:
        """Frames received per second."""
        return round(self.rates.of("frames", self.get_total_receives()))

    def get_reconnects(self) -> int:
        """How often connections were replaced."""
        return sum(max(0, each.connects - 1) for each in self._manager.stats().connections)

    def get_exchange(self) -> str:
        """The exchange name."""
        return self.exchange

    def get_start_time(self) -> float:
        """Creation time of the manager in seconds since 1970."""
        return self.start_time

    def is_manager_stopping(self) -> bool:
        """Whether the manager was stopped."""
        return self._manager.stop_request

    def stop_manager(self) -> bool:
        """Stop the manager of these streams."""
        return self._manager.stop_manager()

    # --- signals ---------------------------------------------------------------------------

    def add_to_stream_signal_buffer(
        self,
        signal_type: str | None = None,
        stream_id: str | None = None,
        data_record: Any = None,
        error_msg: object = None,
    ) -> bool:
        """Add a signal to the buffer, without an effect on streams or caches. False for an unknown type.

        `signal_type`: CONNECT, DISCONNECT, FIRST_RECEIVED_DATA (with its `data_record`), STOP or
        STREAM_UNREPAIRABLE (with its `error_msg`). Only this method adds signals: caches recover without
        them.
        """
        if signal_type not in _SIGNALS:
            return False
        extras = {
            "DISCONNECT": {"last_received_data_record": None},
            "FIRST_RECEIVED_DATA": {"first_received_data_record": data_record},
            "STREAM_UNREPAIRABLE": {"error": str(error_msg)},
        }
        signal = {"type": signal_type, "stream_id": stream_id, "timestamp": time()}
        self.stream_signal_buffer.append(signal | extras.get(signal_type, {}))
        return True

    def pop_stream_signal_from_stream_signal_buffer(self) -> dict[str, Any] | bool:
        """Remove and return the oldest signal; False if there is none."""
        try:
            return self.stream_signal_buffer.popleft()
        except IndexError:
            return False

    # --- text ------------------------------------------------------------------------------

    def print_summary(
        self,
        add_string: str | None = None,
        disable_print: bool = False,
        footer: str | None = None,
        title: str | None = None,
    ) -> str | None:
        """Print the summary of the manager, or return it as text."""
        from depthcache.compat.ubldc import summary

        words = {"add_string": add_string, "footer": footer, "title": title}
        if disable_print:
            return summary.summary_text(self._manager, **words)
        summary.print_summary(self._manager, **words)
        return None

    @staticmethod
    def get_version() -> str:
        """The version of this package."""
        return depthcache.__version__

    @staticmethod
    def get_user_agent() -> str:
        """Name, version and Python version."""
        return f"depthcache_{depthcache.__version__}-python_{platform.python_version()}"

    @staticmethod
    def get_timestamp() -> int:
        """The current time in milliseconds since 1970."""
        return int(time() * 1000)

    @staticmethod
    def get_date_of_timestamp(timestamp: float) -> str:
        """A time in seconds since 1970 as text."""
        return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d, %H:%M:%S} UTC"

    @staticmethod
    def get_human_uptime(uptime: float) -> str:
        """A duration in seconds as text."""
        return human_seconds(uptime)

    @staticmethod
    def get_human_bytesize(amount_bytes: float, suffix: str = "") -> str:
        """A size in bytes as text."""
        return human_bytes(amount_bytes) + suffix

    # --- inside ----------------------------------------------------------------------------

    def _id(self, stats: ConnectionStats) -> str:
        return str(uuid5(self._namespace, str(stats.number)))

    def _info(self, stats: ConnectionStats) -> dict[str, Any]:
        status = "running" if stats.is_open else "stopped" if self._manager.stop_request else "restarting"
        return {
            "exchange": stats.exchange,
            "stream_id": self._id(stats),
            "stream_label": f"connection {stats.number}",
            "channels": ["depth"],
            "status": status,
            "subscriptions": stats.streams,
            "start_time": self.start_time,
            "uptime": monotonic() - self.rates.begun,
            "processed_receives_total": stats.frames,
            "received_bytes_total": stats.received_bytes,
            "receives_per_second": self.rates.of(("frames", stats.number), stats.frames),
            "last_heartbeat": None if stats.quiet_s is None else time() - stats.quiet_s,
            "reconnects": max(0, stats.connects - 1),
        }

"""Find the newest release of this package. Requested only by methods for it, never by creating a manager.

Queries the package index (PyPI's JSON API, docs.pypi.org/api/json, 2026-11) and returns the response in the
format in which the old library reported releases on GitHub. DEPTHCACHE_RELEASES_URL sets another index.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from threading import Lock, Thread
from time import monotonic
from typing import Any

import depthcache
from depthcache import DepthCacheError, Settings
from depthcache.compat.ubldc import logs
from depthcache.rest import Rest

__all__ = ["Releases", "is_newer"]

_URL_VARIABLE = "DEPTHCACHE_RELEASES_URL"
_URL = "https://pypi.org/pypi/depthcache/json"
_TIMEOUT_S = 5.0
_KNOWN_S = 3_600.0
"""How long a response is cached."""
_VERSION = re.compile(
    r"v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(a|alpha|b|beta|c|rc|pre|preview)[-_.]?(\d*))?(.*)"
)
_PHASES = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}
_FINAL = 3


class Releases:
    """Releases newer than `version`. Thread-safe.

    `version`: the installed version; None takes that of depthcache.
    """

    def __init__(self, version: str | None = None) -> None:
        self._version = depthcache.__version__ if version is None else version
        self._lock = Lock()
        self._latest: tuple[str, float] | None = None

    @staticmethod
    def latest_release_info() -> dict[str, Any] | None:
        """The newest release in the format of GitHub (`tag_name`, `tarball_url`, `zipball_url`, `body`,
        `html_url`, `published_at`, …); None if it cannot be retrieved within 5 s."""
        url = os.environ.get(_URL_VARIABLE, _URL)
        try:
            with Rest(Settings()) as rest:
                response = rest.fetch(url, timeout=_TIMEOUT_S)
                return _as_github(response.json()) if response.status == 200 else None
        except (DepthCacheError, LookupError, TypeError, AttributeError):
            return None

    def latest_version(self) -> str | None:
        """The newest release, cached for an hour; None if it cannot be retrieved."""
        with self._lock:
            known = self._latest
        if known is not None and monotonic() - known[1] < _KNOWN_S:
            return known[0]
        found = self.latest_release_info()
        if found is None:
            return None
        latest = str(found["tag_name"])
        with self._lock:
            self._latest = (latest, monotonic())
        return latest

    def is_update_available(self) -> bool:
        """Whether there is a newer release than `version`; False if that cannot be retrieved."""
        latest = self.latest_version()
        return latest is not None and is_newer(latest, self._version)

    def look(self) -> None:
        """Check in the background and log a warning if there is a newer release; returns at once."""
        Thread(target=self._look, name="depthcache releases", daemon=True).start()

    def _look(self) -> None:
        latest = self.latest_version()
        if latest is not None and is_newer(latest, self._version):
            logs.update_available(installed=self._version, latest=latest)


def is_newer(latest: str, installed: str) -> bool:
    """Whether the first release is newer than the second. Of suffixes, only alpha, beta and candidate count
    (not `.dev…`, `.post…`). A version that cannot be parsed is not newer."""
    later, earlier = _order(latest), _order(installed)
    return later is not None and earlier is not None and later > earlier


def _order(version: str) -> tuple[int, tuple[int, ...], int, int] | None:
    found = _VERSION.fullmatch(version.strip().lower())
    if found is None:
        return None
    epoch, numbers, phase, count, _ = found.groups()
    parts = [int(number) for number in numbers.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return int(epoch or 0), tuple(parts), _PHASES[phase] if phase else _FINAL, int(count or 0)


def _as_github(told: Mapping[str, Any]) -> dict[str, Any]:
    """The newest release of the index in the format of GitHub. Raises if there is none."""
    info, files = told["info"], list(told.get("urls") or ())
    version = str(info["version"])
    source = next((file["url"] for file in files if file.get("packagetype") == "sdist"), None)
    published = min((str(file["upload_time_iso_8601"]) for file in files), default=None)
    page = str(info.get("release_url") or info.get("package_url") or "")
    return {
        "url": page,
        "html_url": page,
        "tag_name": version,
        "name": version,
        "draft": False,
        "prerelease": (_order(version) or (0, (), _FINAL, 0))[2] != _FINAL,
        "created_at": published,
        "published_at": published,
        "tarball_url": source,
        "zipball_url": next((file["url"] for file in files if str(file["url"]).endswith(".zip")), source),
        "body": str(info.get("description") or info.get("summary") or ""),
        "assets": [
            {"name": file.get("filename"), "size": file.get("size"), "browser_download_url": file["url"]}
            for file in files
        ],
    }

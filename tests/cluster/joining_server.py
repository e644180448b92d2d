"""A native server with the routes of joining, answered as a running node answers them."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from depthcache import _native
from depthcache.cluster.core.join_tokens import JoinToken
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.protocol import SPOKEN, ProtocolRange
from depthcache.cluster.data_folder import DataFolder
from depthcache.cluster.errors import ChangeNotStored
from depthcache.cluster.join_service import answer
from depthcache.cluster.joining import Issuer


class Members:
    """`JoinableCluster` without other nodes."""

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self.core = NodeCore(folder.identity.node, folder.load_wanted())
        self.refusals = 0
        """How many changes are not stored from now on."""

    @property
    def cluster(self) -> str:
        return self.folder.identity.cluster

    def known(self) -> frozenset[str]:
        return self.core.wanted.registered()

    def denied(self) -> frozenset[str]:
        return self.core.wanted.denied()

    def why_not(self, protocol: ProtocolRange) -> str:
        """Whether the build fits."""
        return "" if protocol.common(SPOKEN) else f"its build speaks version {protocol}"

    def peers(self) -> tuple[str, ...]:
        return tuple(self.core.wanted.listens().values())

    def trusted(self) -> str:
        return self.folder.identity.authority

    def wanted(self) -> bytes:
        return self.core.snapshot()

    def secrets(self) -> bytes:
        return self.folder.credentials.export()

    async def register(self, node: str, *, listen: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ChangeNotStored(stored=0, needed=1, reason="disk: full")
        self.core.register(node, listen=listen, now_ns=0, wall_ms=time.time_ns() // 1_000_000)


class JoiningServer:
    """A node that lets others join. `lost` answers are thrown away; `asked` has every body that came."""

    def __init__(self, folder: DataFolder, *, tls: tuple[str, str] | None = None) -> None:
        self.folder, self.members = folder, Members(folder)
        authorities = folder.authorities()
        self.issuer = Issuer(authorities[0]) if authorities else None
        self.asked: list[bytes] = []
        self.answered: list[tuple[int, bytes]] = []
        self.lost = 0
        self.now_ns = 0
        self._tls = tls or (folder.identity.certificate, folder.identity.key)

    def __enter__(self) -> Self:
        host, _, port = self.folder.identity.node.address.rpartition(":")
        self.native = _native.BookServer(
            host,
            int(port),
            workers=1,
            tokens=[("read", str(self.folder.token("read")))],
            hosts=[],
            documents={},
            tls=self._tls,
            limits={"delegation_s": 0.2},
        )
        self.native.set_authority(self.folder.identity.authority)
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.native.drain(0)
        self._thread.join()

    @property
    def address(self) -> str:
        return self.folder.identity.node.address

    def token(self, secret: str) -> JoinToken:
        assert self.issuer is not None
        return self.issuer.issue(secret=secret, now_ns=self.now_ns)

    def _answer(self) -> None:
        while not self.native.is_over:
            request = self.native.take_request(1.0)
            if request is None:
                continue
            number, route, _, _, body = request
            self.asked.append(body)
            status, content = asyncio.run(
                answer(
                    route,
                    body,
                    issuer=self.issuer,
                    cluster=self.members,
                    now_ns=self.now_ns,
                    now=datetime.now(UTC),
                )
            )
            self.answered.append((status, content))
            if self.lost:
                self.lost -= 1
            else:
                self.native.respond(number, status, content)

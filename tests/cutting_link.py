# SPDX-License-Identifier: AGPL-3.0-or-later
"""A TCP link to an engine that a test can cut: whoever is on it must connect anew, and may."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType


class CuttingLink:
    """Forwards connections to ``host:port``; use it as a context manager.

    ``cut_after`` bytes from the client it holds its breath until ``ready()`` is true, then cuts; it does so again after
    each of ``cut_again``. ``bytes_per_s`` is how fast clients may send; 0 is as fast as it goes.
    ``sent_bytes`` counts what all clients sent.
    """

    def __init__(
        self,
        target: str,
        cut_after: int,
        ready: Callable[[], bool],
        cut_again: tuple[int, ...] = (),
        bytes_per_s: int = 0,
    ) -> None:
        host, _, port = target.rpartition(":")
        self._target, self._cuts_at, self._ready = (host, int(port)), (cut_after, *cut_again), ready
        self._bytes_per_s = bytes_per_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock, self._ended = threading.Lock(), threading.Event()
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent_bytes, self.cuts = 0, 0

    def __enter__(self) -> CuttingLink:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        # A thread that waits in accept() does not hear a close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._drop()

    def cut(self) -> None:
        """Break every connection that is open now."""
        self.cuts += 1
        self._drop()

    def _drop(self) -> None:
        with self._lock:
            broken, self._open = self._open, []
        for one in broken:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._ended.is_set():
                client, _ = self._listener.accept()
                engine = socket.create_connection(self._target)
                with self._lock:
                    self._open += [client, engine]
                threading.Thread(target=self._forward, args=(client, engine, True), daemon=True).start()
                threading.Thread(target=self._forward, args=(engine, client, False), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
                if counted:
                    if self._bytes_per_s:
                        self._ended.wait(len(data) / self._bytes_per_s)
                    self.sent_bytes += len(data)
                    self._maybe_cut()
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def _maybe_cut(self) -> None:
        if self.cuts >= len(self._cuts_at) or self.sent_bytes < self._cuts_at[self.cuts]:
            return
        while not self._ready() and not self._ended.wait(0.01):
            pass
        self.cut()

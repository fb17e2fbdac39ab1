# SPDX-License-Identifier: AGPL-3.0-or-later
"""A small hub on loopback that speaks what is asked of one: a repository's list of files with their sums, and files by
range. It can cut a connection in the middle, give other bytes than it says, and ask for a token."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "c" * 40


class Hub:
    """Serves ``folder`` as ``hub_id``; ``asked`` keeps every file request with its Range."""

    def __init__(self, folder: Path, hub_id: str) -> None:
        self.folder, self.hub_id = folder, hub_id
        self.cut_after = 0
        self.cuts = 0
        self.flipped = ""
        self.missing = ""
        self.gated = False
        self.asked: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def listing(self) -> dict[str, Any]:
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {
            "id": self.hub_id,
            "sha": COMMIT,
            "siblings": [self._sibling(path) for path in files],
            "cardData": {"license": "other"},
        }

    def _sibling(self, path: Path) -> dict[str, Any]:
        content = path.read_bytes()
        told: dict[str, Any] = {"rfilename": path.relative_to(self.folder).as_posix(), "size": len(content)}
        told["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        if path.suffix == ".safetensors":
            told["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return told


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith(f"/api/models/{hub.hub_id}"):
                self._give(json.dumps(hub.listing()).encode(), "application/json")
            elif path.startswith(f"/{hub.hub_id}/resolve/{COMMIT}/"):
                self._file(path.partition(COMMIT + "/")[2])
            else:
                self._refuse(404, "RepoNotFound")

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _give(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _file(self, name: str) -> None:
            asked = self.headers.get("Range", "")
            hub.asked.append((name, asked))
            if hub.gated:
                return self._refuse(403, "GatedRepo")
            if name == hub.missing:
                return self._refuse(404, "EntryNotFound")
            content = bytearray((hub.folder / name).read_bytes())
            if name == hub.flipped:
                content[-1] ^= 1
            start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if hub.cuts and name.endswith(".safetensors") and len(content) - start > hub.cut_after:
                hub.cuts -= 1
                self.wfile.write(content[start : start + hub.cut_after])
                self.wfile.flush()
                self.connection.shutdown(2)
                self.close_connection = True
                return None
            self.wfile.write(content[start:])
            return None

        def log_message(self, *_: Any) -> None:
            """Silent."""

    return Handler

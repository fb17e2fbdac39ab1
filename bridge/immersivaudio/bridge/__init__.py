# SPDX-License-Identifier: Apache-2.0
"""The bridge: what an *editor* author reads. A *model* author reads ``immersivaudio.engine``.

Names are loaded when they are first used, so that ``bridge.host`` and ``bridge.stdio`` work in an interpreter that has
no grpc.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from immersivaudio.bridge.client import Client
    from immersivaudio.bridge.errors import BridgeError
    from immersivaudio.bridge.process import Engine, spawn_engine

__all__ = ["BridgeError", "Client", "Engine", "spawn_engine"]

_HOME = {"BridgeError": "errors", "Client": "client", "Engine": "process", "spawn_engine": "process"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"immersivaudio.bridge has no {name}")
    return getattr(importlib.import_module(f"immersivaudio.bridge.{_HOME[name]}"), name)

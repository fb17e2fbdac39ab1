# SPDX-License-Identifier: AGPL-3.0-or-later
"""Work side by side on threads, its results in the order in which it was asked for: what comes out never depends on how
many cores there are. For work that numpy does: it lets go of Python's lock meanwhile.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_MOST = 8


def hands() -> int:
    """How many threads are worth it here."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return max(1, min(_MOST, cores))


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int = 0) -> Iterator[Result]:
    """``work`` of each of ``items``, in their order; at most one more than ``workers`` (0: :func:`hands`) is held.

    An exception ends it: what has begun is finished, what has not is never begun.
    """
    count = workers or hands()
    if count == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(count, "abreast") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()

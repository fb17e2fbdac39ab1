# SPDX-License-Identifier: AGPL-3.0-or-later
"""The holding: budgets in measured bytes, who leaves, who stays, and what happens when memory runs out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from immersivaudio.engine.errors import CancelledError, RequestError, UnavailableError
from immersivaudio.engine.models import devices, holding
from immersivaudio.engine.models.holding import Holding, Wanted

torch = pytest.importorskip("torch", reason="the [models] extra is not installed")
pytestmark = pytest.mark.models
KIB = 1024


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_DEVICE", "cpu")
    monkeypatch.delenv("IMMERSIVAUDIO_PINNED", raising=False)
    monkeypatch.delenv("IMMERSIVAUDIO_MODEL_MEMORY", raising=False)


class Model:
    """Weights of ``kib`` KiB; one part is held twice and counts once."""

    def __init__(self, kib: int) -> None:
        net = torch.nn.Linear(kib * 256, 1, bias=False)
        self.parts = (net, net)
        self.device = devices.Device("cpu", "float32")


def wanted(name: str, kib: int = 10, cancelled: Callable[[], bool] = lambda: False) -> Wanted:
    return Wanted(name, lambda: Model(kib), kib * KIB, cancelled)


def use(held: Holding, *names: str) -> None:
    for name in names:
        with held.lend(wanted(name)):
            pass


def test_bytes_are_measured_once_a_part() -> None:
    assert holding.weigh(Model(10)) == 10 * KIB
    held = Holding(100 * KIB)
    use(held, "a", "b")
    assert held.used_bytes == 20 * KIB


def test_the_least_recently_used_leaves() -> None:
    held = Holding(25 * KIB)
    use(held, "a", "b", "a", "c")
    assert held.names() == ("a", "c")


def test_it_is_loaded_once_and_stays() -> None:
    held, loads = Holding(), []

    def load() -> Model:
        loads.append(1)
        return Model(1)

    for _ in range(3):
        with held.lend(Wanted("a", load, KIB)):
            pass
    assert len(loads) == 1


def test_the_pinned_and_those_at_work_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_PINNED", "first,other")
    held = Holding(25 * KIB)
    use(held, "first", "second", "third")
    assert held.names() == ("first", "third")
    held.pin("third")
    with pytest.raises(UnavailableError, match="beside the pinned"):
        use(held, "fourth")
    held.pin("third", False)
    use(held, "fourth")
    assert held.names() == ("first", "fourth")


def test_who_needs_room_waits_for_those_at_work() -> None:
    held, came = Holding(15 * KIB), threading.Event()

    def other() -> None:
        use(held, "b")
        came.set()

    with held.lend(wanted("a")):
        thread = threading.Thread(target=other)
        thread.start()
        assert not came.wait(0.05)
    thread.join(20)
    assert held.names() == ("b",)


def test_waiting_for_room_can_be_cancelled() -> None:
    held = Holding(15 * KIB)
    with held.lend(wanted("a")), pytest.raises(CancelledError), held.lend(wanted("b", cancelled=lambda: True)):
        pass


def test_what_never_fits_is_said_with_its_size() -> None:
    with pytest.raises(UnavailableError, match=r"needs .* GiB and models may take"):
        use(Holding(5 * KIB), "a")
    lied = Wanted("a", lambda: Model(10), KIB)
    with pytest.raises(UnavailableError, match="may take"), Holding(5 * KIB).lend(lied):
        pass


def test_memory_that_runs_out_while_loading_lets_the_others_leave_and_tries_again() -> None:
    held, tries = Holding(), []

    def load() -> Any:
        tries.append(held.names())
        if len(tries) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return Model(1)

    use(held, "a", "b")
    with held.lend(Wanted("c", load, KIB)):
        pass
    assert tries == [("a", "b"), ()]

    def never() -> Any:
        raise MemoryError

    with pytest.raises(UnavailableError, match="d needs more memory"), held.lend(Wanted("d", never, KIB)):
        pass
    use(held, "e")


def test_another_error_of_loading_is_not_hidden() -> None:
    def broken() -> Any:
        raise UnavailableError("The weights are refused: x is damaged.")

    held = Holding()
    with pytest.raises(UnavailableError, match="damaged"), held.lend(Wanted("a", broken, KIB)):
        pass
    assert held.names() == ()


def test_dropping_waits_for_those_at_work() -> None:
    held = Holding()
    use(held, "a")
    held.drop("a")
    held.drop("nobody")
    assert held.names() == ()


@pytest.mark.parametrize(
    ("said", "size"), [("1000", 1000), ("8GB", 8 << 30), ("1.5 GiB", 3 << 29), ("512m", 512 << 20)]
)
def test_the_budget_can_be_said(monkeypatch: pytest.MonkeyPatch, said: str, size: int) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_MODEL_MEMORY", said)
    assert holding.budget_bytes(devices.choose()) == size


def test_a_budget_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_MODEL_MEMORY", "much")
    with pytest.raises(RequestError, match="much"):
        holding.budget_bytes(devices.choose())
    monkeypatch.delenv("IMMERSIVAUDIO_MODEL_MEMORY")
    assert 1 << 28 < holding.budget_bytes(devices.choose()) < devices.memory_bytes(devices.choose())

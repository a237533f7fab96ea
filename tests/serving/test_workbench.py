"""Work goes to the main thread one by one, and what nobody waits for is dropped."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from http import HTTPStatus

import pytest

from neuralart.serving.guard import Refusal
from neuralart.serving.workbench import MOST_WAITING, Workbench


@pytest.fixture
def bench() -> Workbench:
    bench = Workbench()
    threading.Thread(target=bench.run, daemon=True).start()
    return bench


def test_results_and_errors_come_back(bench: Workbench) -> None:
    assert bench.do(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        bench.do(lambda: 1 / 0)
    assert bench.do(lambda: 8) == 8


def test_one_piece_at_a_time(bench: Workbench) -> None:
    at_work, most = 0, 0

    def work() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.02)
        at_work -= 1

    threads = [threading.Thread(target=bench.do, args=(work,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (at_work, most) == (0, 1)


def test_what_nobody_waits_for_is_not_begun(bench: Workbench) -> None:
    begun = []
    release = threading.Event()
    first = threading.Thread(target=bench.do, args=(lambda: release.wait(10),))
    first.start()
    with pytest.raises(ConnectionAbortedError):
        bench.do(lambda: begun.append(1), lambda: False)
    release.set()
    first.join()
    assert bench.do(lambda: 3) == 3 and begun == []


def test_a_result_may_be_a_timeout(bench: Workbench) -> None:
    def work() -> None:
        raise TimeoutError("of the work itself")

    with pytest.raises(TimeoutError, match="of the work itself"):
        bench.do(work)


def test_few_uploads_wait(bench: Workbench) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_WAITING):
            stack.enter_context(bench.place())
        with pytest.raises(Refusal) as refusal, bench.place():
            pass
        assert refusal.value.status == HTTPStatus.SERVICE_UNAVAILABLE
    with bench.place():
        pass

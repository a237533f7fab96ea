"""The doctor's reports on made-up machines: their packages, libraries, drivers and cards."""

from __future__ import annotations

import ctypes
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuralart.engine import cuda
from neuralart.engine.cuda import Card, Driver, Loaded
from neuralart.engine.doctor import Facts, Onnx, Torch, describe, notes, problems
from neuralart.machine import processor

GOOD_CARD = Card("NVIDIA GeForce RTX 3090", (8, 6))
LIBRARIES = [Loaded(library, path=f"/site/{library.soname}") for library in cuda.LIBRARIES]


def gpu_machine(**changes: Any) -> Facts:
    good = {
        "flavours": [cuda.FOR_GPUS],
        "libraries": LIBRARIES,
        "driver": Driver(11020, (GOOD_CARD,)),
        "mxnet": "1.9.1",
        "gpus": 1,
    }
    return Facts(**{**good, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text, precisions",
    [
        ("flags\t\t: fpu avx2\n", []),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\nbugs\t\t: avx512_bf16\n", ["int8"]),
        ("flags\t\t: avx512_vnni avx512_bf16\n" * 2, ["bfloat16", "int8"]),
        (None, []),
    ],
)
def test_which_precisions_the_processor_is_made_for(
    text: str | None, precisions: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(processor, "CPUINFO", file)
    assert processor.faster_precisions() == precisions
    assert dict(describe(gpu_machine()))["precisions"] == ", ".join(["float32", *precisions])


@pytest.mark.parametrize(
    "flags, answer, used",
    [("amx_bf16 amx_tile", 0, True), ("amx_bf16 amx_tile", -1, False), ("avx512_bf16", 0, False)],
)
def test_amx_is_for_processes_that_linux_lets(
    flags: str, answer: int, used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Library:
        def syscall(self, *numbers: int) -> int:
            assert numbers == (158, 0x1023, 18)
            return answer

    file = tmp_path / "cpuinfo"
    file.write_text(f"flags\t\t: fpu {flags}\n")
    monkeypatch.setattr(processor, "CPUINFO", file)
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(processor.ctypes, "CDLL", lambda name: Library())
    assert processor.may_use_amx() is used
    assert dict(describe(gpu_machine()))["AMX"] == ("in use" if used else "none")
    monkeypatch.setattr(processor.platform, "machine", lambda: "aarch64")
    assert not processor.may_use_amx()


def test_a_machine_where_all_is_well() -> None:
    assert problems(gpu_machine()) == [] == problems(Facts([cuda.FOR_CPU], mxnet="1.9.1"))
    rows = dict(describe(gpu_machine()))
    assert rows["devices of MXNet"] == "cpu, gpu:0"
    assert rows["NVIDIA driver"] == "for CUDA 11.2"
    assert rows["card 0"] == "NVIDIA GeForce RTX 3090, compute capability 8.6"


@pytest.mark.parametrize(
    "facts, words",
    [
        (Facts([]), ["neither MXNet nor PyTorch", "pip install"]),
        (gpu_machine(flavours=[cuda.FOR_CPU, cuda.FOR_GPUS]), ["both flavours", "fresh"]),
        (Facts([cuda.FOR_CPU], missing=["libquadmath.so.0"]), ["apt-get install libquadmath0"]),
        (gpu_machine(driver=None, mxnet="", gpus=0), ["no NVIDIA driver", "[cpu]'"]),
        (gpu_machine(driver=Driver(10020, (GOOD_CARD,))), ["for CUDA 10.2", "450.80"]),
        (gpu_machine(driver=Driver(11020, problem="cuInit gives error 999")), ["error 999"]),
        (gpu_machine(driver=Driver(11020)), ["sees no card", "CUDA_VISIBLE_DEVICES"]),
        (
            gpu_machine(driver=Driver(12020, (GOOD_CARD, Card("NVIDIA H100", (9, 0))))),
            ["card 1", "NVIDIA H100", "9.0", "no newer"],
        ),
        (
            gpu_machine(libraries=[Loaded(cuda.LIBRARIES[0], problem="not found: pip install x")]),
            ["libcudart.so.11.0 not found: pip install x"],
        ),
        (gpu_machine(gpus=0), ["driver sees 1 cards and MXNet 0"]),
        (Facts([cuda.FOR_CPU], engine="MXNet does not import: why"), ["does not import: why"]),
    ],
)
def test_every_problem_has_a_line_that_says_what_next(facts: Facts, words: list[str]) -> None:
    found = problems(facts)
    assert len(found) == 1
    for word in words:
        assert word in found[0]


def test_a_gpu_that_the_flavour_cannot_use_is_noted() -> None:
    driver = Driver(11020, (GOOD_CARD,))
    assert "--device cuda:0" in notes(Facts([cuda.FOR_CPU], driver=driver))[0]
    assert notes(gpu_machine()) == [] == notes(Facts([cuda.FOR_CPU]))


def test_pytorch_alone_is_an_engine() -> None:
    torch = Torch("2.13.0+cu128", [("torch:cpu", ""), ("cuda:0", "NVIDIA H200")])
    facts = Facts([], driver=Driver(12080, (Card("NVIDIA H200", (9, 0)),)), torch=torch)
    assert problems(facts) == []
    rows = dict(describe(facts))
    assert rows["PyTorch"] == "2.13.0+cu128"
    assert rows["devices of PyTorch"] == "torch:cpu, cuda:0 (NVIDIA H200)"
    assert "devices of MXNet" not in rows
    (note,) = notes(facts)
    assert "MXNet is not installed" in note and "[cpu]'" in note
    assert "libc10" in problems(Facts([cuda.FOR_CPU], torch=Torch(problem="libc10.so: no")))[0]


def test_onnx_runtime_alone_paints() -> None:
    facts = Facts([], onnx=Onnx("1.32.0"))
    assert problems(facts) == []
    rows = dict(describe(facts))
    assert rows["ONNX Runtime"] == "1.32.0" and "paint" in rows["devices of ONNX Runtime"]
    assert "[torch]'" in notes(facts)[0]
    assert dict(describe(Facts([])))["ONNX Runtime"] == "none"
    assert "no file" in problems(Facts([cuda.FOR_CPU], onnx=Onnx(problem="no file")))[0]


def test_a_card_for_pytorch_alone() -> None:
    driver = Driver(12080, (Card("NVIDIA H200", (9, 0)),))
    torch = Torch("2.13.0", [("cuda:0", "NVIDIA H200")])
    assert "PyTorch can: --device cuda:0" in problems(gpu_machine(driver=driver, torch=torch))[0]
    assert "[torch]' and --device cuda:0" in problems(gpu_machine(driver=driver))[0]


@pytest.mark.parametrize(
    "capability, can_run",
    [((3, 7), False), ((5, 2), True), ((7, 5), True), ((8, 6), True), ((8, 9), True),
     ((9, 0), False), ((10, 0), False)],
)  # fmt: skip
def test_which_cards_the_wheel_has_code_for(capability: tuple[int, int], can_run: bool) -> None:
    assert Card("card", capability).can_run is can_run


class StandInDriver:
    """A libcuda with two cards, as ctypes presents it."""

    def __init__(self, status: int = 0) -> None:
        self.status = status

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 11040
        return 0

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.status

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = 2
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        device._obj.value = index + 40
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: int) -> int:  # noqa: N802
        name.value = f"card {device}".encode()
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: int) -> int:  # noqa: N802
        value._obj.value = {75: 8, 76: device - 36}[attribute]
        return 0


def test_the_driver_is_asked_for_version_and_cards() -> None:
    driver = cuda.ask_driver(StandInDriver())
    assert driver == Driver(11040, (Card("card 40", (8, 4)), Card("card 41", (8, 5))))
    assert cuda.ask_driver(StandInDriver(100)) == Driver(11040)
    assert "999" in cuda.ask_driver(StandInDriver(999)).problem


def test_a_library_is_loaded_from_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = next((Path(np.__file__).parent / "linalg").glob("*.so"))
    good, cut, none = cuda.LIBRARIES[0], cuda.LIBRARIES[1], cuda.LIBRARIES[2]
    for library in (good, cut):
        folder = tmp_path / "nvidia" / library.folder / "lib"
        folder.mkdir(parents=True)
        shutil.copy(whole, folder / library.soname)
    (tmp_path / "nvidia" / cut.folder / "lib" / cut.soname).write_bytes(b"\x7fELF")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    loaded = {one.library: one for one in cuda.load_libraries()}
    path = Path(loaded[good].path)
    assert path == tmp_path / "nvidia" / good.folder / "lib" / good.soname
    assert path.name in Path("/proc/self/maps").read_text()
    assert ctypes.CDLL(str(path))
    assert "does not load" in loaded[cut].problem
    assert loaded[none].problem == f"not found: pip install {none.package}"

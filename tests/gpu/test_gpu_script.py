"""The script for a GPU runs on a CPU in every part, and each of its checks can fail."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from suite.sparsity.layer_masks import LayerMasks
from suite.sparsity.masks import random_mask
from suite.sparsity.sparsifier import Sparsifier
from tests.gpu import __main__ as script
from tests.gpu import agreement, overhead, ranks, readings, synchronisation
from tests.gpu.agreement import CPU, Decided
from tests.gpu.report import Check, run
from tests.gpu.same_draws import SameDraws
from tests.support import forked
from tests.support.every_method import METHODS, has_masks

pytestmark = pytest.mark.filterwarnings("ignore::suite.core.errors.SparsityWarning")


@pytest.fixture
def forked_ranks(monkeypatch):
    """Fork the two processes from one that has imported torch."""

    def start(words, environment, log):
        with log.open("wb") as errors:
            return forked.start(
                list(words),
                cwd=ranks.ROOT,
                stdout=subprocess.DEVNULL,
                stderr=errors.fileno(),
                env=environment,
                call="tests.gpu.ranks:main",
            )

    monkeypatch.setattr(ranks, "start", start)


@pytest.mark.slow
@pytest.mark.usefixtures("forked_ranks")
def test_every_part_runs_on_a_cpu_and_passes(capsys):
    status = script.main(["--device", "cpu", "--quick"])
    text = capsys.readouterr().out
    lines = text.splitlines()
    passed = [line for line in lines if line.startswith("PASS")]
    assert status == 0, text
    assert lines[-1] == f"{len(passed)} of {len(passed)} checks passed"
    for method in filter(has_masks, METHODS):
        for network in ("linear", "conv"):
            assert any(f" masks of {method}, {network} " in line for line in passed)
    assert lines[lines.index("Steps without an update do not wait for the device") + 1] == (
        "needs a GPU"
    )
    for name in ("rigl", "resonance, N = 8", "static", "sr_ste", "magnitude"):
        assert any(line.startswith(f"PASS  {name}  ") for line in passed)
    for window in (16, 32, 64, 128):
        assert any(f"frequencies, N = {window} " in line for line in passed)
        assert any(f"detector, N = {window}, refined bin: " in line for line in lines)
    for method in ranks.METHODS:
        assert any(f"masks of two processes, {method}, gloo" in line for line in passed)


def test_without_a_gpu_it_is_refused_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert script.main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "--device cuda: torch sees no NVIDIA GPU here; without one give --device cpu" in err


# ---------------------------------------------------------------- the report


def test_a_failed_check_and_a_part_that_raises_fail_the_run_and_the_others_still_run(capsys):
    def broken():
        yield Check("one", True, "fine")
        raise ValueError("no such thing\nmore")

    def whole():
        yield "a line"
        yield Check("two", True, "fine")

    assert run([("first", broken), ("second", whole)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split(maxsplit=2) == ["FAIL", "first", _BROKEN] for line in lines)
    assert "a line" in lines
    assert lines[-1] == "2 of 3 checks passed"
    assert run([("second", whole)]) == 0
    assert run([]) == 1  # nothing was checked


_BROKEN = "ValueError: no such thing"


# ---------------------------------------------------------------- agreement


def differing(monkeypatch, *, start: int, changed: int) -> None:
    """Let the other side's masks differ in so many places from those of the CPU."""
    whole = agreement.decide

    def other(method, network, device, **given):
        found = whole(method, network, device, **given)
        if "steps" not in given:
            return found
        return Decided(_flipped(found.start, start), found.steps, _flipped(found.changed, changed))

    monkeypatch.setattr(agreement, "decide", other)


def _flipped(masks, count):
    name, first = next(iter(masks.items()))
    flat = first.flatten().clone()
    flat[:count] = ~flat[:count]
    return masks | {name: flat.view(first.shape)}


@pytest.mark.parametrize(
    ("method", "start", "changed", "passes"),
    [
        ("rigl", 0, 2, True),
        ("rigl", 1, 0, False),  # random masks are the same bits
        ("rigl", 0, 3, False),
        ("snip", 2, 2, True),
        ("snip", 3, 3, False),
        ("static", 1, 1, False),
    ],
)
def test_masks_that_differ_by_more_than_rounding_are_noticed(
    monkeypatch, method, start, changed, passes
):
    differing(monkeypatch, start=start, changed=changed)
    check = agreement._compare(method, agreement.networks(True)[0], CPU, method)
    assert check.passed == passes, check
    assert f"start: {start} of " in check.found


def test_a_larger_share_is_allowed_where_a_matrix_is_inverted():
    assert agreement.most_different("rigl", 100_000) == 100
    assert agreement.most_different("sparsegpt", 100_000) == 3_000
    assert agreement.most_different("rigl", 10) == 2


def test_the_other_side_trains_on_the_same_sums_in_another_order():
    linear, _ = agreement.networks(True)
    expected = agreement.decide("rigl", linear, CPU)
    found = agreement.decide("rigl", linear, CPU, steps=expected.steps, reverses=True)
    assert expected.steps == 10
    for name, mask in expected.changed.items():
        assert torch.equal(mask, found.changed[name])
        assert not torch.equal(mask, expected.start[name])


def test_another_selection_is_noticed(monkeypatch):
    assert agreement.selection(CPU, quick=True).passed
    monkeypatch.setattr(agreement.masks, "rank_and_keep", agreement.masks.keep_top)
    assert agreement.selection(CPU, quick=True).passed

    def last_first(scores, keep, *others):
        return agreement.masks.keep_top(scores.flip(0), keep, *others).flip(0)

    monkeypatch.setattr(agreement.masks, "rank_and_keep", last_first)
    assert not agreement.selection(CPU, quick=True).passed


def test_draws_of_another_device_are_those_of_the_cpu_from_the_same_seed():
    other = SimpleNamespace(device=torch.device("meta"), initial_seed=lambda: 7)
    expected = torch.Generator().manual_seed(7)
    draw = SameDraws().__torch_function__
    for _ in range(2):  # the second draw goes on from the first
        found = draw(torch.rand, (), (3,), {"generator": other, "device": "cpu"})
        assert torch.equal(found, torch.rand(3, generator=expected))
    filled = draw(torch.Tensor.exponential_, (), (torch.empty(3),), {"generator": other})
    assert torch.equal(filled, torch.empty(3).exponential_(generator=expected))
    moved = draw(torch.rand, (), (3,), {"generator": other, "device": other.device})
    assert moved.device == other.device


def test_what_a_cpu_draws_is_left_alone():
    shape = torch.Size((4, 5))
    expected = random_mask(shape, 7, torch.Generator().manual_seed(3))
    with SameDraws():
        assert torch.equal(random_mask(shape, 7, torch.Generator().manual_seed(3)), expected)


# ---------------------------------------------------------------- synchronisation


class Mode:
    """Stands for `torch.cuda.set_sync_debug_mode`, and raises as a wait does while it is on."""

    def __init__(self) -> None:
        self.mode = "default"

    def __call__(self, mode: str) -> None:
        self.mode = mode

    def wait(self) -> None:
        if self.mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")


LOOPS = [synchronisation.in_training_loop, synchronisation.in_own_loop]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("method", ["rigl", "resonance", "str"])
def test_updates_may_wait_and_the_mode_is_off_in_the_end(monkeypatch, loop, method):
    mode, update = Mode(), LayerMasks.set_mask

    def waiting(self, *args, **given):
        mode.wait()
        return update(self, *args, **given)

    monkeypatch.setattr(LayerMasks, "set_mask", waiting)
    assert loop(method, CPU, mode) > 10
    assert mode.mode == "default"


@pytest.mark.parametrize("loop", LOOPS)
def test_a_plain_step_that_waits_is_noticed_with_its_line(monkeypatch, loop):
    mode = Mode()

    def waiting(self, step):
        mode.wait()

    monkeypatch.setattr(Sparsifier, "after_step", waiting)
    with pytest.raises(synchronisation.Waits) as found:
        loop("rigl", CPU, mode)
    assert mode.mode == "default"
    expected = f"step {synchronisation.FIRST}: tests/gpu/{Path(__file__).name}:"
    assert str(found.value).startswith(expected)
    assert str(found.value).endswith(": RuntimeError: called a synchronizing CUDA operation")
    assert "raise RuntimeError" in str(found.value)  # the last line of ours
    check = synchronisation._checked("rigl", lambda: loop("rigl", CPU, mode))
    assert not check.passed
    assert not synchronisation._checked("rigl", lambda: 0).passed  # nothing was tried


def test_every_method_is_tried_in_both_loops_on_a_gpu(monkeypatch):
    for loop in LOOPS:
        monkeypatch.setattr(synchronisation, loop.__name__, lambda method, device, mode: 5)
    found = list(synchronisation.check(torch.device("cuda")))
    assert len(found) == len(METHODS) + sum(map(has_masks, METHODS))
    assert all(check.passed for check in found)


# ---------------------------------------------------------------- time and memory


def test_a_period_without_an_update_fails():
    bench = overhead.Bench(CPU, quick=True)
    row = bench.row(overhead.Case("late", "rigl", {"update_every": 10, "update_end": 0.04}))
    assert not row.passed
    assert "no update in steps 11 to 20" in row.found


def test_a_batch_that_does_not_fit_is_halved(monkeypatch):
    class Small(overhead.Trainer):
        def __init__(self, *args, batch, **given):
            if batch > 1:
                raise torch.OutOfMemoryError("out of memory")
            super().__init__(*args, batch=batch, **given)

    monkeypatch.setattr(overhead, "Trainer", Small)
    assert overhead.Bench(CPU, quick=True).batch == 1


def test_every_method_that_updates_at_an_interval_has_a_row_but_controls():
    names = [case.name for case in overhead.cases(overhead.FULL)]
    resonance = [f"resonance, N = {window}" for window in (16, 32, 64, 128)]
    assert names[:4] == resonance
    assert {"rigl", "set", "granet", "magnitude", "snfs", "mest", "static", "str"} <= set(names)
    assert not {"dense", "snip", "resonance_shuffled, N = 32", "rigl_mean_gradient"} & set(names)
    for case in overhead.cases(overhead.FULL):
        overhead.planned(case, overhead.PERIODS * overhead.FULL.period)


def test_the_bytes_of_a_state_are_those_of_its_tensors():
    state = {"masks": {"a": torch.ones(3, dtype=torch.bool)}, "step": 3, "x": [torch.ones(2)]}
    assert overhead.bytes_of(state) == 3 + 8


# ---------------------------------------------------------------- frequencies


def test_other_frequencies_are_noticed(monkeypatch):
    def shifted(power):
        frequency, strength = _dominant(power)
        frequency[:5] += 0.01
        return frequency, strength

    _dominant = readings.dominant
    assert readings._compare(16, 1_000, CPU).passed
    monkeypatch.setattr(readings, "dominant", shifted)
    check = readings._compare(16, 1_000, CPU)
    assert not check.passed
    assert check.found == "5 of 1,000 differ by more than 0.001, at most 1"


# ---------------------------------------------------------------- two processes


def masks(last: list[int]) -> dict[str, torch.Tensor]:
    first = torch.tensor([True, True, False])
    return {"rigl/first/0": first, "rigl/last/0": torch.tensor(last, dtype=torch.bool)}


@pytest.mark.parametrize(
    ("both", "passes"),
    [
        (([1, 0, 1], [1, 0, 1]), True),
        (([1, 0, 1], [0, 1, 1]), False),
        (([1, 1, 0], [1, 1, 0]), False),  # nothing was decided
    ],
)
def test_masks_of_two_processes_must_be_equal_and_have_changed(both, passes):
    assert ranks.compare("rigl", "gloo", [masks(last) for last in both]).passed == passes
    assert not ranks.compare("set", "gloo", [masks(last) for last in both]).passed


@pytest.mark.usefixtures("forked_ranks")
def test_processes_that_fail_are_reported_with_their_error(monkeypatch):
    monkeypatch.setattr(ranks, "backend", lambda device: "mpi")
    found = list(ranks.check(CPU))
    assert found
    assert not any(check.passed for check in found)
    # One may be ended, because the other has failed already.
    assert any("invalid choice: 'mpi'" in check.found for check in found)


@pytest.mark.parametrize(("gpus", "expected"), [(1, "gloo"), (2, "nccl"), (8, "nccl")])
def test_nccl_is_used_where_each_process_has_a_gpu(monkeypatch, gpus, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert ranks.backend(torch.device("cuda")) == expected
    assert ranks.backend(CPU) == "gloo"

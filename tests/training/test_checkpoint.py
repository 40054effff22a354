"""A trial that was stopped and started again ends bit-identical to one that never was."""

import math
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import suite.training.training_code as training_code
from suite.core.errors import Interrupted, InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.training.checkpoint import Checkpointer
from suite.training.checkpoint_interval import CheckpointInterval
from suite.training.serialization import pack, unpack
from suite.training.trial import run_trial
from tests.support.checkpoints import STOPS, Memory, Stop, assert_same, interrupted
from tests.support.helpers import trained, trial


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam", "learning_rate": 0.001},
        {"optimizer": "adamw", "learning_rate": 0.001, "clip_norm": 1.0},
        {"nesterov": True, "schedule": "constant", "validation": 0},
    ],
)
def test_every_optimizer_goes_on_with_its_state(settings):
    of = trial("rigl", recipe=settings)
    assert_same(trained(of), interrupted(of, STOPS))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"cooling": "freeze"},
        {"scope": "global"},
        {"history_dtype": "bfloat16"},
        {"average": 0.9, "keep": "low"},
        {"reading": "centroid", "average": 0.5, "scope": "global"},
        {"reading": "rate", "update_every": 10, "bits": 1, "keep": "low"},
        {"reading": "rate", "update_every": 10, "bits": 1, "average": 0.9, "cooling": "freeze"},
    ],
)
def test_resonance_goes_on_with_its_signals_and_controllers(options):
    of = trial("resonance", hyperparameters=options)
    assert_same(trained(of), interrupted(of, STOPS))


@pytest.mark.slow
@pytest.mark.parametrize("rewind", [0, 17])
def test_a_lottery_ticket_goes_on_within_any_round(rewind):
    of = trial("lottery_ticket", sparsity=0.36, hyperparameters={"rewind_step": rewind})
    # Before and after the rewind step, at the very end of a round, and in the last one.
    assert_same(trained(of), interrupted(of, (9, 21, 130, 40, 100, 90)))


@pytest.mark.slow
def test_snip_goes_on_from_the_weights_that_it_drew_anew():
    of = trial("snip", hyperparameters={"fresh_weights": True})
    assert_same(trained(of), interrupted(of, STOPS))


def test_checkpoints_are_taken_at_the_interval_and_change_nothing():
    of, memory = trial("rigl"), Memory()
    outcome = run_trial(of, checkpointer=Checkpointer(of, memory, CheckpointInterval(None, 7)))
    assert memory.written == 160 // 7
    assert_same(trained(of), outcome)
    by_time = Memory()
    run_trial(of, checkpointer=Checkpointer(of, by_time, CheckpointInterval(1e-9)))
    assert by_time.written == 160


def test_a_resumed_trial_takes_only_the_steps_that_are_left():
    of, memory, steps = trial("static"), Memory(), []
    with pytest.raises(Interrupted):
        run_trial(of, checkpointer=Checkpointer(of, memory, CheckpointInterval(None), Stop(50)))
    seen = []
    checkpointer = Checkpointer(of, memory, CheckpointInterval(None), lambda: bool(seen.append(1)))
    run_trial(of, steps.append, checkpointer)
    assert len(seen) == 110
    assert steps == [50, 30, 40, 40]


def test_times_add_up_over_attempts():
    of, memory = trial("static"), Memory()
    first = Checkpointer(of, memory, CheckpointInterval(None), Stop(50))
    with pytest.raises(Interrupted):
        run_trial(of, checkpointer=first)
    second = Checkpointer(of, memory, CheckpointInterval(None), Stop(50))
    second_began = second.started
    with pytest.raises(Interrupted):
        run_trial(of, checkpointer=second)
    third = Checkpointer(of, memory, CheckpointInterval(None))
    timing = run_trial(of, checkpointer=third).record.timing
    assert 0 < second.elapsed < third.elapsed < timing["seconds"]
    assert timing["started"] == first.started.isoformat(timespec="seconds")
    assert second_began > first.started


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b"",
        lambda b: b"\xff" * 100,
        lambda b: b.replace(b'"dict\\"', b'"dict_"', 1),
        lambda b: pack({"other": 1}),
    ],
    ids=["cut", "empty", "noise", "altered", "foreign"],
)
def test_a_damaged_checkpoint_costs_time_and_nothing_else(damage):
    of, memory = trial("static"), Memory()
    with pytest.raises(Interrupted):
        run_trial(of, checkpointer=Checkpointer(of, memory, CheckpointInterval(None), Stop(50)))
    memory.content = damage(memory.content)
    checkpointer = Checkpointer(of, memory, CheckpointInterval(None))
    assert_same(trained(of), run_trial(of, checkpointer=checkpointer))
    assert checkpointer.note


def test_a_checkpoint_taken_by_other_code_is_not_continued(monkeypatch):
    of, memory = trial("static"), Memory()
    with pytest.raises(Interrupted):
        run_trial(of, checkpointer=Checkpointer(of, memory, CheckpointInterval(None), Stop(50)))
    monkeypatch.setattr(training_code, "_suite_code", lambda: "edited")
    checkpointer = Checkpointer(of, memory, CheckpointInterval(None))
    run_trial(of, checkpointer=checkpointer)
    assert "other code" in checkpointer.note
    assert checkpointer.elapsed == 0


def test_an_edited_model_file_is_other_code_and_another_trial(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_plugins", [])
    rows = [f"{i % 7},{i % 5},{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "data.csv").write_text("\n".join(["x,y,target", *rows]))
    (tmp_path / "mine.yaml").write_text(
        "name: mine/net\ndata: {format: table, path: data.csv, target: target}\nmodel: net.py:Net\n"
    )
    seen = []
    for code in ("class Net: pass", "class Net: width = 2"):
        (tmp_path / "net.py").write_text(code)
        registry._task_file.cache_clear()  # as another process would find it
        registry.use_plugins([str(tmp_path / "mine.yaml")])
        of = Trial.make(task="mine/net", method="dense")
        seen.append((of.key, training_code.code_digest(of)))
    monkeypatch.undo()
    registry.use_plugins([])
    assert len({key for key, _ in seen}) == len({digest for _, digest in seen}) == 2


def test_the_checkpoint_of_another_trial_is_not_continued():
    memory = Memory()
    first = trial("static")
    with pytest.raises(Interrupted):
        run_trial(
            first, checkpointer=Checkpointer(first, memory, CheckpointInterval(None), Stop(50))
        )
    other = trial("static", seed=1)
    assert_same(
        run_trial(other),
        run_trial(other, checkpointer=Checkpointer(other, memory, CheckpointInterval(None))),
    )


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("30s", CheckpointInterval(30)),
        ("1.5m", CheckpointInterval(90)),
        ("2h", CheckpointInterval(7200)),
        ("500steps", CheckpointInterval(None, 500)),
        ("1 step", CheckpointInterval(None, 1)),
        ("off", CheckpointInterval(None, None)),
    ],
)
def test_an_interval_is_read(text, interval):
    assert CheckpointInterval.parse(text) == interval


@pytest.mark.parametrize("text", ["", "30", "0s", "-1s", "0steps", "1.5steps", "often", "1e3s"])
def test_an_interval_that_is_none_is_refused(text):
    with pytest.raises(InvalidInput, match="write a time"):
        CheckpointInterval.parse(text)


# ---------------------------------------------------------------- packing

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner)
    ),
    max_leaves=20,
)


def identical(a, b) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (a != a and b != b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(identical, a, b))
    if isinstance(a, dict):
        return identical(list(a), list(b)) and identical([*a.values()], [*b.values()])
    return a == b


@settings(max_examples=200)
@given(PLAIN)
def test_plain_data_comes_back_as_it_was(state):
    back, about = unpack(pack(state, {"trial": "x"}))
    assert identical(back, state)
    assert about == {"trial": "x"}


@pytest.mark.parametrize(
    "dtype",
    [torch.bool, torch.uint8, torch.int32, torch.int64, torch.bfloat16, torch.float16,
     torch.float32, torch.float64],
)  # fmt: skip
def test_tensors_come_back_bit_by_bit(dtype):
    bits = torch.randint(0, 2, (3, 4, 8), dtype=torch.uint8)
    value = bits.bool() if dtype == torch.bool else bits.mul(37).view(dtype)
    shared = {"whole": value, "part": value[1], "turned": value.transpose(0, 1),
              "scalar": value.flatten()[0], "none": value[:0]}  # fmt: skip
    back, _ = unpack(pack({"a": [shared]}))
    for name, tensor in shared.items():
        other = back["a"][0][name]
        assert other.dtype == tensor.dtype
        assert other.shape == tensor.shape
        assert torch.equal(
            other.contiguous().view(-1).view(torch.uint8),
            tensor.contiguous().view(-1).view(torch.uint8),
        )


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: None, b"bytes"])
def test_what_is_not_plain_data_is_refused(value):
    with pytest.raises(TypeError, match="a state may hold"):
        pack({"a": value})


def test_an_ordered_dict_of_tensors_is_taken():
    state = OrderedDict(a=torch.ones(2))
    assert torch.equal(unpack(pack(dict(state)))[0]["a"], torch.ones(2))

"""The import of torch's compiler is put off; once it is there, all is as torch has it."""

import subprocess
import sys

import pytest

DEFERRED = """
import sys
from suite.experiments.trial_config import Trial
from suite.training.compiler_import import COMPILER
from suite.training.trial import run_trial

trial = Trial.make(task="digits/mlp", method="rigl", sparsity=0.9,
                   recipe={"epochs": 1, "optimizer": sys.argv[1]})
record = run_trial(trial).record
print(COMPILER in sys.modules, record.status)
"""
AFTERWARDS = """
import sys
import torch
from torch import nn
from suite.training import compiler_import

if sys.argv[1] == "deferred":
    compiler_import.defer_compiler_import()
    compiler_import.defer_compiler_import()

def trained(kind, compiled):
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = kind(model.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()

    taken = torch.compile(step, backend="eager") if compiled else step
    for number in range(3):
        taken(torch.ones(3, 4) * number)
    optimizer.load_state_dict(optimizer.state_dict())
    return model.weight.detach().tolist()

kinds = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
print([trained(kind, compiled=False) for kind in kinds])
deferred = compiler_import.COMPILER not in sys.modules
print([trained(kind, compiled=True) for kind in kinds])
print([trained(kind, compiled=False) for kind in kinds])
marks = [getattr(torch.optim.Optimizer, name).__wrapped__ for name in ("zero_grad", "state_dict")]
print([vars(mark)[compiler_import.MARKED].__module__.startswith("torch._dynamo") for mark in marks])
print(deferred, file=sys.stderr)
"""


def output(code, *words):
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_trial_does_not_import_the_compiler(optimizer):
    assert output(DEFERRED, optimizer)[0].split() == ["False", "done"]


def test_training_is_the_same_and_can_be_compiled_afterwards():
    deferred, how = output(AFTERWARDS, "deferred")
    assert "True" in how.splitlines()[-1]
    usual, how = output(AFTERWARDS, "usual")
    assert "False" in how.splitlines()[-1]
    assert deferred == usual

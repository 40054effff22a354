"""The smoke test of a release tries an installation, and stops where something is wrong.

That it passes is seen in tests/integration/test_package.py.
"""

import os
import subprocess
import sys

import pytest

from tests.infrastructure.scripts import load
from tests.infrastructure.workflows import ROOT

script = load("smoke_test")


def test_the_checkout_is_no_installation():
    done = subprocess.run(
        [sys.executable, str(ROOT / ".github" / "scripts" / "smoke_test.py")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("this is the checkout, not an installation: ")


def test_a_command_that_fails_or_prints_something_else_stops_it(tmp_path, capsys):
    with pytest.raises(SystemExit, match=r"exit code 1\nout\nerr\n"):
        script.run(tmp_path, "python", "-c", "import sys; print('out'); sys.exit('err')")
    with pytest.raises(SystemExit, match="'RigL' is not in:\nSET"):
        script.expect("RigL", "SET")
    assert "$ python -c" in capsys.readouterr().out

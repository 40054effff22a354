"""Try an installed resonance-bench in a folder that is not its checkout.

    python smoke_test.py [VERSION]

Run it with the Python that the package is installed for. It trains two small trials and builds
their leaderboard, which takes about a minute, and needs no data and no network. Where VERSION is
given, it must be the one installed.
"""

import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

BIN = Path(sys.executable).parent
CHECKOUT = Path(__file__).resolve().parents[2]
STUDY = """
name: smoke
question: Does an installed package train, record and compare?
tasks: [digits/mlp]
methods: [static, rigl]
sparsities: [0.9]
seeds: 1
recipe: {epochs: 1}
controls_left_out: it is a smoke test
"""
SPARSIFY = """
import torch
from suite import sparsify

model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
handle = sparsify(model, optimizer, "rigl", sparsity=0.9, steps=10, update_every=2)
for _ in range(10):
    optimizer.zero_grad()
    model(torch.rand(8, 64)).square().mean().backward()
    optimizer.step()
print("sparsity", round(handle.sparsity, 2))
"""


def run(folder: Path, *words: str) -> str:
    """Run a program of this environment in a folder; return what it prints.

    Raises:
        SystemExit: it failed.
    """
    print("$", *(word.partition("\n")[0] or "…" for word in words), flush=True)
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def expect(text: str, found: str) -> None:
    """Raise SystemExit if a text is not in what was found."""
    if text not in found:
        sys.exit(f"{text!r} is not in:\n{found}")


def main() -> None:
    """Run every command, and stop at the first that fails."""
    installed = version("resonance-bench")
    if sys.argv[1:] not in ([], [installed]):
        sys.exit(f"version {installed} is installed, not {sys.argv[1]}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        where = run(folder, "python", "-c", "import suite; print(suite.__file__)").strip()
        if Path(where).is_relative_to(CHECKOUT):
            sys.exit(f"this is the checkout, not an installation: {where}")
        expect(f"resonance-bench {installed}", run(folder, "resonance", "--version"))
        expect("0 broken", run(folder, "resonance", "doctor", "--offline"))
        (folder / "smoke.yaml").write_text(STUDY, encoding="utf-8")
        trained = run(folder, "resonance", "study", "smoke.yaml", "--workers", "1")
        expect("2 finished, 0 failed", trained)
        expect("Leaderboard: site", run(folder, "resonance", "leaderboard", "build"))
        expect("RigL", (folder / "site" / "index.html").read_text(encoding="utf-8"))
        expect("sparsity 0.9", run(folder, "python", "-c", SPARSIFY))
    print(f"resonance-bench {installed} works")


if __name__ == "__main__":
    main()

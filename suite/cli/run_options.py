"""Options of the verbs that run trials."""

from typing import Annotated

import typer

from suite.execution.engines import EngineName
from suite.execution.plan import Overwrite
from suite.tracking.wandb import Mode

# ------------------------------------------------------------------ what a trial is

DEFAULT_SPARSITY = 0.9
SparsitiesOption = Annotated[
    list[float] | None,
    typer.Option("--sparsity", "-s", help="Fraction of zeros in [0, 1), repeatable; default 0.9."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A hyperparameter of the method."),
]
RecipeOption = Annotated[
    list[str] | None,
    typer.Option("--recipe", metavar="NAME=VALUE", help="A field of the task's recipe."),
]
DeviceOption = Annotated[str, typer.Option(help="cpu or cuda.")]
PrecisionOption = Annotated[
    str, typer.Option(help="float32, or bfloat16 for forward and backward passes.")
]
ThreadsOption = Annotated[int, typer.Option(help="CPU threads per trial; results depend on it.")]

# ------------------------------------------------------------------ how trials are run

OverwriteOption = Annotated[
    Overwrite,
    typer.Option(help="Rerun trials that have a record: never, those that failed, or always."),
]
CheckpointOption = Annotated[
    str, typer.Option(help="How often to save an unfinished trial: 30s, 5m, 500steps, or off.")
]
EngineOption = Annotated[EngineName, typer.Option(help="Where trials run.")]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Trials to run at once; by default as many as the cores allow."),
]
AddressOption = Annotated[
    str | None, typer.Option(help="Address of the Ray cluster, or Slurm options as name=value,….")
]
TimeoutOption = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Time limit for one attempt of a trial.")
]
MemoryOption = Annotated[
    float | None, typer.Option(metavar="GIB", help="Memory limit for one attempt of a trial.")
]
GpusOption = Annotated[float, typer.Option(help="Fraction of a GPU per trial, on device cuda.")]
MaxTrialsOption = Annotated[
    int, typer.Option(min=1, help="Refuse a study of more trials than this.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the plan; run nothing.")]

# ------------------------------------------------------------------ Weights & Biases

WandbOption = Annotated[
    Mode,
    typer.Option("--wandb", envvar="RESONANCE_WANDB", help="Publish trials as they train."),
]
ProjectOption = Annotated[
    str, typer.Option("--wandb-project", envvar="WANDB_PROJECT", help="W&B project to publish to.")
]

"""ITOP: RigL and SET with settings under which they explore more weights (presets of both)."""

from dataclasses import replace

from baselines.rigl import REPLACE_STEP
from baselines.set import DROP_DECAY, DROP_RULE
from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.hyperparameters import (
    CANDIDATE_RATIO,
    DROP_FRACTION,
    LAYERWISE,
    LEAST_DROP_FRACTION,
    PATTERN,
    UPDATE_END,
    UPDATE_EVERY,
    with_defaults,
)

SOURCE = "Liu et al. 2021, arXiv:2102.02887"
CODE = "Shiweiliuiiiiiii/In-Time-Over-Parameterization"

INTERVALS = Hyperparameter(
    "intervals",
    int,
    24,
    "number of intervals ΔT that update_every=auto divides training into",
    low=1,
    source=f"{CODE}, README: ΔT = 4,000 in 250 epochs of CIFAR of 391 steps",
    search=Search(low=8, high=250, log=True),
)

SETTINGS = (
    replace(
        UPDATE_EVERY,
        default="auto",
        meaning="interval ΔT between two connectivity updates; auto divides training into "
        "`intervals` of them",
        words=("auto",),
        source=f"{CODE}, README: long, so that grown weights are trained before they are judged",
        search=Search(choices=("auto",)),
    ),
    INTERVALS,
    replace(DROP_FRACTION, default=0.5, source=f"{CODE}, core.py: death rate 0.5"),
    replace(
        UPDATE_END,
        default=1.0,
        source=f"{CODE}, main.py: to the end of training",
        search=Search(low=0.5, high=1.0),
    ),
    replace(
        LEAST_DROP_FRACTION,
        default=0.005,
        source=f"{CODE}, core.py: eta_min 0.005",
        search=Search(choices=(0.005,)),
    ),
)
"""The settings of both methods."""

ROUNDING = Difference(
    "how many weights are dropped and grown",
    "a fraction rounded down, so that counts stay exact",
    "the fraction rounded up, all weights that equal the largest of them too; as many grown, in "
    "SET-ITOP on average",
    "exact counts",
)
INTERVAL = Difference(
    "update_every",
    "auto, a fraction of training: as many updates as in the authors' CIFAR runs",
    "4,000 steps (RigL) and 1,500 (SET), on CIFAR and ImageNet",
    "short trainings have fewer steps than that",
)

RIGL = Method(
    "rigl_itop",
    SOURCE,
    title="RigL-ITOP",
    summary="RigL with long intervals and large updates until the end, to explore more weights",
    implementation="baselines.rigl:RigL",
    family="sparse to sparse",
    hyperparameters=(*LAYERWISE, PATTERN, *SETTINGS, CANDIDATE_RATIO, REPLACE_STEP),
    cost="(3 f_S·ΔT + 2 f_S + f_D) / (ΔT + 1) per step",
    differences=(INTERVAL, ROUNDING),
)

SET = Method(
    "set_itop",
    SOURCE,
    title="SET-ITOP",
    summary="SET with long intervals and large updates until the end, to explore more weights",
    implementation="baselines.set:Set",
    family="sparse to sparse",
    hyperparameters=(
        *LAYERWISE,
        *SETTINGS[:1],
        replace(
            INTERVALS,
            default=65,
            source=f"{CODE}, README: ΔT = 1,500 in 250 epochs of CIFAR of 391 steps",
        ),
        *SETTINGS[2:],
        *with_defaults((DROP_RULE, DROP_DECAY), drop_rule="magnitude", drop_decay="cosine"),
    ),
    equation=(
        r"m \leftarrow (m \smallsetminus \operatorname{Bottom}_k({|w|})) "
        r"\cup \operatorname{Random}_k, "
        r"\quad k = \lfloor f(t)\,n \rfloor"
    ),
    cost="3 f_S per step",
    differences=(
        INTERVAL,
        ROUNDING,
        Difference(
            "a weight that is dropped and grown at once",
            "restarts at 0",
            "keeps its value",
            "a preset of SET",
        ),
    ),
)

METHODS = (RIGL, SET)

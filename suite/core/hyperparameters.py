"""Hyperparameters that several methods share; those of one method are declared in its file."""

from dataclasses import replace

from suite.core.declarations import Hyperparameter, Search

# Only distributions that meet the overall sparsity are searched: `uniform` leaves whole layers
# dense, so a search would prefer it merely for having fewer zeros.
EXACT = ("erk", "er")

DISTRIBUTION = Hyperparameter(
    "distribution",
    str,
    "erk",
    "how the sparsity is divided among the layers",
    choices=("erk", "er", "uniform", "custom"),
    source="Evci et al. 2020, arXiv:1911.11134, §3(1)",
    search=Search(choices=EXACT),
)

DISTRIBUTION_OR_GLOBAL = replace(
    DISTRIBUTION,
    meaning="how the sparsity is divided among the layers; 'global' ranks all weights together",
    choices=(*DISTRIBUTION.choices, "global"),
    search=Search(choices=(*EXACT, "global")),
)

GLOBAL_FIRST = replace(
    DISTRIBUTION_OR_GLOBAL,
    default="global",
    meaning="rank all weights of the network together, or those of each layer separately",
    source="",
)

LAYER_SPARSITY = Hyperparameter(
    "layer_sparsity",
    tuple,
    (),
    "with distribution=custom: sparsities of layers by name, as GLOB=FRACTION; others stay dense",
)

UNIFORM_DENSE = Hyperparameter(
    "uniform_dense",
    str,
    "first",
    "which layers 'uniform' leaves dense",
    choices=("none", "first", "first_last"),
    source="Evci et al. 2020, arXiv:1911.11134, §3(1): the first layer is kept dense",
    search=Search(choices=("first",)),
)

DENSE_LAYERS = Hyperparameter(
    "dense_layers",
    tuple,
    (),
    "layers never pruned, as globs over their names; er, erk and global prune the others more "
    "(dense_layers_compensate)",
)

DENSE_LAYERS_COMPENSATE = Hyperparameter(
    "dense_layers_compensate",
    bool,
    True,
    "er, erk and global prune the other layers more for what dense_layers keep, so that the "
    "network has the sparsity asked for; if false, only the other layers have it, as in RigL's "
    "code, and the network is denser",
    source="google-research/rigl, sparse_utils.py (there: false)",
    search=Search(choices=(True,)),
)

PATTERN = Hyperparameter(
    "pattern",
    str,
    "none",
    "N:M structure: N of every M consecutive inputs have a weight. It replaces the distribution "
    "(layers named by uniform_dense and dense_layers stay dense)",
    choices=("none", "1:2", "1:4", "2:4", "4:8"),
    source="Mishra et al. 2021, arXiv:2104.08378, §2",
    search=Search(choices=("none",)),
)

UPDATE_EVERY = Hyperparameter(
    "update_every",
    int,
    100,
    "interval ΔT between two connectivity updates",
    low=1,
    unit="steps",
    source="Evci et al. 2020, arXiv:1911.11134, §4",
    search=Search(low=10, high=1000, log=True),
)

UPDATE_EVERY_EPOCH = replace(UPDATE_EVERY, default="epoch", words=("epoch",))
"""For methods that update once an epoch; each gives its own source."""

DROP_FRACTION = Hyperparameter(
    "drop_fraction",
    float,
    0.3,
    "fraction α of a layer's active weights replaced at the first update",
    low=0.0,
    high=1.0,
    source="Evci et al. 2020, arXiv:1911.11134, §4",
    search=Search(low=0.05, high=0.6),
)

UPDATE_END = Hyperparameter(
    "update_end",
    float,
    0.75,
    "when connectivity becomes fixed, T_end",
    low=0.0,
    high=1.0,
    unit="fraction of training",
    source="Evci et al. 2020, arXiv:1911.11134, §4",
    search=Search(low=0.5, high=0.95),
)

LEAST_DROP_FRACTION = Hyperparameter(
    "least_drop_fraction",
    float,
    0.0,
    "drop fraction that the cosine falls to at update_end",
    low=0.0,
    high=1.0,
    source="Evci et al. 2020, arXiv:1911.11134, §3(2): 0",
    search=Search(choices=(0.0,)),
)

CANDIDATE_RATIO = Hyperparameter(
    "candidate_ratio",
    float,
    0.0,
    "places per active weight of a layer, drawn at random among those without a weight, whose "
    "gradients growth looks at; 0 looks at all",
    low=0.0,
    source="Heddes et al. 2024, arXiv:2401.06898: the subset that connections are grown from",
    search=Search(choices=(0.0,)),
)

PRUNE_REGROW = (
    UPDATE_EVERY,
    Hyperparameter(
        "initial_sparsity",
        float,
        0.5,
        "sparsity s_i of the random (ERK) mask to start from; 0 starts dense. If the target is "
        "lower, training starts at the target",
        low=0.0,
        below=1.0,
        source="Liu et al. 2021, arXiv:2106.10404, §4: s_i = 0.5 sparse to sparse, 0 dense to "
        "sparse",
        search=Search(low=0.0, high=0.7),
    ),
    Hyperparameter(
        "prune_end",
        float,
        0.6875,
        "t1, when the target is reached",
        low=0.0,
        high=1.0,
        unit="fraction of training",
        source="VITA-Group/GraNet: 110 of 160 epochs",
        search=Search(low=0.4, high=0.95),
    ),
    Hyperparameter(
        "drop_fraction",
        float,
        0.5,
        "fraction of a layer's remaining weights regenerated at the first update; cosine decay "
        "to zero",
        low=0.0,
        high=1.0,
        source="VITA-Group/GraNet: prune rate 0.5",
        search=Search(low=0.05, high=0.6),
    ),
)
"""Of methods that prune along a ramp and regenerate weights at each update, as GraNet does."""

CALIBRATION = (
    Hyperparameter(
        "calibration_examples",
        int,
        128,
        "training examples by whose activations the trained network is pruned; by default all, "
        "where there are fewer",
        low=1,
        unit="examples",
        source="Frantar & Alistarh 2023, arXiv:2301.00774, §4; Sun et al. 2023, arXiv:2306.11695, "
        "§4: 128 sequences of C4",
        search=Search(choices=(128,)),
    ),
    Hyperparameter(
        "calibration_batch",
        int,
        128,
        "examples sent through the network at once; with fewer than calibration_examples it takes "
        "less memory, and a pass for each layer",
        low=1,
        unit="examples",
        search=Search(choices=(128,)),
    ),
)

DENSE = (UNIFORM_DENSE, DENSE_LAYERS, DENSE_LAYERS_COMPENSATE)
"""Which layers stay dense, and what that means for the others."""

LAYERWISE = (DISTRIBUTION, *DENSE, LAYER_SPARSITY)
GLOBALLY = (GLOBAL_FIRST, *DENSE, LAYER_SPARSITY)

ADDED_LATER: dict[str, bool | float | str] = {
    DENSE_LAYERS_COMPENSATE.name: True,
    CANDIDATE_RATIO.name: 0.0,
    LEAST_DROP_FRACTION.name: 0.0,
    "draw": "uniform",
    "drop_decay": "none",
}
"""Options that states of methods saved before them lack, and what they stand for there."""


def with_defaults(
    parameters: tuple[Hyperparameter, ...], **defaults: str | float | bool
) -> tuple[Hyperparameter, ...]:
    """Return `parameters` with other defaults, which are excluded from search spaces."""
    return tuple(
        replace(p, default=defaults[p.name], search=Search(choices=(defaults[p.name],)))
        if p.name in defaults
        else p
        for p in parameters
    )

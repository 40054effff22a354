"""Hyperparameters that several methods share, each declared once."""

from suite.declare import Hyperparameter, Search

DISTRIBUTION = Hyperparameter(
    "distribution",
    str,
    "erk",
    "how the sparsity is divided among the layers",
    choices=("erk", "er", "uniform"),
    source="Evci et al. 2020, arXiv:1911.11134, §3(1)",
)

DISTRIBUTION_OR_GLOBAL = Hyperparameter(
    "distribution",
    str,
    "erk",
    "how the sparsity is divided among the layers; 'global' ranks all weights together",
    choices=("erk", "er", "uniform", "global"),
    source="Evci et al. 2020, arXiv:1911.11134, §3(1)",
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
    "layers never pruned, as globs over their names; er, erk and global make up for them elsewhere",
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

DROP_FRACTION = Hyperparameter(
    "drop_fraction",
    float,
    0.3,
    "share α of a layer's active weights replaced at the first update",
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
    unit="share of training",
    source="Evci et al. 2020, arXiv:1911.11134, §4",
    search=Search(low=0.5, high=0.95),
)

LAYERWISE = (DISTRIBUTION, UNIFORM_DENSE, DENSE_LAYERS)

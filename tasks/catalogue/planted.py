"""Data whose true connectivity is known: a sparse teacher network assigns the labels."""

from tasks.task import Dataset, Task

DATASET = Dataset(
    "planted",
    "this project",
    title="Labels of a planted sparse network",
    load="tasks.datasets.planted:load",
    shape=(64,),
    classes=8,
    train=20_000,
    test=4_000,
    mean=(0.0,),
    std=(1.0,),
    checksum="031523f4abdb87b1d5e03dda576976abb16ca0675438772f747bf98f760ee041",
    # A hidden unit reads 6 of 64 inputs, a class 8 of 32 hidden units: 88.9 % sparse.
    options={"hidden": (32,), "connections": (6, 8)},
)

TASK = Task(
    "planted/mlp",
    "this project",
    title="MLP of the teacher's shape on planted labels",
    dataset="planted",
    model="tasks.models.mlp:mlp",
    model_options={"hidden": (32,)},
    recipe={"epochs": 30, "batch_size": 128, "learning_rate": 0.1, "weight_decay": 1e-4},
    compare="tasks.datasets.planted:recovered",
)

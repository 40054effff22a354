"""scikit-learn's handwritten digits: real data that needs no download."""

from tasks.task import Dataset, Task

DATASET = Dataset(
    "digits",
    "Alpaydin & Kaynak 1998, UCI Optical Recognition of Handwritten Digits",
    title="Handwritten digits, 8×8",
    load="tasks.datasets.sklearn:load_digits",
    shape=(1, 8, 8),
    classes=10,
    train=1437,
    test=360,
    mean=(0.3053,),
    std=(0.3761,),
    # Also guards the test split, which scikit-learn draws.
    checksum="2c20cc785d601e09529857092229de90d302d97c588faef50110e5d211091f29",
    licence="CC BY 4.0",
)

TASK = Task(
    "digits/mlp",
    "this project",
    title="MLP on handwritten digits",
    dataset="digits",
    model="tasks.models.mlp:mlp",
    model_options={"hidden": (128, 64)},
    recipe={"epochs": 20, "batch_size": 32, "learning_rate": 0.1, "weight_decay": 5e-4},
)

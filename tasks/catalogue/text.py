"""Character-level language modelling with a small GPT."""

from dataclasses import replace

from tasks.task import Dataset, Task, variant

TINY_SHAKESPEARE = Dataset(
    "tinyshakespeare",
    "Karpathy 2015, char-rnn; split as in nanoGPT: the last tenth is the test",
    title="Tiny Shakespeare",
    load="tasks.datasets.text:load",
    kind="text",
    shape=(256,),
    classes=65,
    train=3921,
    test=435,
    mean=(),
    std=(),
    checksum="1fd017771c04fef21fe5256bc27a9d2e1c152741337b9515046a702b9b97bb8e",
    licence="public domain",
    options={
        "files": ("tinyshakespeare.txt.gz", "tinyshakespeare.txt"),
        "test_share": 0.1,
    },
)

DATASETS = (
    TINY_SHAKESPEARE,
    # The same text in short windows, on which a small network learns faster.
    replace(
        TINY_SHAKESPEARE,
        name="tinyshakespeare-64",
        title="Tiny Shakespeare in windows of 64 characters",
        shape=(64,),
        train=15_685,
        test=1742,
        checksum="35ff7eb23665e66479423735e9a2a630725c07bdf03f82ef922fdaaddb786f6a",
    ),
)

GPT = Task(
    "tinyshakespeare/gpt_small",
    "Karpathy, nanoGPT, config/train_shakespeare_char.py; there, the output layer has the "
    "embedding's weights",
    revision=2,
    title="Small GPT on Tiny Shakespeare",
    dataset="tinyshakespeare",
    model="tasks.models.transformer:gpt",
    model_options={"dim": 384, "depth": 6, "heads": 6, "dropout": 0.2},
    metric="bits_per_character",
    recipe={
        "epochs": 91,  # 5,005 steps of 64 windows; in nanoGPT 5,000
        "batch_size": 64,
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "beta2": 0.99,
        "weight_decay": 0.1,
        "weight_decay_scope": "matrices",
        "schedule": "cosine",
        "min_lr_ratio": 0.1,
        "warmup": 0.02,
        "clip_norm": 1.0,
    },
)

TASKS = (
    GPT,
    # The CPU settings of nanoGPT's README: a network one thirteenth of the size, short windows.
    variant(
        GPT,
        "short",
        "a short recipe and a network of 0.8 M parameters",
        model_options={"dim": 128, "depth": 4, "heads": 4},
        dataset="tinyshakespeare-64",
        recipe={"epochs": 3, "batch_size": 12, "warmup": 0.05},
    ),
)

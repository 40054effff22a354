"""Text, character by character, with a small GPT."""

from tasks.task import Dataset, Task, variant

DATASET = Dataset(
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

GPT = Task(
    "tinyshakespeare/gpt_small",
    "Karpathy, nanoGPT, config/train_shakespeare_char.py",
    title="Small GPT on Tiny Shakespeare",
    dataset="tinyshakespeare",
    model="tasks.models.transformer:gpt",
    model_options={"dim": 384, "depth": 6, "heads": 6, "dropout": 0.2},
    metric="bits_per_character",
    recipe={
        "epochs": 91,  # 5,000 steps of 64 windows
        "batch_size": 64,
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "beta2": 0.99,
        "weight_decay": 0.1,
        "decay_what": "matrices",
        "schedule": "cosine",
        "final_rate": 0.1,
        "warmup": 0.02,
        "clip_norm": 1.0,
    },
)

TASKS = (
    GPT,
    # The CPU settings of nanoGPT's README: a network of a twelfth of the size.
    variant(
        GPT,
        "short",
        "a short recipe and a network of 0.8 M parameters",
        model_options={"dim": 128, "depth": 4, "heads": 4},
        recipe={"epochs": 2, "batch_size": 3, "learning_rate": 2e-3, "warmup": 0.05},
    ),
)

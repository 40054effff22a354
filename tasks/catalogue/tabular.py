"""Tabular data: small datasets of scikit-learn, and Covertype."""

from tasks.task import Dataset, Task, variant

DATASETS = (
    Dataset(
        "breast_cancer",
        "Street, Wolberg & Mangasarian 1993, UCI Breast Cancer Wisconsin (Diagnostic)",
        title="Breast cancer, 30 measurements",
        load="tasks.datasets.sklearn:load_breast_cancer",
        shape=(30,),
        classes=2,
        train=455,
        test=114,
        mean=(0.0,),
        std=(1.0,),
        checksum="452d783e2c35f876ea43ee6a29519188183fb08566c10b76d2fd1766c32b3e33",
        licence="CC BY 4.0",
    ),
    Dataset(
        "wine",
        "Aeberhard & Forina 1991, UCI Wine",
        title="Wine, 13 chemical analyses",
        load="tasks.datasets.sklearn:load_wine",
        shape=(13,),
        classes=3,
        train=142,
        test=36,
        mean=(0.0,),
        std=(1.0,),
        checksum="2cba84629636a5099a046c3be27fd2e77cdbe573759680a5f88223c0c13f9e65",
        licence="CC BY 4.0",
    ),
    Dataset(
        "covtype",
        "Blackard & Dean 1999, UCI Covertype",
        title="Forest covers, 54 measurements",
        load="tasks.datasets.sklearn:load_covtype",
        shape=(54,),
        classes=7,
        train=464_810,
        test=116_202,
        mean=(0.0,),
        std=(1.0,),
        licence="CC BY 4.0",
        options={
            "file": "covtype.data.gz",
            "url": "https://ndownloader.figshare.com/files/5976039",
            "sha256": "614360d0257557dd1792834a85a1cdebfadc3c4f30b011d56afee7ffb5b15771",
        },
    ),
)

COVTYPE = Task(
    "covtype/mlp",
    "this project",
    title="MLP on forest covers",
    dataset="covtype",
    model="tasks.models.mlp:mlp",
    model_options={"hidden": (512, 256, 128)},
    recipe={"epochs": 30, "batch_size": 512, "learning_rate": 0.05, "weight_decay": 1e-5},
)

TASKS = (
    Task(
        "breast_cancer/mlp",
        "this project",
        title="MLP on breast cancer",
        dataset="breast_cancer",
        model="tasks.models.mlp:mlp",
        model_options={"hidden": (64, 32)},
        recipe={"epochs": 40, "batch_size": 32, "learning_rate": 0.05, "weight_decay": 1e-3},
    ),
    Task(
        "wine/mlp",
        "this project",
        title="MLP on wine",
        dataset="wine",
        model="tasks.models.mlp:mlp",
        model_options={"hidden": (64, 32)},
        recipe={"epochs": 40, "batch_size": 16, "learning_rate": 0.05, "weight_decay": 1e-3},
    ),
    COVTYPE,
    variant(COVTYPE, "short", "a short recipe", recipe={"epochs": 2}),
)

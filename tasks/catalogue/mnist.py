"""MNIST and Fashion-MNIST with the classic small networks."""

from tasks.task import Dataset, Task, variant

DATASETS = (
    Dataset(
        "mnist",
        "LeCun et al. 1998, Proc. IEEE 86(11)",
        title="MNIST",
        load="tasks.datasets.idx:load",
        shape=(1, 28, 28),
        classes=10,
        train=60_000,
        test=10_000,
        mean=(0.1307,),
        std=(0.3081,),
        checksum="1e35582d42a90940c55b956deb61875c020b567ed20e3c5b174f52bf7809ed9b",
        licence="CC BY-SA 3.0",
        options={
            "folders": ("mnist", "MNIST/raw"),
            "system_folders": ("/usr/share/datasets/mnist",),
            "system_hint": "put them into /usr/share/datasets/mnist",
            "torchvision": "MNIST",
        },
    ),
    Dataset(
        "fashion_mnist",
        "Xiao et al. 2017, arXiv:1708.07747",
        title="Fashion-MNIST",
        load="tasks.datasets.idx:load",
        shape=(1, 28, 28),
        classes=10,
        train=60_000,
        test=10_000,
        mean=(0.2860,),
        std=(0.3530,),
        checksum="ece172613115fb18b120bec8f6c02271af90b8b8f0a5af5c51cbd5ceed68e619",
        licence="MIT",
        options={
            "folders": ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw"),
            "system_folders": ("/usr/share/datasets/fashion-mnist",),
            "system_hint": "install Debian's package dataset-fashion-mnist",
            "torchvision": "FashionMNIST",
        },
    ),
)

LENET_300_100 = {"hidden": (300, 100)}

MNIST_MLP = Task(
    "mnist/lenet_300_100",
    "LeCun et al. 1998, Proc. IEEE 86(11)",
    title="LeNet-300-100 on MNIST",
    dataset="mnist",
    model="tasks.models.mlp:mlp",
    model_options=LENET_300_100,
    recipe={"epochs": 20, "batch_size": 128, "learning_rate": 0.1},
)

TASKS = (
    MNIST_MLP,
    variant(
        MNIST_MLP,
        "rigl",
        "RigL's recipe",
        source="Evci et al. 2020, arXiv:1911.11134, and its code (mnist_train_eval.py); there, "
        "inputs are not normalised, and the dense baseline's rate drops after epochs 60, 70 and 80",
        revision=2,
        recipe={
            "epochs": 200,
            "batch_size": 100,
            "learning_rate": 0.2,
            "nesterov": True,
            "weight_decay": 1e-4,
            "weight_decay_scope": "matrices",
            "schedule": "step",
            "milestones": ("0.375", "0.475"),  # epochs 75 and 95
            "decay_factor": 1 / 3,
            "validation": 0.0,
        },
    ),
    Task(
        "mnist/lenet_5",
        "LeCun et al. 1998, Proc. IEEE 86(11); network of Han et al. 2015, arXiv:1506.02626",
        title="LeNet-5 on MNIST",
        dataset="mnist",
        model="tasks.models.lenet:lenet_5",
        recipe={"epochs": 20, "batch_size": 128, "learning_rate": 0.01, "weight_decay": 5e-4},
    ),
    Task(
        "fashion_mnist/lenet_300_100",
        "Xiao et al. 2017, arXiv:1708.07747; network of LeCun et al. 1998",
        title="LeNet-300-100 on Fashion-MNIST",
        dataset="fashion_mnist",
        model="tasks.models.mlp:mlp",
        model_options=LENET_300_100,
        recipe={"epochs": 20, "batch_size": 128, "learning_rate": 0.1},
    ),
    Task(
        "fashion_mnist/lenet_5",
        "Xiao et al. 2017, arXiv:1708.07747; network of Han et al. 2015, arXiv:1506.02626",
        title="LeNet-5 on Fashion-MNIST",
        dataset="fashion_mnist",
        model="tasks.models.lenet:lenet_5",
        recipe={"epochs": 20, "batch_size": 128, "learning_rate": 0.01, "weight_decay": 5e-4},
    ),
)

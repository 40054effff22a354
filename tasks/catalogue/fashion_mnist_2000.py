"""The subset of Fashion-MNIST and the network of SET's published logs."""

from dataclasses import replace

from tasks.catalogue import mnist
from tasks.task import Task

FASHION_MNIST = next(dataset for dataset in mnist.DATASETS if dataset.name == "fashion_mnist")

DATASET = replace(
    FASHION_MNIST,
    name="fashion_mnist_2000",
    source="Mocanu et al., tutorial at IJCAI 2019; data of Xiao et al. 2017, arXiv:1708.07747",
    title="Fashion-MNIST, 2,000 images of the training and 1,000 of the test data",
    load="tasks.datasets.subset:load",
    train=2_000,
    test=1_000,
    checksum="aafebd4665bc94d4013e57d1a2eaa878369645a03174640c638e636319326c19",
    options={"whole": FASHION_MNIST, "seed": 0},
)

TASK = Task(
    "fashion_mnist_2000/mlp_1000",
    "Mocanu et al., tutorial at IJCAI 2019; Mocanu et al. 2018, arXiv:1707.04780",
    title="Three hidden layers of 1,000 units on 2,000 images of Fashion-MNIST",
    dataset="fashion_mnist_2000",
    model="tasks.models.mlp:mlp",
    model_options={"hidden": (1000, 1000, 1000)},
    recipe={"epochs": 400, "batch_size": 40, "learning_rate": 0.05, "validation": 0.0},
)

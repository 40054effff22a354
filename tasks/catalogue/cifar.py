"""CIFAR-10 and CIFAR-100 with the networks of the sparse-training literature."""

from dataclasses import replace
from typing import Any

from tasks.task import Dataset, Task, variant

KRIZHEVSKY = "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"

CIFAR_10 = Dataset(
    "cifar10",
    KRIZHEVSKY,
    title="CIFAR-10",
    load="tasks.datasets.cifar:load",
    shape=(3, 32, 32),
    classes=10,
    train=50_000,
    test=10_000,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    licence="none stated by its authors",
    options={
        "archive": "cifar-10-binary.tar.gz",
        "url": "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "digest": ("md5", "c32a1d4ab5d03f1284b67883e8d87530"),  # as its authors publish it
        "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        "test": ("test_batch.bin",),
        "label_bytes": 1,
    },
)

CIFAR_100 = Dataset(
    "cifar100",
    KRIZHEVSKY,
    title="CIFAR-100",
    load="tasks.datasets.cifar:load",
    shape=(3, 32, 32),
    classes=100,
    train=50_000,
    test=10_000,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    licence="none stated by its authors",
    options={
        "archive": "cifar-100-binary.tar.gz",
        "url": "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        "digest": ("md5", "03b5dce01913d631647c71ecec9e9cb8"),  # as its authors publish it
        "train": ("train.bin",),
        "test": ("test.bin",),
        "label_bytes": 2,  # coarse, then fine
    },
)

# Lossy, so it is a separate dataset and not CIFAR-10. Decoders may differ in the last bit, so the
# archive's checksum is declared, and the pixels' checksum is only recorded.
CIFAR_10_JPEG = replace(
    CIFAR_10,
    name="cifar10-jpeg",
    title="CIFAR-10 after JPEG compression (quality 75)",
    load="tasks.datasets.folder:load",
    options={
        "files": ("cifar10-jpeg.tar.xz",),
        "sha256": "30ac8a963c1b58b8b1fcdfd663830f8532947cd19f03eb559eb7ca6c85960391",
        "cache": True,
    },
)

# A quarter of the pixels, so that a residual network trains in minutes on one core.
CIFAR_10_JPEG_16 = replace(
    CIFAR_10_JPEG,
    name="cifar10-jpeg-16",
    title="CIFAR-10 after JPEG compression (quality 75), scaled to 16×16",
    shape=(3, 16, 16),
    mean=(0.4915, 0.4824, 0.4468),
    std=(0.2278, 0.2254, 0.2446),
    options={**CIFAR_10_JPEG.options, "resize": True},
)

FULL_SIZE = (CIFAR_10, CIFAR_100, CIFAR_10_JPEG)
DATASETS = (*FULL_SIZE, CIFAR_10_JPEG_16)

AUGMENTED = {"crop": 4, "flip": True}
"""Random crop of images padded by 4 pixels, and flips: Zagoruyko & Komodakis 2016, §3.

The pixels are reflected ones, as there, unless a recipe says otherwise (``crop_fill``).
"""

RESNET = {
    "epochs": 183,
    "max_steps": 64_000,
    "batch_size": 128,
    "learning_rate": 0.1,
    "weight_decay": 1e-4,
    "schedule": "step",
    "milestones": ("0.5", "0.75"),  # steps 32,000 and 48,000
    "crop_fill": "zero",
    **AUGMENTED,
}
WRN = {
    "epochs": 279,  # enough for all steps, whether images are held out (251 otherwise)
    "max_steps": 97_656,
    "batch_size": 128,
    "learning_rate": 0.1,
    "nesterov": True,
    "weight_decay": 5e-4,
    "weight_decay_scope": "matrices",
    "schedule": "step",
    "milestones": ("0.3072", "0.6144", "0.9216"),  # steps 30,000, 60,000 and 90,000
    "decay_factor": 0.2,
    "per_image_standardization": True,
    "crop_fill": "symmetric",
    **AUGMENTED,
}
# Short enough for a CPU, so with a cosine to 0 in place of steps.
RESNET_8 = {
    "epochs": 10,
    "batch_size": 128,
    "learning_rate": 0.1,
    "nesterov": True,
    "weight_decay": 5e-4,
    "warmup": 0.05,
    "flip": True,
    "channels_last": True,
}
VGG = {
    "epochs": 160,
    "batch_size": 128,
    "learning_rate": 0.1,
    "weight_decay": 5e-4,
    "schedule": "step",
    "milestones": ("0.5", "0.75"),
    "crop_fill": "zero",
    **AUGMENTED,
}
CONV = {"batch_size": 60, "optimizer": "adam", "schedule": "constant"}
CONV_2 = {**CONV, "epochs": 27, "max_steps": 20_000, "learning_rate": 2e-4}
CONV_4 = {**CONV, "epochs": 34, "max_steps": 25_000, "learning_rate": 3e-4}
CONV_6 = {**CONV, "epochs": 40, "max_steps": 30_000, "learning_rate": 3e-4}
VIT = {
    "epochs": 100,
    "batch_size": 128,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 0.05,
    "weight_decay_scope": "matrices",
    "warmup": 0.1,
    "label_smoothing": 0.1,
    **AUGMENTED,
}

LOTTERY = "Frankle & Carbin 2019, arXiv:1803.03635, figure 2"
HE = (
    "He et al. 2016, arXiv:1512.03385, §4.2; images are standardised by channel, there the mean of "
    "each pixel is subtracted"
)
EVCI = (
    "Evci et al. 2020, arXiv:1911.11134, §4.2, and its code, which trains on all 50,000 images: "
    "give validation=0 for that; strided 3×3 convolutions are padded on both sides, there on one"
)
GRASP = (
    "Wang et al. 2020, arXiv:2002.07376, §5, and its code, which trains on all 50,000 images (give "
    "validation=0 for that), pads before normalisation, and reports the best test epoch, here the "
    "last one; weight decay as for VGG-19 on CIFAR-100"
)

MODELS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str, str, int]] = {
    "conv_2": ("conv:conv_net", {"depth": 2}, CONV_2, LOTTERY, "Conv-2", 2),
    "conv_4": ("conv:conv_net", {"depth": 4}, CONV_4, LOTTERY, "Conv-4", 2),
    "conv_6": ("conv:conv_net", {"depth": 6}, CONV_6,
               "Frankle & Carbin 2019, arXiv:1803.03635, figure 2, which says 1.7 M weights; its "
               "layers have 2.26 M", "Conv-6", 2),
    "resnet_20": ("resnet:resnet", {"depth": 20}, RESNET, HE, "ResNet-20", 2),
    "resnet_32": ("resnet:resnet", {"depth": 32}, RESNET, HE, "ResNet-32", 2),
    "resnet_56": ("resnet:resnet", {"depth": 56}, RESNET, HE, "ResNet-56", 2),
    "wrn_22_2": ("wide_resnet:wide_resnet", {"depth": 22, "widen": 2, "dropout": 0.3}, WRN, EVCI,
                 "WRN-22-2", 2),
    "vgg_16": ("conv:vgg_bn", {"depth": 16}, VGG, GRASP, "VGG-16 with batch norm", 2),
    "vgg_19": ("conv:vgg_bn", {"depth": 19}, VGG, GRASP, "VGG-19 with batch norm", 2),
    "vit_small": ("transformer:vit", {"depth": 9}, VIT,
                  "Lee et al. 2021, arXiv:2112.13492, §4.1, without its heavier augmentation",
                  "Small ViT", 1),
}  # fmt: skip
"""Model → (its builder, options, recipe, source, title, revision)."""


FULL = tuple(
    Task(
        f"{dataset.name}/{name}",
        source,
        title=f"{title} on {dataset.title}",
        dataset=dataset.name,
        model=f"tasks.models.{builder}",
        model_options=options,
        recipe=recipe,
        revision=revision,
    )
    for dataset in FULL_SIZE
    for name, (builder, options, recipe, source, title, revision) in MODELS.items()
)
"""Every model on every dataset of 32×32 images."""

SHORT = {"epochs": 2, "schedule": "cosine", "milestones": ()}

RESNETS_8 = tuple(
    Task(
        f"{dataset.name}/resnet_8",
        "network of Banbury et al. 2021, MLPerf Tiny, arXiv:2106.07597; recipe of this project",
        title=f"ResNet-8 on {dataset.title}",
        dataset=dataset.name,
        model="tasks.models.resnet:resnet",
        model_options={"depth": 8, "projection": True},
        recipe={**RESNET_8, "crop": dataset.shape[1] // 8},
    )
    for dataset in (CIFAR_10, CIFAR_10_JPEG, CIFAR_10_JPEG_16)
)
"""A residual network that a CPU trains."""

VIT_TINY = Task(
    f"{CIFAR_10_JPEG_16.name}/vit_tiny",
    "Dosovitskiy et al. 2021, arXiv:2010.11929; size and recipe of this project",
    title=f"Tiny ViT on {CIFAR_10_JPEG_16.title}",
    dataset=CIFAR_10_JPEG_16.name,
    model="tasks.models.transformer:vit",
    model_options={"depth": 4, "dim": 96, "heads": 4},  # 16 patches of 4×4 pixels
    recipe={**VIT, "epochs": 14, "weight_decay": 0.02, "label_smoothing": 0.0, "crop": 2},
)

TASKS = (
    *(
        one
        for task in FULL
        for one in (task, variant(task, "short", "a short recipe", recipe=SHORT))
    ),
    *RESNETS_8,
    VIT_TINY,
)

"""ImageNet, streamed from its folders, with the networks of the sparse-training literature."""

from tasks.task import Dataset, Task, variant

DATASET = Dataset(
    "imagenet",
    "Russakovsky et al. 2015, arXiv:1409.0575 (ILSVRC 2012)",
    title="ImageNet",
    load="tasks.datasets.imagenet:find_files",
    kind="stream",
    shape=(3, 224, 224),
    classes=1000,
    train=1_281_167,
    test=50_000,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    licence="research only, from image-net.org",
    # The published results come from decoders that ignore EXIF data.
    options={"files": ("imagenet", "ILSVRC2012"), "orient": False},
)

RIGL = {
    "epochs": 103,
    "max_steps": 32_000,
    "batch_size": 4096,
    "learning_rate": 1.6,
    "nesterov": True,
    "weight_decay": 1e-4,
    "weight_decay_scope": "matrices",
    "label_smoothing": 0.1,
    "schedule": "step",
    # Epochs 30, 70 and 90 of 1,281,167 images: steps 9,384, 21,895 and 28,151.
    "milestones": ("0.29325", "0.68422", "0.87972"),
    "warmup": 0.0489,  # 5 epochs: 1,564 steps
    "validation": 0.0,
    "smallest_crop": 0.08,
    "flip": True,
    "channels_last": True,
}
MOBILENET_RECIPE = {
    **RIGL,
    "weight_decay": 4e-5,
    # Epochs 40, 75 and 95: steps 12,512, 23,459 and 29,715.
    "milestones": ("0.391", "0.7331", "0.9286"),
    "warmup": 0.0782,  # 8 epochs: 2,502 steps
}
SHORT = {
    "epochs": 1,
    "batch_size": 64,
    "learning_rate": 0.025,
    "schedule": "cosine",
    "milestones": (),
}

RESNET_50 = Task(
    "imagenet/resnet_50",
    "Evci et al. 2020, arXiv:1911.11134, §4.1, and its code: 32,000 steps of 4,096 images; network "
    "and initial weights are torchvision's",
    revision=2,
    title="ResNet-50 on ImageNet",
    dataset="imagenet",
    model="tasks.models.imagenet:resnet_50",
    recipe=RIGL,
)
MOBILENET = Task(
    "imagenet/mobilenet_v1",
    "Evci et al. 2020, arXiv:1911.11134, §4.1, and its code, in which depthwise kernels do not "
    "decay; 32,000 steps of 4,096 images as for ResNet-50; network of Howard et al. 2017, "
    "arXiv:1704.04861",
    revision=2,
    title="MobileNet-v1 on ImageNet",
    dataset="imagenet",
    model="tasks.models.imagenet:mobilenet_v1",
    recipe=MOBILENET_RECIPE,
)

TASKS = (
    RESNET_50,
    variant(RESNET_50, "short", "a short recipe", recipe=SHORT),
    MOBILENET,
    variant(MOBILENET, "short", "a short recipe", recipe=SHORT),
)

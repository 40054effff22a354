"""A sparse network in your own training loop: only two lines come from the suite.

The data is scikit-learn's breast-cancer table, the model an ordinary module with normalisation,
the optimizer AdamW under a learning-rate schedule; the loop itself has no code for sparsity.
"""

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

from suite import sparsify

EPOCHS, BATCH = 30, 32


class Classifier(nn.Module):
    """Two hidden layers with batch normalisation."""

    def __init__(self, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm1d(inputs),
            nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, classes] of x [batch, inputs]."""
        return self.head(self.body(x))


def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Return the fraction of correct predictions."""
    model.eval()
    with torch.no_grad():
        right = (model(x).argmax(1) == y).float().mean()
    model.train()
    return float(right)


def main() -> None:
    """Train at 95 % sparsity with RigL and print the result."""
    torch.manual_seed(0)
    x, y = load_breast_cancer(return_X_y=True)
    parts = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    train_x, test_x = (torch.as_tensor(part, dtype=torch.float32) for part in parts[:2])
    train_y, test_y = (torch.as_tensor(part) for part in parts[2:])

    model = Classifier(train_x.shape[1], 128, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    per_epoch = len(train_x) // BATCH
    steps = EPOCHS * per_epoch
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    handle = sparsify(
        model, optimizer, "rigl", sparsity=0.95, steps=steps, update_every=20, dense_layers=["head"]
    )

    for epoch in range(EPOCHS):
        order = torch.randperm(len(train_x))[: per_epoch * BATCH]
        for batch in order.split(BATCH):
            loss = F.cross_entropy(model(train_x[batch]), train_y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if (epoch + 1) % 10 == 0:
            print(f"epoch {epoch + 1}: test accuracy {accuracy(model, test_x, test_y):.3f}")

    for name, mask in handle.masks().items():
        print(f"{name}: {int(mask.sum())} of {mask.numel()} weights are active")
    print(f"sparsity {handle.sparsity:.4f}")


if __name__ == "__main__":
    main()

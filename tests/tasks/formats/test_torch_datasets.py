"""Items of torch datasets: images by their mode, labels that are numbered, and what is refused."""

import pytest

TORCH = """
import numpy as np, torch
import PIL.Image

class Items:
    def __init__(self, items):
        self.items = items
    def __len__(self):
        return len(self.items)
    def __getitem__(self, number):
        return self.items[number]

def made():
    return Items([{item} for n in range(20)])
"""


def torch_data(place, item, old="", new=""):
    """Write a dataset of 20 items, with a change to its code; return the fields that name it."""
    (place / "mine.py").write_text(TORCH.replace("{item}", item).replace(old or item, new or item))
    return {"format": "torch", "train": "mine.py:made", "test": "mine.py:made"}


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("(torch.ones(3), 5)", "one class only (5)"),
        ("(torch.ones(3), n / 2)", "item 1 has the label 0.5: give data 'targets: real'"),
        ("(torch.ones(3), n)", "20 classes for 20 examples"),
        ("(torch.ones(3), str(n % 2))", "item 0 has the label '0': give a whole number"),
        ("(torch.ones(3), torch.ones(2))", "item 0 has the label tensor"),
        ("(torch.ones(3) + 1j, n % 2)", "item 0 holds complex numbers"),
        ("(np.ones(3) + 1j, n % 2)", "item 0 holds complex numbers"),
        ("(np.array(['a']), n % 2)", "item 0 is no array of numbers"),
        ("{'x': 1}", "item 0 is a dict: give pairs"),
        ("(PIL.Image.new('F', (4, 4), 0.5), n % 2)", "item 0 holds floating-point numbers"),
        ("(PIL.Image.new('RGBA', (4, 4)), n % 2)", "item 0 has transparent pixels"),
        ("(torch.ones(3 + n % 3), n % 2)", "item 1 has shape (4,), (3,) is declared"),
    ],
)
def test_items_of_torch_that_are_no_examples_are_refused(tmp_path, read, item, words):
    assert words in read.refusal(**torch_data(tmp_path, item))


def test_items_of_torch_are_read_by_their_mode_and_their_labels_numbered(tmp_path, read):
    item = "(PIL.Image.fromarray(np.full((2, 3), 3276 * n, np.uint16)), [500, 501][n % 2])"
    dataset, arrays = read(**torch_data(tmp_path, item))
    assert (dataset.shape, dataset.labels) == ((1, 2, 3), (500, 501))
    assert arrays.train_x[:, 0, 0, 0].tolist() == pytest.approx(
        [3276 * n / 65535 for n in range(20)]
    )
    assert arrays.train_y.tolist() == [0, 1] * 10


def test_floating_images_of_torch_are_scaled_by_a_range(tmp_path, read):
    data = torch_data(tmp_path, "(PIL.Image.new('F', (3, 2), n), n % 2)")
    _, arrays = read(**data, range=[0, 20])
    assert arrays.train_x[:, 0, 0, 0].tolist() == pytest.approx([n / 20 for n in range(20)])
    assert "range=[0]" in read.refusal(**data, range=[0])


def test_errors_in_a_users_own_dataset_are_one_line(tmp_path, read):
    data = torch_data(tmp_path, "0", "[number]", "[number + 99]")
    assert "item 0 cannot be read: IndexError: list index out of" in read.refusal(**data)


def test_a_dataset_without_a_length_is_refused(tmp_path, read):
    data = torch_data(tmp_path, "0", "__len__", "size")
    assert "is no dataset of known length: TypeError" in read.refusal(**data)

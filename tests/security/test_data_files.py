"""Data files that are no files, claim too much, or would take all memory: one line, at once."""

import contextlib
import gzip
import io
import os
import socket
import zipfile

import numpy as np
import polars as pl
import pytest

from suite.core.errors import InvalidInput
from tasks.content_digest import content_digest
from tasks.datasets import files, table, text
from tasks.datasets.arrays import read_archive
from tasks.datasets.files import check_file
from tasks.datasets.idx import read_idx
from tasks.datasets.images import image_paths
from tasks.datasets.table import read_frame
from tasks.datasets.text import read_bytes
from tasks.taskfile import read_task_file

TERABYTE = 2**40


def sparse(path, size=TERABYTE):
    with path.open("wb") as file:
        file.truncate(size)
    return path


def refusal(call, *given) -> str:
    with pytest.raises(InvalidInput) as refused:
        call(*given)
    message = str(refused.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


@pytest.mark.parametrize(
    ("data", "words"),
    {
        "{format: table, path: pipe.csv, target: y}": "is a pipe: give a file or a folder",
        "{format: text, path: /dev/zero}": "/dev/zero is a device",
        "{format: numpy, path: socket}": "is a socket",
        "{format: images, path: loop}": "there is no",
        "{format: images, path: broken}": "there is no",
        f"{{format: text, path: {'x' * 5000}}}": "there is no",
        f"{{format: huggingface, path: {'x' * 5000}}}": "it is not the name of a dataset",
        "{format: numpy, path: [a]}": "path=['a']: give a path",
        "{format: numpy, path: ''}": "path='': give a path",
        "{format: [numpy], path: a}": "data format=['numpy']: give one of",
        "{format: table, path: large.csv, target: y}": "takes 1,024.0 GiB",
        "{format: table, path: ., target: y}": "give a file that ends in .csv",
    }.items(),
    ids=lambda given: given[:30],
)
def test_a_path_that_is_no_file_of_data_is_refused(tmp_path, data, words):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "broken").symlink_to("nowhere")
    sparse(tmp_path / "large.csv")
    with socket.socket(socket.AF_UNIX) as bound:
        with contextlib.chdir(tmp_path):  # a socket's path is short
            bound.bind("socket")
        (path := tmp_path / "t.yaml").write_text(f"name: a/b\ndata: {data}\nmodel: mlp\n")
        assert words in refusal(read_task_file, path)


@pytest.mark.parametrize(
    "read", [read_frame, read_bytes, read_archive, read_idx], ids=lambda read: read.__name__
)
def test_every_reader_looks_at_a_file_before_it_opens_it(tmp_path, read):
    os.mkfifo(pipe := tmp_path / "x.csv")
    assert "a pipe, a socket or a device: give a plain file" in refusal(read, pipe)
    assert "takes" in refusal(read, sparse(tmp_path / "y.csv"))
    assert "No such file" in refusal(read, tmp_path / "z.csv")


def test_content_and_images_that_are_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    assert "not a plain file" in refusal(content_digest, [tmp_path / "x.png"])
    assert "a broken link, a pipe or a device" in refusal(image_paths, tmp_path)


def test_the_memory_is_that_of_the_machine_unless_less_is_allowed(tmp_path, monkeypatch):
    (path := tmp_path / "x").write_bytes(b"x" * 100)
    monkeypatch.setattr(files, "memory_bytes", lambda: 250)
    assert check_file(path, "x", 2) == 100
    assert refusal(check_file, path, "x", 3).startswith("x takes 0.0 GiB, and this machine has 0.0")


def test_wide_tables_and_long_lines_are_refused_before_they_are_parsed(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    path.write_text(",".join(f"c{n}" for n in range(1_000_001)) + "\n")
    assert "has 1,000,001 columns, more than the 100,000" in refusal(read_frame, path)
    monkeypatch.setattr(table, "MAX_LINE", 100)
    path.write_text("a,b\n" + "1,2\n" * 100)
    assert read_frame(path).shape == (100, 2)
    path.write_text("a,b\n" + "1" * 300 + ",2\n")
    assert "a line is longer than the 100 bytes" in refusal(read_frame, path)


def test_a_parquet_file_that_stands_for_more_than_fits_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": [0] * 1_000_000}).write_parquet(path)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(files, "memory_bytes", lambda: 7_000_000)
    assert "of 1,000,000 rows and 1 columns takes" in refusal(read_frame, path)
    path.write_bytes(b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1")
    assert "cannot be read" in refusal(read_frame, path)


def test_a_gzipped_text_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.txt.gz"
    path.write_bytes(gzip.compress(b"a" * 10**6))
    assert len(read_bytes(path)) == 10**6
    monkeypatch.setattr(text, "ALWAYS_UNPACKED", 10**5)
    assert "unpacks to more than" in refusal(read_bytes, path)


def test_an_archive_of_arrays_is_compared_with_what_its_headers_claim(tmp_path):
    def header(shape, length=None) -> bytes:
        file = io.BytesIO()
        about = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, about)
        return file.getvalue()

    long_header = b"\x93NUMPY\x02\x00" + (2**31 - 1).to_bytes(4, "little") + b" " * 2**20
    nested = b"\x93NUMPY\x01\x00" + (5000).to_bytes(2, "little") + b"(" * 5000
    for content in (
        header((10**12, 10)),
        header((2**62, 2**62)),
        header((-1,)),
        long_header,
        nested,
    ):
        path = tmp_path / "x.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", content)
            archive.writestr("y.npy", content)
        refusal(read_archive, path)

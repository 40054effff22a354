"""What a trial sets in torch, and sets back."""

import pytest
import torch

from suite.training.seeding import full_float32, reproducible


def settings() -> tuple[bool, bool, bool, int]:
    backends = torch.backends
    return (
        torch.are_deterministic_algorithms_enabled(),
        backends.cudnn.allow_tf32,
        backends.cuda.matmul.allow_tf32,
        torch.get_num_threads(),
    )


def test_float32_on_a_gpu_is_float32_and_what_was_set_before_is_set_again():
    before = settings()
    assert before[1], "torch's default is TF32 in convolutions: otherwise this shows nothing"
    threads = before[3] + 1
    with reproducible(torch.device("cuda"), threads):
        assert settings() == (True, False, False, threads)
    assert settings() == before


@pytest.mark.parametrize("precision", ["high", "highest"])
def test_products_in_tf32_are_set_again(precision):
    torch.set_float32_matmul_precision(precision)
    try:
        before = settings()
        with full_float32():
            assert settings()[1:3] == (False, False)
        assert (torch.get_float32_matmul_precision(), settings()) == (precision, before)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_what_was_set_by_the_newer_interface_is_set_again():
    conv, matmul = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = conv.fp32_precision, matmul.fp32_precision
    conv.fp32_precision, matmul.fp32_precision = "ieee", "tf32"
    try:
        with pytest.raises(RuntimeError):
            _ = torch.backends.cudnn.allow_tf32
        with full_float32():
            assert (conv.fp32_precision, matmul.fp32_precision) == ("ieee", "ieee")
        assert (conv.fp32_precision, matmul.fp32_precision) == ("ieee", "tf32")
    finally:
        conv.fp32_precision, matmul.fp32_precision = before


def test_a_trial_on_a_cpu_sets_threads_alone():
    before = settings()
    with reproducible(torch.device("cpu"), 1):
        assert settings() == (*before[:3], 1)
    assert settings() == before

"""What a trial sets in torch, and sets back."""

import torch

from suite.training.seeding import reproducible


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


def test_a_trial_on_a_cpu_sets_threads_alone():
    before = settings()
    with reproducible(torch.device("cpu"), 1):
        assert settings() == (*before[:3], 1)
    assert settings() == before

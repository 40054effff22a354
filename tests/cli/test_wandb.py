"""`resonance wandb push`: what cannot be pushed. What W&B is given is in tests/tracking."""


def test_a_group_is_refused_with_its_studies(resonance):
    assert (
        "--study official is a group of studies: give one of them: official_small, "
        in resonance("wandb push --offline --study official").complaint
    )

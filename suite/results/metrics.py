"""The metrics of a trial: names, titles, units, bounds."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal["percent", "bytes", "seconds", "number"]
"""How a value is shown; percent is a fraction of 1. A number has no unit, or its task's own."""

METRIC_NAME = re.compile(r"[a-z0-9_]{1,100}")
"""What a metric may be called: its name becomes that of a column."""


@dataclass(frozen=True)
class Metric:
    """A metric: its name in records, its title, its unit, and which direction is better.

    `better` is empty where neither direction is. `r2` says that it is an R², or may be one: at most
    1, and possibly below 0. `digits` are the decimals of a percentage.
    """

    name: str
    title: str
    unit: Unit = "percent"
    better: Literal["more", "less", ""] = "less"
    r2: bool = False
    digits: int = 2

    def text(self, value: float) -> str:
        """Return a value as text."""
        if self.unit == "percent":
            return f"{100 * value:.{self.digits}f} %"
        if self.unit == "bytes":
            return f"{value:,.0f} bytes"
        if self.unit == "seconds":
            return f"{1000 * value:.3f} ms"
        return f"{value:.4g}"


def _more(name: str, title: str, unit: Unit = "percent") -> Metric:
    return Metric(name, title, unit, "more")


def _r2(name: str, title: str) -> Metric:
    return Metric(name, title, "number", "more", r2=True)


def _sparsity(name: str, title: str) -> Metric:
    """Return a metric with as many digits as the realised sparsity that is shown beside it."""
    return Metric(name, title, better="", digits=4)


METRICS = (
    _more("test_accuracy", "test accuracy"),
    _more("test_balanced_accuracy", "test balanced accuracy"),
    _more("test_macro_f1", "test macro-F1"),
    _r2("test_r2", "test R²"),
    Metric("test_rmse", "test RMSE (in the target's unit)", "number"),
    Metric("test_nll", "test NLL (nats)", "number"),
    Metric("test_bits_per_character", "test bits per character", "number"),
    Metric("test_ece", "calibration error (ECE, 15 bins)"),
    _more("validation_accuracy", "validation accuracy"),
    _more("validation_balanced_accuracy", "validation balanced accuracy"),
    _more("validation_macro_f1", "validation macro-F1"),
    _r2("validation_r2", "validation R²"),
    Metric("validation_rmse", "validation RMSE (in the target's unit)", "number"),
    Metric("validation_bits_per_character", "validation bits per character", "number"),
    Metric("train_loss", "training loss, last epoch", "number"),
    _more("test_accuracy_8bit", "test accuracy, weights at 8 bits"),
    _more("test_accuracy_4bit", "test accuracy, weights at 4 bits"),
    _more("test_accuracy_2bit", "test accuracy, weights at 2 bits"),
    _r2("test_r2_8bit", "test R², weights at 8 bits"),
    _r2("test_r2_4bit", "test R², weights at 4 bits"),
    _r2("test_r2_2bit", "test R², weights at 2 bits"),
    _more("test_accuracy_corrupted", "test accuracy, mean over our 30 corruptions"),
    _more("test_accuracy_corrupted_noise", "… noise"),
    _more("test_accuracy_corrupted_blur", "… blur"),
    _more("test_accuracy_corrupted_brightness", "… brightness"),
    _more("test_accuracy_corrupted_contrast", "… contrast"),
    _more("test_accuracy_corrupted_translation", "… translation"),
    _more("test_accuracy_corrupted_jpeg", "… JPEG (simulated)"),
    _more("test_accuracy_fgsm_8_255", "test accuracy under FGSM, ε = 8/255"),
    _more("test_accuracy_pgd10_8_255", "test accuracy under PGD-10, ε = 8/255"),
    _more("test_accuracy_fgsm_0_3", "test accuracy under FGSM, ε = 0.3"),
    _more("test_accuracy_pgd10_0_3", "test accuracy under PGD-10, ε = 0.3"),
    Metric("mask_churn", "active weights dropped per update, mean", better=""),
    Metric("exploration_rate", "weights that were ever active (R_s)", better=""),
    _sparsity("sparsity_before_projection", "sparsity before projection"),
    _r2("validation_score_before_projection", "validation score before projection"),
    _sparsity("pattern_sparsity", "sparsity of the pattern"),
    _sparsity("nominal_sparsity", "sparsity before the fan-in is rounded down"),
    Metric("ablated_neurons", "neurons without an incoming weight", "number", better=""),
    _more("recovered_precision", "connections that the teacher has"),
    _more("recovered_recall", "connections of the teacher that were found"),
    Metric("recovered_chance", "the same of random masks", better=""),
    Metric("unconnected_units", "units without an active incoming weight"),
    Metric("silent_units", "units that are always 0 after their ReLU"),
    Metric("collapsed_layers", "layers without an active weight", "number"),
    Metric("dense_bytes", "size on disk, dense", "bytes"),
    Metric("sparse_bytes", "size on disk, sparse", "bytes"),
    Metric("dense_1", "latency, dense, batch of 1", "seconds"),
    Metric("dense_128", "latency, dense, batch of 128", "seconds"),
    Metric("dense_256", "latency, dense, batch of 256", "seconds"),
    Metric("csr", "latency, compressed rows", "seconds"),
    Metric("csr_1", "latency, compressed rows, batch of 1", "seconds"),
    Metric("csr_128", "latency, compressed rows, batch of 128", "seconds"),
    Metric("csr_256", "latency, compressed rows, batch of 256", "seconds"),
    Metric("condensed", "latency, condensed without numba", "seconds"),
    Metric("condensed_1", "latency, condensed without numba, batch of 1", "seconds"),
    Metric("condensed_128", "latency, condensed without numba, batch of 128", "seconds"),
    Metric("condensed_256", "latency, condensed without numba, batch of 256", "seconds"),
    Metric("condensed_numba", "latency, condensed with numba", "seconds"),
    Metric("condensed_numba_1", "latency, condensed with numba, batch of 1", "seconds"),
    Metric("half_1", "latency, half precision, batch of 1", "seconds"),
    Metric("half_128", "latency, half precision, batch of 128", "seconds"),
    Metric("half_256", "latency, half precision, batch of 256", "seconds"),
    Metric("two_four", "latency, 2:4 in half precision", "seconds"),
    Metric("two_four_1", "latency, 2:4 in half precision, batch of 1", "seconds"),
    Metric("two_four_128", "latency, 2:4 in half precision, batch of 128", "seconds"),
    Metric("two_four_256", "latency, 2:4 in half precision, batch of 256", "seconds"),
)
"""In the order in which they are shown; those of a method or a task come after."""

KNOWN = {metric.name: metric for metric in METRICS}
FRACTIONS = frozenset(metric.name for metric in METRICS if metric.unit == "percent")
R2 = frozenset(metric.name for metric in METRICS if metric.r2)
LATENCIES = frozenset(metric.name for metric in METRICS if metric.unit == "seconds")
AT_LEAST_ZERO = KNOWN.keys() - {"train_loss"} - R2  # a task's own loss may be below
MIN_FRACTION = 1e-9
"""A fraction of examples, units or weights is 0 or at least this, so ratios stay finite."""


def out_of_range(name: str, value: float) -> str:
    """Return why a metric cannot have this value; empty where it can."""
    if name in FRACTIONS or name.endswith("_accuracy"):
        if not 0 <= value <= 1:
            return f"{name} is {value:g}, not in [0, 1]"
        if 0 < value < MIN_FRACTION:
            return f"{name} is {value:g}: a fraction of what can be counted is 0 or at least 1e-9"
    elif name in LATENCIES and value <= 0:
        return f"{name} is {value:g} seconds: a latency is above 0"
    elif name in R2 and value > 1:
        return f"{name} is {value:g}, more than 1"
    elif name in AT_LEAST_ZERO and value < 0:
        return f"{name} is {value:g}, less than 0"
    return ""


SEVERITIES = 5
"""Of each kind of corruption; a mean over them is a fraction of so many passes over the split."""
CORRUPTED = "test_accuracy_corrupted"
CORRUPTIONS = tuple(name for name in KNOWN if name.startswith(f"{CORRUPTED}_"))
PREDICTED = re.compile(r"(test|validation)_accuracy(?:_[0-9]+bit|_(?:fgsm|pgd10)_(?:8_255|0_3))?")
ATTACKED = tuple(
    name for name in KNOWN if name.startswith(("test_accuracy_fgsm", "test_accuracy_pgd"))
)
MOST_GAIN = {
    **{f"test_{score}_8bit": 0.25 for score in ("accuracy", "r2")},
    **{f"test_{score}_{bits}bit": 0.5 for score in ("accuracy", "r2") for bits in (4, 2)},
    **dict.fromkeys((CORRUPTED, *ATTACKED), 0.25),
    **dict.fromkeys(CORRUPTIONS, 0.5),
}
"""How far a score under rounded weights, corruptions or an attack may be above that of the network
as it is, or of a constant prediction where this is higher.

Generous: rounding to few bits can remove noise, and one corruption can undo what is peculiar to a
test set. In 2,474 measured records the largest gains are 0.01 at 8 bits, 0.04 at 4 and 0.09 at 2,
0.04 under one kind of corruption, 0.01 under all, and 0 under attack.
"""
WRONG_NLL = math.log(2)
"""The least NLL of a wrong prediction: another class is at least as probable as the right one."""
ROUNDING = 0.99
"""Factor on bounds of the NLL, for probabilities that were rounded before they were compared."""
MOST_NLL = 1e39
"""The NLL is at most the difference of two logits, below 2 · 3.5e38 in single precision. So is the
mean squared error, or training ended because it was not finite."""


def passes(name: str) -> tuple[str, int] | None:
    """Return what a metric is a fraction of: a split's predictions, and in how many passes over it.

    None for a metric that is no such fraction: the mean over classes, say.
    """
    if found := PREDICTED.fullmatch(name):
        return found[1], 1
    if name == CORRUPTED:
        return "test", SEVERITIES * len(CORRUPTIONS)
    return ("test", SEVERITIES) if name in CORRUPTIONS else None


def contradictions(
    values: Mapping[str, float],
    classes: int | None = None,
    *,
    single: bool = False,
    constant: float | None = None,
) -> Iterator[str]:
    """Yield where metrics cannot be true together, of a network that the suite evaluated.

    `classes` is the number of classes or characters, if it is known; `single` says that outputs
    were computed in single precision or less. `constant` is the accuracy of predicting the most
    frequent class of the test split everywhere, if it is known.
    """
    loss = values.get("train_loss", 0.0)
    if loss < ROUNDING - 1:  # cross-entropy or squared error
        yield f"train_loss is {loss:.6g}: no training loss is below 0"
    for name in ("train_loss", "test_nll") if single else ():
        if values.get(name, 0.0) > MOST_NLL:
            yield f"{name} is {values[name]:.6g}: in single precision it is at most {MOST_NLL:g}"
    for split in ("test", "validation"):
        yield from _of_split(split, {n: values.get(f"{split}_{n}") for n in TOGETHER}, classes)
    yield from _gains(values, constant)
    score = values.get("validation_score_before_projection", 0.0)
    if score < 0 and "test_accuracy" in values:
        yield f"validation_score_before_projection is {score:.6g}: an accuracy is 0 to 1"
    if CORRUPTED in values and all(name in values for name in CORRUPTIONS):
        mean = sum(values[name] for name in CORRUPTIONS) / len(CORRUPTIONS)
        if not math.isclose(values[CORRUPTED], mean, rel_tol=1e-9):
            yield f"{CORRUPTED} is {values[CORRUPTED]:.6g}, the mean over its kinds is {mean:.6g}"


def _gains(values: Mapping[str, float], constant: float | None) -> Iterator[str]:
    """Yield scores of the network under rounding, corruption or attack that exceed its own by far.

    A network that makes no sense may predict one class, and after rounding another: then the score
    of a constant prediction bounds both. For R² that is 0.
    """
    for clean, floor in (("test_accuracy", constant), ("test_r2", 0.0)):
        if clean not in values or floor is None:
            continue
        for name, gain in MOST_GAIN.items():
            most = max(values[clean], floor) + gain
            if name.startswith(clean) and values.get(name, 0.0) > most:
                yield (
                    f"{name} is {values[name]:.6g}: with {clean} {values[clean]:.6g} it is at most "
                    f"{most:.6g}"
                )


TOGETHER = (
    "accuracy", "balanced_accuracy", "macro_f1", "nll", "ece", "bits_per_character", "r2", "rmse",
)  # fmt: skip


def _of_split(split: str, of: Mapping[str, float | None], classes: int | None) -> Iterator[str]:
    accuracy, nll, bits, r2, rmse = (
        of[name] for name in ("accuracy", "nll", "bits_per_character", "r2", "rmse")
    )
    if accuracy is not None:
        for name in ("balanced_accuracy", "macro_f1"):
            value = of[name]
            for extreme, meaning in ((1.0, "every"), (0.0, "no")):
                if value is not None and (value == extreme) != (accuracy == extreme):
                    yield (
                        f"{split}_{name} is {value:.6g} and {split}_accuracy {accuracy:.6g}: both "
                        f"are {extreme:g} if {meaning} prediction is right, or neither"
                    )
            if value is not None and classes:
                least, most = accuracy / classes, 1 - (1 - accuracy) / classes
                if not least * (1 - 1e-9) <= value <= most * (1 + 1e-9):
                    yield (
                        f"{split}_{name} is {value:.6g}: with {split}_accuracy {accuracy:.6g} of "
                        f"{classes} classes it is {least:.6g} to {most:.6g}"
                    )
        if nll is not None and nll < ROUNDING * (1 - accuracy) * WRONG_NLL:
            yield (
                f"{split}_nll is {nll:.6g}: {1 - accuracy:.6g} wrong predictions cost at least "
                f"{(1 - accuracy) * WRONG_NLL:.6g}"
            )
        if bits is not None and bits < ROUNDING * (1 - accuracy):
            yield (
                f"{split}_bits_per_character is {bits:.6g}: {1 - accuracy:.6g} wrong predictions "
                f"cost at least {1 - accuracy:.6g}"
            )
        if nll is not None and classes and accuracy == 1 and nll * ROUNDING > math.log(classes):
            yield (
                f"{split}_nll is {nll:.6g}: with every prediction right it is at most "
                f"{math.log(classes):.6g}, that of {classes} equal probabilities"
            )
    if (ece := of["ece"]) is not None:
        yield from _calibration(split, ece, accuracy, nll, classes)
    if nll is not None and bits is not None and not math.isclose(nll / WRONG_NLL, bits):
        yield f"{split}_bits_per_character is {bits:.6g}, {split}_nll gives {nll / WRONG_NLL:.6g}"
    if r2 is not None and rmse is not None and (r2 == 1) != (rmse == 0):
        yield f"{split}_r2 is {r2:.6g} and {split}_rmse {rmse:.6g}: R² is 1 where the error is 0"
    if r2 is not None and accuracy is not None:
        yield f"{split}_r2 and {split}_accuracy: targets are real numbers or classes, not both"


def _calibration(
    split: str, ece: float, accuracy: float | None, nll: float | None, classes: int | None
) -> Iterator[str]:
    """Compare the ECE with what each prediction can add to it at most.

    Of confidence p that is 1 − p if it is right, where p is at least 1 / classes, and p if it is
    wrong. Either is at most its NLL: 1 − p ≤ −ln p, and a wrong one leaves 1 − p to the right one.
    """
    slack = 1 - ROUNDING
    if accuracy is not None and classes:
        most = 1 - accuracy * ROUNDING / classes
        if ece > most:
            yield (
                f"{split}_ece is {ece:.6g}: with {split}_accuracy {accuracy:.6g} of {classes} "
                f"classes it is at most {most:.6g}"
            )
    if nll is not None and ece > nll + slack:
        yield f"{split}_ece is {ece:.6g}: it is at most the NLL, {nll:.6g}"


def rows(values: Mapping[str, float], absent: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (title, text) of each metric that was measured or whose absence has a reason."""
    names = {*values, *absent}
    own = [Metric(n, n.replace("_", " "), "number") for n in sorted(names - KNOWN.keys())]
    return [
        (one.title, one.text(values[one.name]) if one.name in values else absent[one.name])
        for one in (*METRICS, *own)
        if one.name in names
    ]

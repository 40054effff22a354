"""Which parameters of a model a method may prune."""

import difflib
import fnmatch
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch import nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils.parametrize import ParametrizationList

from suite.core.errors import InvalidInput
from suite.core.layer_kinds import KINDS, STANDARD_KINDS, checked_kinds
from suite.sparsity.standardized import check_forward

CONV_TRANSPOSE = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
RECURRENT = (nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell)

_MODULES: dict[str, tuple[type[nn.Module], ...]] = {
    "linear": (nn.Linear,),
    "conv": (nn.Conv1d, nn.Conv2d, nn.Conv3d),
    "conv_transpose": CONV_TRANSPOSE,
    "attention": (nn.MultiheadAttention,),
    "recurrent": RECURRENT,
    "bilinear": (nn.Bilinear,),
    "": (nn.Embedding, nn.EmbeddingBag),  # of no kind: pruned on request only
}
"""Kind → the classes of its modules."""

_PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")

NAMED = 12
"""How many names a message lists."""

_OUTPUTS_FIRST = {"linear", "conv", "attention", "recurrent"}
"""Kinds whose weights are [outputs, inputs, ...]."""


@dataclass(frozen=True)
class Coverage:
    """Which weights may be pruned.

    A glob is matched, with letter case, against names of parameters and of modules and against the
    class of the module that holds the parameter: ``tok``, ``blocks.*.w1``, ``Embedding``. A list
    or a single text is accepted for each of the tuples.

    Attributes:
        kinds: names of `suite.core.layer_kinds.KINDS`.
        include: globs of further parameters: any floating-point ones of 2 or more dimensions.
        exclude: globs of layers or parameters that are left alone, also if they are included.

    Raises:
        InvalidInput: a kind that does not exist, or globs that are not texts.
    """

    kinds: tuple[str, ...]
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", checked_kinds(self.kinds))
        for name in ("include", "exclude"):
            object.__setattr__(self, name, _globs(name, getattr(self, name)))


def _globs(option: str, given: object) -> tuple[str, ...]:
    globs = (given,) if isinstance(given, str) else given
    if not isinstance(globs, list | tuple) or not all(isinstance(glob, str) for glob in globs):
        raise InvalidInput(
            f"{option}={given!r} is not usable: give a list of names of parameters, modules or "
            "classes, with * for any text"
        )
    return tuple(globs)


LINEAR_AND_CONV = Coverage(STANDARD_KINDS)
"""Linear and Conv layers: what tasks prune unless they declare otherwise."""

ALL_MATRICES = Coverage(tuple(KINDS))
"""The weights of every kind, all but those of embeddings."""


@dataclass(frozen=True)
class Prunable:
    """A parameter that may be pruned.

    Attributes:
        name: of the layer, as methods and records call it: the module's where its parameter is
            `weight` (``blocks.0.fc1``), else the parameter's (``lstm.weight_ih_l0``).
        path: full name of the parameter in the model.
        parameter: the weight.
        module: the module that holds it.
        input_dim: the dimension along which the inputs of an output lie; None where there is no
            such dimension, or it is not known.
    """

    name: str
    path: str
    parameter: nn.Parameter
    module: nn.Module
    input_dim: int | None = None


@dataclass(frozen=True)
class NamedWeight:
    """A parameter under one of its names, whether it may be pruned or not.

    Attributes:
        name, path, module: as in `Prunable`.
        owner: name of the module.
        parameter: None if the module recomputes it from others at each use.
        kind: of `KINDS`; empty for parameters of no kind.
        recomputed: whether the module uses another tensor, computed from this one.
    """

    name: str
    path: str
    module: nn.Module
    owner: str
    parameter: nn.Parameter | None
    kind: str
    recomputed: bool

    @property
    def classes(self) -> list[str]:
        """The class of the module, and the class of torch.nn that it is derived from, if any."""
        bases = (base for bases in _MODULES.values() for base in bases)
        known = [base.__name__ for base in bases if isinstance(self.module, base)]
        return [type(self.module).__name__, *known]

    def matches(self, glob: str) -> bool:
        """Return whether a glob names this parameter."""
        labels = (self.name, self.path, self.owner, *self.classes)
        return any(fnmatch.fnmatchcase(label, glob) for label in labels)


def find_prunable(model: nn.Module, coverage: Coverage = LINEAR_AND_CONV) -> list[Prunable]:
    """Return the prunable parameters of a model in the order of its modules.

    Prunable are the weights that `coverage` names and that are being trained. A weight shared by
    several modules counts once, under its first name; weights that are frozen
    or have no elements are skipped. The model is not changed.

    Raises:
        InvalidInput: there is none; one is recomputed from other tensors before use (weight norm,
            weight standardisation) so that there is nothing to mask in place, is sharded (FSDP),
            or has no shape yet; or a glob matches nothing.
    """
    check_unsharded(model)
    found: list[Prunable] = []
    seen: set[int] = set()
    for weight in covered_weights(model, coverage):
        parameter = weight.parameter
        if weight.recomputed or parameter is None:
            raise InvalidInput(
                f"layer '{weight.name}': its weight is recomputed by a parametrization, which "
                "masks in place cannot reach; remove the parametrization before sparsifying"
            )
        if isinstance(parameter, UninitializedParameter):
            raise InvalidInput(
                f"layer '{weight.name}' has no weights yet: run one batch through the model first, "
                "and build the optimizer after that"
            )
        if id(parameter) in seen or not parameter.requires_grad or parameter.numel() == 0:
            continue
        seen.add(id(parameter))
        inputs = 1 if weight.kind in _OUTPUTS_FIRST else None
        found.append(Prunable(weight.name, weight.path, parameter, weight.module, inputs))
    if not found:
        kinds = "; ".join(KINDS[kind] for kind in coverage.kinds)
        raise InvalidInput(
            f"{type(model).__name__} has no prunable layer: there must be one whose weight is "
            f"trained, of the kinds {kinds}; other parameters can be named with include"
        )
    check_forward({weight.name: weight.module for weight in found})
    return found


def covered_weights(model: nn.Module, coverage: Coverage) -> list[NamedWeight]:
    """Return the weights that `coverage` names in network order, frozen and shared ones included.

    Modules are in the order of the network, the parameters of one in the order of registration.

    Raises:
        InvalidInput: a glob matches nothing.
    """
    weights = _candidates(model)
    included = _matching(weights, "include", coverage.include)
    excluded = _matching(weights, "exclude", coverage.exclude)
    tied = {id(weight.parameter) for weight in excluded.values() if weight.parameter is not None}
    return [
        weight
        for weight in weights
        if (weight.kind in coverage.kinds or weight.path in included)
        and weight.path not in excluded
        and id(weight.parameter) not in tied
    ]


def excluded_parameters(model: nn.Module, globs: Sequence[str]) -> set[int]:
    """Return the ids of the parameters that any of these globs names, if there are any."""
    return {id(w.parameter) for w in _candidates(model) if any(map(w.matches, globs))}


def is_matrix(parameter: nn.Parameter) -> bool:
    """Return whether this is a floating-point parameter of 2 or more dimensions."""
    if isinstance(parameter, UninitializedParameter):
        return False
    return parameter.is_floating_point() and parameter.ndim >= 2


def _candidates(model: nn.Module) -> list[NamedWeight]:
    """Return what globs are matched against: matrices, and weights of a kind in any storage."""
    return [
        weight
        for weight in named_weights(model)
        if weight.kind or (weight.parameter is not None and is_matrix(weight.parameter))
    ]


def _matching(
    weights: Sequence[NamedWeight], option: str, globs: Iterable[str]
) -> dict[str, NamedWeight]:
    """Return the weights that any of the globs names, by path.

    Raises:
        InvalidInput: one names none.
    """
    hits: dict[str, NamedWeight] = {}
    for glob in globs:
        matched = [weight for weight in weights if weight.matches(glob)]
        if not matched:
            raise InvalidInput(
                f"{option}: '{glob}' matches no weight of 2 or more dimensions; there are "
                f"{_listed(weights, glob)}"
            )
        hits |= {weight.path: weight for weight in matched}
    return hits


def _listed(weights: Sequence[NamedWeight], glob: str) -> str:
    """Return the names that are most like a glob, the others counted only."""
    names = list(dict.fromkeys(weight.path for weight in weights))
    near = difflib.get_close_matches(glob, names, n=NAMED, cutoff=0.4)
    first = list(dict.fromkeys([*near, *names]))[:NAMED]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return ", ".join(first) + more


def named_weights(model: nn.Module) -> Iterator[NamedWeight]:
    """Yield every parameter of a model under each of its names, and those that are recomputed."""
    modules = dict(model.named_modules())
    for owner, module in modules.items():
        if isinstance(module, ParametrizationList):
            # Its parameters belong to the module whose weight is computed from them.
            outer = f".{owner}".rsplit(".parametrizations.", 1)[0].removeprefix(".")
            for name, parameter in module._parameters.items():
                path = f"{owner}.{name}"
                yield NamedWeight(path, path, modules[outer], outer, parameter, "", True)
            continue
        kind, expected = _kind(module)
        for name in dict.fromkeys([*module._parameters, *expected]):
            parameter = module._parameters.get(name)
            missing = name not in module._parameters
            if parameter is None and not missing:
                continue
            path = f"{owner}.{name}" if owner else name
            label = owner if name == "weight" and _is_known(module) else path
            of_kind = kind if name in expected else ""
            yield NamedWeight(label, path, module, owner, parameter, of_kind, missing)


def _is_known(module: nn.Module) -> bool:
    """Return whether a layer is called by the name of its module alone."""
    return any(isinstance(module, classes) for classes in _MODULES.values())


def _kind(module: nn.Module) -> tuple[str, tuple[str, ...]]:
    """Return the kind of a module, and the names of its weights; ("", ()) if it has none."""
    kind = next((kind for kind, classes in _MODULES.items() if isinstance(module, classes)), "")
    if kind == "attention":
        return kind, _PROJECTIONS
    if isinstance(module, nn.RNNBase):
        names = [name for names in module._all_weights for name in names]
        return kind, tuple(name for name in names if name.startswith("weight"))
    if kind == "recurrent":
        return kind, ("weight_ih", "weight_hh")
    return (kind, ("weight",)) if kind else ("", ())


def check_unsharded(model: nn.Module) -> None:
    """Check that every process holds whole weights.

    Raises:
        InvalidInput: FSDP1, FSDP2 or tensor parallelism has divided them.
    """
    # Whoever shards a model has imported these; importing them here would take half a second.
    sharded = getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", ())
    wrapper = getattr(sys.modules.get("torch.distributed.fsdp"), "FullyShardedDataParallel", ())
    what = ""
    if any(isinstance(parameter, sharded) for parameter in model.parameters()):
        what = "its parameters are DTensors, of FSDP2 or tensor parallelism"
    elif any(
        isinstance(module, wrapper) or getattr(module, "_is_fsdp_managed_module", False)
        for module in model.modules()
    ) or any(getattr(parameter, "_is_flat_param", False) for parameter in model.parameters()):
        what = "it is wrapped in FullyShardedDataParallel"
    if what:
        raise InvalidInput(
            f"{type(model).__name__} is sharded ({what}): exact masks need whole weights in every "
            "process; use DistributedDataParallel"
        )

"""Declarations of trainers: published protocols that do not fit the training loop, and analyses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from suite.core.declarations import Declared, unknown
from suite.core.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class Trainer(Declared):
    """Trains a trial by the protocol of a publication, in place of the suite's training loop.

    A study or a trial names it (``trainer: NAME``). Settings that the protocol does not use are
    refused, so that every setting in a record has an effect.

    An analysis trains as the suite does, on every task and by every method and setting, and
    measures something else on the way. Its records are on no board.

    Attributes:
        summary: the protocol in short.
        implementation: function (trial, progress, checkpointer) → Outcome, as
            `suite.training.trial.run_trial`; ``:name`` if it is in the declaration's file.
        tasks: those it can train on; of an analysis none are listed here, as in the next two.
        methods: those it supports, each with the hyperparameters that it uses.
        recipe: the recipe fields that it uses.
        sparsity: of the sparse methods, if the protocol fixes it; to four digits.
        analysis: whether it is an analysis.
        preflight: function (trial) → None that raises InvalidInput for a trial that cannot be
            trained, before any of a study is; named as `implementation` is.
    """

    summary: str
    implementation: str
    tasks: tuple[str, ...] = ()
    methods: Mapping[str, tuple[str, ...]] = field(hash=False, default_factory=dict)
    recipe: tuple[str, ...] = ()
    sparsity: float | None = None
    analysis: bool = False
    preflight: str = ""

    def followed(
        self, method: str, hyperparameters: Mapping[str, Any], recipe: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """Return the settings that the protocol uses, with their values."""
        if self.analysis:
            return {"hyperparameters": dict(hyperparameters), "recipe": dict(recipe)}
        return {
            "hyperparameters": {name: hyperparameters[name] for name in self.methods[method]},
            "recipe": {name: recipe[name] for name in self.recipe},
        }

    def check(
        self,
        task: str,
        method: str,
        sparsity: float,
        hyperparameters: Mapping[str, object],
        recipe: Mapping[str, object],
    ) -> None:
        """Refuse settings that the protocol does not support.

        Raises:
            InvalidInput: another task, method, sparsity, or a setting that would have no effect.
        """
        if self.analysis:
            return
        see = "list trainers"
        for kind, name, valid in (("task", task, self.tasks), ("method", method, self.methods)):
            if name not in valid:
                raise InvalidInput(unknown(kind, name, valid, of=f"trainer {self.name}", see=see))
        if self.sparsity is not None and sparsity and abs(sparsity - self.sparsity) > 5e-5:
            raise InvalidInput(
                f"sparsity={sparsity:g}: trainer {self.name} fixes it; give {self.sparsity:g}"
            )
        follows = {"hyperparameter": self.methods[method], "recipe field": self.recipe}
        for kind, given in (("hyperparameter", hyperparameters), ("recipe field", recipe)):
            for name in given:
                if name not in follows[kind]:
                    raise InvalidInput(
                        f"{kind} {name}: trainer {self.name} does not use it with {method}, "
                        f"only {', '.join(follows[kind]) or 'none'}; leave it out"
                    )

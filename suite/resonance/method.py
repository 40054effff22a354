"""The resonance method: detection, threshold, connectivity and control joined into a Sparsifier."""

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from suite.core.errors import InvalidInput, TrialFailed
from suite.resonance.connectivity import State, disable, freeze, lowest, project
from suite.resonance.controller import AccuracyFeedback, AmplitudeController
from suite.resonance.make_signal import make_signal
from suite.resonance.options import MIN_FACTOR, amplitude_bound, check_options
from suite.resonance.schedule import forgotten_after, make_decision_schedule
from suite.resonance.shuffle import signal_sources
from suite.resonance.signal import Reading, Signal
from suite.resonance.signal_reliability import SignalReliability
from suite.resonance.threshold import PeriodicThreshold
from suite.sparsity.cost_bounds import Course, FlopsBounds, TrainingSetup, Zeros
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import count_at_most, count_true, where_true
from suite.sparsity.plan import Plan
from suite.sparsity.schedule import CubicRamp
from suite.sparsity.sparsifier import Sparsifier

BINS = 20
"""Bins of the reported distributions: frequency over (0, 1], age over the length of training."""

OSCILLATION_MARGIN = 0.004
"""The average over a period aims at least this far below the final sparsity, so that the threshold
can still oscillate: at no time are more connections inactive than at the end."""

SAMPLE = 2**14
"""At most this many connections, evenly spaced, are sampled for distributions and for swings."""


INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""The integer type of as many bytes as a float has."""


@dataclass
class Group:
    """Connections that share one threshold and one exact count: a layer, or the network.

    Attributes:
        name: the layer's name, or "network".
        layers: the layers whose connections these are, in order.
        final_off: how many connections are off at the end; at no time are more off.
        state: which connections are active, have a weight, and since when; decided for layers
            that were frozen midway too, which do not follow it: others do not make up for them.
        controller: sets this group's amplitude.
    """

    name: str
    layers: list[PrunableWeight]
    final_off: int
    state: State
    controller: AmplitudeController

    @property
    def magnitude(self) -> Tensor:
        """Flat |w| [n]."""
        return torch.cat([layer.values.abs().flatten() for layer in self.layers])

    @property
    def off(self) -> float:
        """The fraction of connections that are inactive, those of frozen layers as they are."""
        parts = zip(self.layers, self.split(self.state.active), strict=True)
        active = sum(count_true(part) if layer.trained else layer.active for layer, part in parts)
        return 1 - active / len(self.state.active)

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """Return each layer's part of `values` [n], as views."""
        return values.split([layer.size for layer in self.layers])


class Resonance(Sparsifier):
    """Connections with a resonance frequency above T stay; the others cool down and may return.

    Every `update_every` steps, for each layer (or the network): read ν from the last N dense
    gradients (`reading`, `average`), set the amplitude A so that the sparsity follows its path,
    form the threshold T(φ) = A·(1 − m + 2m·sin²(π(2^b − 1)φ)), and switch off what lies at or below
    it: for `cooldown` steps, or (``cooling="freeze"``) untrained until then and set to zero after.
    With ``keep="low"`` it is 1 − ν that has to lie above. At `freeze_at` connectivity is projected
    onto the target exactly and stays.
    """

    update_reads_dense_gradients = False

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        o = self.options
        self.threshold = PeriodicThreshold(o.bits, o.modulation)
        self.schedule = make_decision_schedule(o, self.step_at(o.freeze_at))
        self.cooldown = 2 * self.schedule.every if o.cooldown == "auto" else o.cooldown
        check_options(o, plan, self.schedule, self.cooldown)
        self.path = CubicRamp(o.initial_sparsity, 1.0, 0, max(1, self.step_at(o.ramp)))
        self.feedback = AccuracyFeedback(
            o.tolerance, o.accuracy_gain, o.accuracy_depth if plan.validates else 0.0
        )
        self.rounding_bits = (o.bits,)
        self.disables = o.cooling == "disable"
        self.groups: list[Group] = []
        self.signal = self._make_signal([])
        self.reliability = SignalReliability(
            o.window * o.record_every + forgotten_after(o.average) * self.schedule.every
        )
        self._fixed_at: int | None = None  # the step of the projection, once it is done

    @property
    def is_global(self) -> bool:
        """Whether one exact count holds for the whole network."""
        return bool(self.options.scope == "global")

    def effective_options(self) -> dict[str, int | None]:
        """Return the effect of each option in this training; None if it has none."""
        o = self.options
        # A connection switched off at one decision stays off at those less than C steps later;
        # a frozen one is set to zero at the first that is more than C steps later.
        steps = self.cooldown - 1 if self.disables else self.cooldown
        unused = []
        if o.modulation == 0:
            unused += ["bits", "argument"]
        if o.solve == "exact":
            unused += ["proportional_gain", "integral_gain"]
        if not self.plan.validates or o.accuracy_depth == 0 or o.accuracy_gain == 0:
            unused += ["tolerance", "accuracy_gain", "accuracy_depth"]
        if o.reading != "dominant":
            unused += ["interpolate"]
        if o.reading == "rate":
            unused += ["detrend", "taper", "history_dtype"]
        every = self.schedule.every
        effective = {"update_every": every, "cooldown": max(0, steps) // every}
        return effective | dict.fromkeys(unused)

    def options_in_steps(self) -> Mapping[str, Any]:
        """Return the options with `update_every` and `cooldown` as they are in this training.

        Decisions at other steps would read windows of which some gradients were not recorded.
        """
        held = {"update_every": self.schedule.every, "cooldown": self.cooldown}
        return vars(self.options) | held

    # ------------------------------------------------------------------ the steps of training

    def start(self) -> None:
        """Form the groups; training starts dense."""
        if self.is_global:
            layers = self.prunable_layers
            final_off = min(self.target_total(), sum(layer.size - 1 for layer in layers))
            self.groups = [self._group("network", layers, final_off)]
        else:
            zeros = self.target_zeros()
            self.groups = [
                self._group(layer.name, [layer], zeros[layer.name])
                for layer in self.layers
                if zeros[layer.name] > 0
            ]
        self.signal = self._make_signal(self._decided_layers())

    def _group(self, name: str, layers: list[PrunableWeight], final_off: int) -> Group:
        o = self.options
        size = sum(layer.size for layer in layers)
        return Group(
            name,
            layers,
            final_off,
            State.dense(size, layers[0].device),
            AmplitudeController(o.solve, o.proportional_gain, o.integral_gain, amplitude_bound(o)),
        )

    def _decided_layers(self) -> list[PrunableWeight]:
        return [layer for group in self.groups for layer in group.layers]

    def _make_signal(self, layers: list[PrunableWeight]) -> Signal:
        sizes = {layer.name: (layer.size, layer.device) for layer in layers}
        return make_signal(self.options, sizes)

    @property
    def is_fixed(self) -> bool:
        """Whether connectivity is fixed."""
        return self._fixed_at is not None

    def _is_fixed(self, step: int) -> bool:
        """Return whether connectivity was fixed before `step`."""
        return self._fixed_at is not None and step > self._fixed_at

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether the gradients of `step` are recorded."""
        return self.schedule.is_recorded(step) and not self._is_fixed(step)

    def observe(self, step: int) -> None:
        """Record the dense gradients."""
        if not self.wants_dense_gradient(step):
            return
        # A layer that was frozen midway keeps the signal that it has.
        recorded = [
            layer
            for layer in self._decided_layers()
            if layer.trained or not self.signal.is_full(layer.name)
        ]
        self.signal.record({layer.name: layer.dense_gradient for layer in recorded})

    def is_update(self, step: int) -> bool:
        """Return whether `step` is a decision or the freeze.

        Where a training was extended after the freeze, no further one follows.
        """
        is_due = self.schedule.is_decision(step) or step == self.schedule.freeze
        return is_due and not self._is_fixed(step)

    def raise_sparsity(self, step: int) -> None:
        """Continue: the next decisions follow the path to the new target.

        Raises:
            InvalidInput: connectivity is fixed, or is fixed before the next decision.
        """
        fixed_at = self._fixed_at or self.schedule.freeze
        if self._fixed_at is not None or step >= fixed_at:
            raise InvalidInput(
                f"extend(sparsity=…): connectivity is fixed from step {fixed_at} on "
                f"(freeze_at={self.options.freeze_at:g}), and {step} steps are done: extend before "
                "that, or prune on with magnitude from masks="
            )

    def update(self, step: int) -> None:
        """Decide, or project onto the target at the freeze.

        A decision for which too few gradients are recorded is left out, and the projection is then
        by weights alone: a training that was extended midway decides at other steps than those
        that were recorded for.
        """
        for group in self.groups:
            if all(self.signal.is_full(layer.name) for layer in group.layers):
                reading = self._read(group, step)
                self.charge_method(self.signal.flops * len(group.state.active))
            elif step == self.schedule.freeze:
                reading = Reading.silent(len(group.state.active), group.layers[0].device)
            else:
                continue
            self._report_distributions(group, reading, step)
            if step == self.schedule.freeze:
                self._project(group, reading, step)
            else:
                self._decide(group, reading, step)
        if step == self.schedule.freeze:
            self._fixed_at = step
            self.signal.release()

    def after_validation(self, step: int, score: float) -> None:
        """Lower the effective target while the score falls."""
        self.feedback.update(score)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return none before the first decision, then at most the final ones until the freeze."""
        none, final = Zeros.none(setup.shapes), setup.final
        between = Zeros(none.least, final.most)
        if self.is_global:
            between = self.zeros_anywhere(setup.shapes, (0, final.in_network[1]))
        yield 0, none
        yield self.schedule.first, between
        yield self.schedule.freeze, final

    def method_cost(self, setup: TrainingSetup) -> FlopsBounds:
        """Return the cost of reading every connection that is decided on, at every decision."""
        if self.is_global:
            names = set(setup.sizes) - self.dense_names(setup.shapes)
        else:
            zeros = self.target_zeros(setup.shapes)
            names = {name for name, count in zeros.items() if count > 0}
        connections = sum(setup.sizes[name] for name in names)
        cost = self.signal.flops * connections * self.schedule.readings
        return FlopsBounds(cost, cost)

    # ------------------------------------------------------------------ one decision

    def _read(self, group: Group, step: int) -> Reading:
        parts = []
        for layer in group.layers:
            try:
                reading = self.signal.read(layer.name)
            except ValueError as error:
                raise TrialFailed(f"layer '{layer.name}', step {step}: {error}") from error
            generator = functools.partial(self.generator, layer, "shuffle")
            live = reading.frequency > 0
            source = signal_sources(self.options.shuffle, step, live, generator)
            parts.append(reading if source is None else reading.taken_from(source))
        return Reading.joined(parts)

    def _decide(self, group: Group, reading: Reading, step: int) -> None:
        state = group.state
        size = len(state.active)
        # Under freeze there is no cooldown: inactive connections may return at any decision.
        in_cooldown = state.in_cooldown(step, self.cooldown if self.disables else 0)
        free = ~in_cooldown
        target = self.path(step) * self.feedback.factor
        score = self._score(group, reading)
        count = group.controller.set_amplitude(
            score,
            free,
            target_off=int(target * group.final_off),
            measured_off=size - count_true(state.active),
        )
        level = amplitude = group.controller.amplitude
        if self.options.argument == "progress" and self.threshold.modulation > 0:
            shallow = self._shallow(group, score, free, step)
            level = self.threshold.level(amplitude, self.schedule.progress(step), shallow)
            count = count_at_most(score, level, free)
        # At any swing of the threshold, no more are inactive than at the end.
        count = min(count, max(0, group.final_off - count_true(in_cooldown)))
        among = free
        if self.is_global:
            among = free & ~self._spared(group, score.masked_fill(in_cooldown, -torch.inf))
        off = lowest(score, reading.strength, min(count, count_true(among)), among)
        decide = disable if self.disables else freeze
        self._connect(group, decide(state, off, step, self.cooldown), step)
        fraction = group.final_off / size
        for series, value in (
            ("amplitude", amplitude),
            ("threshold", level),
            ("off", group.off),
            ("target", self.path(step) * fraction),
            ("effective_target", target * fraction),
        ):
            self.report(step, series, value, group.name)

    def _shallow(self, group: Group, score: Tensor, free: Tensor, step: int) -> float:
        """Return the factor on the threshold's lower swings (1: unchanged), from a sample."""
        some = slice(None, None, -(-len(score) // SAMPLE))
        sample = where_true(score[some], free[some])
        free_count = count_true(free)
        if len(sample) == 0:
            return 1.0
        # The room for an upper swing is that at its peak, when the target s* has grown.
        peak = self.schedule.peak(step, self.threshold.periods)
        final, factor = group.final_off, self.feedback.factor
        target = self.path(step) * factor * final
        room = final - self.path(peak) * factor * final
        in_cooldown = len(score) - free_count
        wanted = min(target, final - OSCILLATION_MARGIN * len(score))
        return self.threshold.shallowest_needed(
            sample,
            group.controller.amplitude,
            ceiling=max(0.0, target + room - in_cooldown) / free_count,
            mean=max(0.0, wanted - in_cooldown) / free_count,
        )

    def _report_distributions(self, group: Group, reading: Reading, step: int) -> None:
        """Report how frequencies and ages are distributed, and what the watched signals are."""
        parts = (reading.frequency, group.state.active, group.state.since)
        for layer, frequency, active, since in zip(
            group.layers, *map(group.split, parts), strict=True
        ):
            some = slice(None, None, -(-layer.size // SAMPLE))
            shares = torch.histc(frequency[some], BINS, 0, 1)
            self.report(step, "frequency", (shares / shares.sum()).tolist(), layer.name)
            age = step - where_true(since[some], active[some])
            ages = torch.histc(age.float(), BINS, 0, self.plan.steps)
            self.report(step, "age", (ages / ages.sum().clamp_min(1)).tolist(), layer.name)
            value = self.reliability.compare(layer.name, step, frequency[some])
            if value is not None:
                self.report(step, "signal_reliability", value, layer.name)
            count = min(self.options.watch, layer.size)
            generator = self.generator(layer, "watch")
            watched = torch.randint(layer.size, (count,), generator=generator, device=layer.device)
            for series, values in self.signal.series(layer.name, watched):
                self.report(step, series, values, layer.name)

    def _score(self, group: Group, reading: Reading) -> Tensor:
        """Return each connection's score, divided by T / A at its phase unless all share one phase.

        The score is ν (1 − ν if low frequencies are kept), or under ``score="weighted"`` the rank
        of that times |w| in its layer, in (0, 1].
        """
        score = reading.score(self.options.keep)
        if self.options.score == "weighted":
            weighted = group.split(score * group.magnitude)
            score = torch.cat([rank_in_layer(part) for part in weighted])
        if self.options.argument == "progress":
            return score
        phase = reading.frequency
        if self.options.argument == "magnitude":
            magnitude = group.magnitude
            phase = magnitude / magnitude.max().clamp_min(torch.finfo(magnitude.dtype).tiny)
        return score / self.threshold.factors(phase).clamp_min_(MIN_FACTOR)

    def _spared(self, group: Group, rank: Tensor) -> Tensor:
        """Return the mask of each layer's best connection under global scope: none may be empty."""
        spared = torch.zeros_like(rank, dtype=torch.bool)
        if self.is_global:
            for part, ranks in zip(group.split(spared), group.split(rank), strict=True):
                part[ranks.argmax()] = True
        return spared

    def _project(self, group: Group, reading: Reading, step: int) -> None:
        state = group.state
        score = reading.score(self.options.keep)
        rank = group.magnitude if self.options.projection == "magnitude" else score
        mask = project(
            state.active,
            state.in_cooldown(step, self.cooldown if self.disables else 0),
            rank,
            score,
            reading.strength,
            len(rank) - group.final_off,
            self._spared(group, rank.masked_fill(~state.active, -1)),
        )
        changed = mask != state.active
        final = State(mask, mask, state.since.masked_fill(changed, step))
        self._connect(group, final, step)

    def _connect(self, group: Group, state: State, step: int) -> None:
        group.state = state
        masks, frozen = group.split(state.mask), group.split(state.frozen)
        for layer, mask, held in zip(group.layers, masks, frozen, strict=True):
            self.set_mask(layer, mask.view(layer.shape), step)
            if not self.disables and layer.trained:
                layer.freeze_weights(held.view(layer.shape))

    # ------------------------------------------------------------------ state

    def method_state(self) -> dict[str, Any]:
        """Return the signal, cooldowns, controllers and the accuracy feedback."""
        groups = {
            group.name: {
                "active": group.state.active,
                "since": group.state.since,
                "controller": asdict(group.controller),
            }
            for group in self.groups
        }
        return {
            "groups": groups,
            "signal": self.signal.state(),
            "reliability": self.reliability.state(),
            "fixed_at": self._fixed_at,
            "feedback": {"best": self.feedback.best, "factor": self.feedback.factor},
        }

    def load_method_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `method_state` returned.

        Raises:
            InvalidInput: a layer was dense under the target of that state, and is not under ours.
        """
        added = [group.name for group in self.groups if group.name not in state["groups"]]
        if added:
            raise InvalidInput(
                f"extend(sparsity=…): layer '{added[0]}' was to stay dense until now, so that none "
                "of its gradients are recorded: leave sparsity out, or prune on with magnitude "
                "from masks="
            )
        signal, fixed_at = state.get("signal"), state.get("fixed_at")
        if signal is None:
            signal, fixed_at = self._signal_of_older(state["groups"])
        for group in self.groups:
            saved = state["groups"][group.name]
            mask = torch.cat([layer.mask.flatten() for layer in group.layers])
            group.state = State(saved["active"].clone(), mask, saved["since"].clone())
            self._connect(group, group.state, 0)
            group.controller = AmplitudeController(**saved["controller"])
        self.signal.load(signal)
        self.reliability.load(state.get("reliability", {}))
        self._fixed_at = fixed_at
        self.feedback = replace(self.feedback, **state["feedback"])

    def _signal_of_older(self, groups: Mapping[str, Any]) -> tuple[dict[str, Any], int | None]:
        """Return the signal and the step of the projection from a state that keeps them by group.

        Such a state does not say when the projection was, only, by windows of no connections,
        that it was: step 0 then stands for it.
        """
        signal = {
            layer.name: kept
            for group in self.groups
            for layer, kept in zip(group.layers, groups[group.name]["histories"], strict=True)
        }
        is_released = any(kept["rows"].shape[-1] == 0 for kept in signal.values())
        return ({}, 0) if is_released else (signal, None)


def rank_in_layer(values: Tensor) -> Tensor:
    """Return each value's rank divided by n, in (0, 1], ties by index; 0 stays 0.

    Both are [n]; no value is negative.
    """
    # Floats of one sign order as integers do, and a CPU sorts integers several times as fast.
    order = values.view(INTEGERS[values.element_size()]).argsort(stable=True)
    rank = torch.arange(1, len(values) + 1, dtype=values.dtype, device=values.device)
    rank = torch.empty_like(values).scatter_(0, order, rank)
    return torch.where(values > 0, rank / len(values), 0)

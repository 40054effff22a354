"""Adding the method's own arithmetic to the FLOPs of a record that was written without it."""

import functools

from suite.core.code_files import is_own_origin
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.training_flops import lacks_own_arithmetic
from suite.sparsity.cost_bounds import Zeros
from suite.training.context import TrialContext
from suite.training.cost_setup import cost_setup
from suite.training.network import count_parameters, network_of


def with_own_arithmetic(record: Record) -> Record:
    """Return a finished record with `flops.method`, added to `flops.training`.

    The same object if it has the entry, if its method charges nothing of its own, or if what it
    charges does not follow from the trial's settings.

    Raises:
        InvalidInput: the trial's task or method is unknown, or its settings are no longer valid.
    """
    if record.status != "done" or record.trial["method"] not in registry.methods():
        return record
    method = registry.methods()[record.trial["method"]]
    other = record.configuration.get("method_revision") != method.revision
    if other or not lacks_own_arithmetic(record.flops, method):
        return record
    trial = Trial.make(**record.trial)
    if trial.trainer and is_own_origin(registry.trainers()[trial.trainer].origin):
        return record
    context = TrialContext.of(trial)
    sparsifier = context.make_sparsifier()
    width = sparsifier.width(functools.partial(count_parameters, context.task, context.dataset))
    final = Zeros.exactly({layer.name: layer.zeros for layer in record.layers})
    setup = cost_setup(network_of(trial.task, width), context.dataset, context.recipe, final)
    own = sparsifier.method_cost(setup)
    if not own.is_exact:
        return record
    flops = {**record.flops, "training": record.flops["training"] + own.least, "method": own.least}
    return record.model_copy(update={"flops": flops})

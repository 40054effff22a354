"""GSE: growth by gradient among as many random candidates as there are active weights."""

from dataclasses import replace

from baselines.rigl import METHOD as RIGL
from suite.core.declarations import Difference
from suite.core.hyperparameters import with_defaults

METHOD = replace(
    RIGL,
    name="gse",
    source="Heddes et al. 2024, arXiv:2401.06898",
    title="GSE, uniform",
    summary="RigL that looks at the gradients of as many random places as there are weights",
    implementation="baselines.rigl:RigL",
    hyperparameters=with_defaults(RIGL.hyperparameters, candidate_ratio=1.0),
    equation=(
        r"m \leftarrow (m \smallsetminus \operatorname{Bottom}_k({|w|})) "
        r"\cup \operatorname{Top}_k({|\nabla L|} \text{ of candidates}), "
        r"\quad k = \lfloor f(t)\,n \rfloor"
    ),
    cost="3 f_S per step; at updates 2 f_S and twice the active weights' gradients",
    differences=(
        Difference(
            "candidates",
            "drawn uniformly (the paper's uniform variant)",
            "uniformly, or guided by the sizes of activations and gradients (GraBo, GraEst)",
            "the variant whose cost is known without a second pass over the data",
        ),
        Difference(
            "how candidates are drawn",
            "different empty places, exactly as many as there are active weights",
            "from all places, with repetition; active weights and repetitions count as candidates",
            "the number, and so the cost, is exact",
        ),
        Difference(
            "order of an update",
            "weights are dropped first, and may be grown again (as in RigL)",
            "weights are grown first, and others dropped then, from the whole network",
            "a preset of RigL: only the candidates differ, and layers keep their sizes",
        ),
        Difference(
            "gradients",
            "those of the training step",
            "those of 10 more examples per class",
            "a preset of RigL",
        ),
        Difference(
            "drop_fraction, update_every, update_end",
            "0.3, 100 steps, 0.75 (RigL's)",
            "0.2, 1,000 steps, 0.6 (epoch 120 of 200)",
            "a preset of RigL, to compare the candidates alone",
        ),
    ),
)

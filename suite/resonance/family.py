"""Declarations of the resonance family: shared hyperparameters, and each variant's changes."""

from dataclasses import replace

from suite.core import hyperparameters as shared
from suite.core.declarations import Hyperparameter, Method, Search

SEED = "the method's proposal"

RECORD_EVERY = Hyperparameter(
    "record_every",
    int,
    1,
    "one gradient in this many steps is recorded",
    low=1,
    unit="steps",
    search=Search(low=1, high=10, log=True),
)

SHUFFLE = Hyperparameter(
    "shuffle",
    str,
    "none",
    "control: permute the signals within each layer, by one permutation per trial or a fresh "
    "one at each decision",
    choices=("none", "fixed", "each"),
    search=Search(choices=("none",)),
)

HYPERPARAMETERS = (
    shared.DISTRIBUTION,
    *shared.DENSE,
    Hyperparameter(
        "window",
        int,
        32,
        "N, number of a connection's latest gradients that form its signal; even",
        low=8,
        high=4096,
        unit="gradients",
        source=SEED,
        search=Search(choices=(16, 32, 64, 128)),
    ),
    replace(RECORD_EVERY, search=None),
    Hyperparameter(
        "reading",
        str,
        "dominant",
        "what ν is: the dominant frequency of the window's spectrum, the mean frequency weighted "
        "by power, or the rate of change, from running sums in place of a window: arccos(ρ₁)/π, "
        "ρ₁ the autocorrelation at lag one",
        choices=("dominant", "centroid", "rate"),
        search=Search(choices=("dominant",)),
    ),
    Hyperparameter(
        "average",
        float,
        0.0,
        "fraction of the former sums that is kept at a decision: of readings, or of gradients "
        "under reading=rate; 0 reads the latest window alone",
        low=0.0,
        below=1.0,
    ),
    Hyperparameter(
        "detrend",
        str,
        "mean",
        "what is subtracted from a window before its spectrum is taken",
        choices=("mean", "none"),
        search=Search(choices=("mean",)),
    ),
    Hyperparameter(
        "taper",
        str,
        "hann",
        "window function against spectral leakage (periodic Hann)",
        choices=("hann", "none"),
        source="Harris 1978, Proc. IEEE 66(1)",
        search=Search(choices=("hann",)),
    ),
    Hyperparameter(
        "interpolate",
        bool,
        True,
        "refine the dominant bin from its neighbours",
        search=Search(choices=(True,)),
    ),
    Hyperparameter(
        "history_dtype",
        str,
        "bfloat16",
        "precision of the stored gradients: 2 or 4 bytes each",
        choices=("bfloat16", "float32"),
        search=Search(choices=("bfloat16",)),
    ),
    Hyperparameter(
        "bits",
        int,
        2,
        "b, frequency mapping: the threshold has 2^b − 1 periods",
        low=1,
        high=8,
        unit="bits",
        source=f"{SEED}; the periodic function is that of arXiv:2003.00146",
        search=Search(low=1, high=3),
    ),
    Hyperparameter(
        "modulation",
        float,
        0.05,
        "m, relative depth of the threshold's swing; 0 is constant, 1 swings from 0 to 2A",
        low=0.0,
        high=1.0,
        source=SEED,
        search=Search(low=0.0, high=0.3),
    ),
    Hyperparameter(
        "argument",
        str,
        "progress",
        "φ of the periodic function: training progress, the connection's own frequency, or its "
        "|w| / max |w|",
        choices=("progress", "frequency", "magnitude"),
        source=SEED,
    ),
    Hyperparameter(
        "update_every",
        int,
        "auto",
        "steps between two decisions; auto is 1/24 of the phase up to freeze_at, 1 to 100 (under "
        "reading=rate at least 8 recorded gradients)",
        low=1,
        words=("auto",),
        unit="steps",
        source=SEED,
        search=Search(low=10, high=200, log=True),
    ),
    Hyperparameter(
        "cooldown",
        int,
        "auto",
        "C, how long a connection that was switched off stays off; auto is 2 × update_every, and "
        "a value below update_every means none",
        low=0,
        words=("auto",),
        unit="steps",
        source=SEED,
        search=Search(low=0, high=400, step=50),
    ),
    Hyperparameter(
        "cooling",
        str,
        "disable",
        "what happens below the threshold: set to zero and kept off for the cooldown, or frozen "
        "(kept in the network, untrained) and set to zero when the cooldown has passed",
        choices=("disable", "freeze"),
        source=f"{SEED}: its text says disable, its pseudocode freeze",
        search=Search(choices=("disable",)),
    ),
    Hyperparameter(
        "keep",
        str,
        "high",
        "which frequencies stay: high ones, or low ones, for which 1 − ν takes the place of ν in "
        "the score",
        choices=("high", "low"),
        search=Search(choices=("high",)),
    ),
    Hyperparameter(
        "score",
        str,
        "frequency",
        "what is compared with the threshold: ν, or the rank of ν·|w| in the layer",
        choices=("frequency", "weighted"),
        search=Search(choices=("frequency",)),
    ),
    Hyperparameter(
        "scope",
        str,
        "layer",
        "one threshold and count per layer, or one for the whole network",
        choices=("layer", "global"),
        search=Search(choices=("layer",)),
    ),
    Hyperparameter(
        "initial_sparsity",
        float,
        0.0,
        "sparsity at the start of the ramp, as a fraction of the target",
        low=0.0,
        below=1.0,
    ),
    Hyperparameter(
        "ramp",
        float,
        0.5,
        "when the target path s* reaches the target (a cubic ramp)",
        low=0.0,
        high=1.0,
        unit="fraction of training",
        source="the ramp of Zhu & Gupta 2017, arXiv:1710.01878, eq. 1",
        search=Search(low=0.2, high=0.7),
    ),
    Hyperparameter(
        "solve",
        str,
        "exact",
        "how the amplitude is set: by order statistic alone, or with proportional-integral "
        "feedback on the measured sparsity",
        choices=("exact", "feedback"),
        source=SEED,
    ),
    Hyperparameter(
        "proportional_gain",
        float,
        0.5,
        "k_p of the sparsity feedback",
        low=0.0,
        high=10.0,
        search=Search(low=0.0, high=2.0, when=("solve", "feedback")),
    ),
    Hyperparameter(
        "integral_gain",
        float,
        0.05,
        "k_i of the sparsity feedback",
        low=0.0,
        high=10.0,
        search=Search(low=0.0, high=0.5, when=("solve", "feedback")),
    ),
    Hyperparameter(
        "tolerance",
        float,
        0.5,
        "drop of the validation score that is ignored",
        low=0.0,
        unit="points",
    ),
    Hyperparameter(
        "accuracy_gain",
        float,
        0.2,
        "γ, gain of the accuracy feedback: how strongly a lower validation score lowers the target",
        low=0.0,
        unit="per point",
        search=Search(low=0.0, high=1.0),
    ),
    Hyperparameter(
        "accuracy_depth",
        float,
        0.2,
        "β, the largest fraction by which accuracy feedback lowers the target; 0 turns it off",
        low=0.0,
        high=1.0,
    ),
    replace(
        shared.UPDATE_END,
        name="freeze_at",
        meaning="when connectivity is projected onto the exact target and fixed",
        source="as RigL's T_end, arXiv:1911.11134",
    ),
    Hyperparameter(
        "projection",
        str,
        "magnitude",
        "what connections in the same state are ranked by in the final projection",
        choices=("magnitude", "score"),
        search=Search(choices=("magnitude",)),
    ),
    SHUFFLE,
    Hyperparameter(
        "watch",
        int,
        2,
        "connections per layer whose spectrum is recorded at every decision, drawn at random; "
        "changes nothing else",
        low=0,
        high=64,
        search=Search(choices=(2,)),
    ),
)

DROP_POWER = Hyperparameter(
    "drop_power",
    float,
    0.5,
    "p: the smallest |w|·power^p are dropped",
    low=0.0,
    high=4.0,
    search=Search(low=0.0, high=1.0),
)

COHERENCE_POWER = replace(
    DROP_POWER, name="coherence_power", meaning="q: the largest |mean g|·c^q are grown"
)

DRAW = Hyperparameter(
    "draw",
    str,
    "uniform",
    "how candidates are drawn: all places alike, or by activity, in proportion to the mean size "
    "of the gradients in a place's row and in its column, over the places observed in the last "
    "period",
    choices=("uniform", "activity"),
    source="Heddes et al. 2024, arXiv:2401.06898: guided exploration",
    search=Search(choices=("uniform",)),
)

SAMPLING = (
    replace(
        RECORD_EVERY,
        meaning="one gradient in this many steps is recorded; auto, with candidates: the least "
        "number, 10 or more, at which the training costs no more than RigL's; where even "
        "update_every is too dear there are fewer candidates",
        words=("auto",),
    ),
    replace(
        shared.CANDIDATE_RATIO,
        meaning="γ, places per active weight of a layer, drawn at the beginning of each period "
        "among those without a weight, whose gradients are recorded; 0 records all",
    ),
    DRAW,
)
"""Which gradients are recorded between two updates: by default all, at each step."""

SAMPLING_AT_LOW_COST = (
    *shared.with_defaults(SAMPLING[:1], record_every="auto"),
    replace(SAMPLING[1], default=4.0, search=Search(choices=(1.0, 2.0, 4.0, 8.0))),
    *shared.with_defaults(SAMPLING[2:], draw="activity"),
)
"""The same, by default of candidates, at the cost of one dense gradient at each update."""

COHERENT_HYPERPARAMETERS = (
    *shared.LAYERWISE,
    shared.UPDATE_EVERY,
    shared.DROP_FRACTION,
    shared.UPDATE_END,
    *SAMPLING,
    DROP_POWER,
    COHERENCE_POWER,
    SHUFFLE,
)

SAMPLED_HYPERPARAMETERS = (
    *shared.LAYERWISE,
    shared.UPDATE_EVERY,
    shared.DROP_FRACTION,
    shared.UPDATE_END,
    *SAMPLING_AT_LOW_COST,
    DROP_POWER,
    COHERENCE_POWER,
    SHUFFLE,
)

REGROW_HYPERPARAMETERS = (
    *shared.GLOBALLY,
    *shared.PRUNE_REGROW,
    replace(
        SAMPLING_AT_LOW_COST[0],
        meaning="one gradient in this many steps is recorded; auto, with candidates: in each "
        "period, at the sparsity that it begins with, the least number, 10 or more, at which it "
        "costs no more than one of GraNet's",
    ),
    *SAMPLING_AT_LOW_COST[1:],
    COHERENCE_POWER,
    SHUFFLE,
)


RESONANCE = Method(
    "resonance",
    "this project",
    revision=2,
    own_arithmetic=True,
    title="Resonance",
    summary="keeps connections whose gradient signal's frequency lies above a periodic threshold",
    implementation="suite.resonance.method:Resonance",
    family="resonance",
    hyperparameters=HYPERPARAMETERS,
    equation=(
        r"\text{keep } i \Leftrightarrow \nu_i > T(\varphi), \quad "
        r"T(\varphi) = A\left(1 - m + 2m \sin^2(\pi(2^b - 1)\varphi)\right), "
        r"\quad \nu_i = \frac{1}{K}\operatorname{argmax}_k {|\hat g_i[k]|}"
    ),
    cost="3 f(s_t); 2 f_S + f_D on steps whose gradients are read",
)

COHERENT = Method(
    "resonance_coherent",
    "this project",
    title="Coherent",
    summary="sparse-to-sparse relative: grows where the gradients of a period agree; not the "
    "resonance method",
    implementation="suite.resonance.coherent:Coherent",
    family="resonance",
    hyperparameters=COHERENT_HYPERPARAMETERS,
    equation=(
        r"m \leftarrow (m \smallsetminus \operatorname{Bottom}_k({|w|} \odot \text{rms}(g)^p)) "
        r"\cup \operatorname{Top}_k({|\bar g|} \odot c^q), \quad "
        r"c = \frac{\bar g^2}{\overline{g^2}}"
    ),
    cost="3 f_S; 2 f_S + f_D every record_every-th step",
)

SAMPLED = replace(
    COHERENT,
    name="resonance_sampled",
    title="Sampled",
    summary="coherent growth among random candidates, drawn where gradients are large, at RigL's "
    "cost",
    hyperparameters=SAMPLED_HYPERPARAMETERS,
    equation=(
        r"P(\text{candidate } ij) \propto a_i b_j, \quad "
        r"m \leftarrow (m \smallsetminus \operatorname{Bottom}_k({|w|} \odot \text{rms}(g)^p)) "
        r"\cup \operatorname{Top}_k({|\bar g|} \odot c^q \text{ of candidates})"
    ),
    cost="3 f_S; 2 f_S and the gradients of active weights and candidates every record_every-th "
    "step: no more than RigL's in layers that cost in proportion to their weights",
)

REGROW = replace(
    COHERENT,
    name="resonance_regrow",
    title="Regrow",
    summary="GraNet's gradual pruning, with coherent growth among random candidates",
    implementation="suite.resonance.regrow:Regrow",
    hyperparameters=REGROW_HYPERPARAMETERS,
    equation=(
        r"s_t = s_f + (s_i - s_f)\left(1 - \frac{t - t_0}{t_1 - t_0}\right)^3, \quad "
        r"m \leftarrow (m \smallsetminus \operatorname{Bottom}_k({|w|})) "
        r"\cup \operatorname{Top}_k({|\bar g|} \odot c^q \text{ of candidates})"
    ),
    cost="average of 3 f(s_t) over the ramp; 2 f_S and the gradients of active weights and "
    "candidates on recorded steps: no more than GraNet's",
)

METHODS = (
    RESONANCE,
    replace(
        RESONANCE,
        name="resonance_pseudocode",
        title="Resonance, pseudocode",
        summary="resonance as in its pseudocode: weights below the threshold are first frozen",
        hyperparameters=shared.with_defaults(HYPERPARAMETERS, cooling="freeze"),
        cost="as resonance",
    ),
    replace(
        RESONANCE,
        name="resonance_weighted",
        title="Resonance, weighted",
        summary="freezes by the rank of frequency times magnitude",
        hyperparameters=shared.with_defaults(HYPERPARAMETERS, cooling="freeze", score="weighted"),
        equation=(
            r"\text{freeze } i \Leftrightarrow r_i \leq T(\varphi), \quad "
            r"r_i = \text{rank of } \nu_i{|w_i|} \text{ in (0, 1]}, "
            r"\quad T(\varphi) = A\left(1 - m + 2m \sin^2(\pi(2^b - 1)\varphi)\right)"
        ),
        cost="as resonance",
    ),
    replace(
        RESONANCE,
        name="resonance_shuffled",
        title="Resonance, shuffled",
        summary="control: resonance with the frequencies permuted among connections",
        formerly="resonance_null",
        hyperparameters=shared.with_defaults(HYPERPARAMETERS, shuffle="fixed"),
        control=True,
        control_of="resonance",
        in_every_study=True,
        cost="as resonance",
    ),
    COHERENT,
    replace(
        COHERENT,
        name="rigl_mean_gradient",
        title="RigL, mean gradient",
        summary="control of coherent: grows by the mean gradient of a period alone",
        hyperparameters=shared.with_defaults(
            COHERENT_HYPERPARAMETERS, drop_power=0.0, coherence_power=0.0
        ),
        control_of="resonance_coherent",
        cost="as resonance_coherent",
    ),
    SAMPLED,
    replace(
        SAMPLED,
        name="resonance_sampled_shuffled",
        title="Sampled, shuffled",
        summary="control: sampled with the gradients permuted among places",
        hyperparameters=shared.with_defaults(SAMPLED_HYPERPARAMETERS, shuffle="fixed"),
        control=True,
        control_of="resonance_sampled",
        cost="as resonance_sampled",
    ),
    REGROW,
    replace(
        REGROW,
        name="resonance_regrow_shuffled",
        title="Regrow, shuffled",
        summary="control: regrow with the gradients permuted among places",
        hyperparameters=shared.with_defaults(REGROW_HYPERPARAMETERS, shuffle="fixed"),
        control=True,
        control_of="resonance_regrow",
        cost="as resonance_regrow",
    ),
)

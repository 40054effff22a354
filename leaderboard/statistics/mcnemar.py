"""McNemar's exact test: two networks compared on the same test examples.

Only the examples that one has right and the other wrong say anything: under the null hypothesis
each of these is as likely to be the first's as the second's. Source: McNemar 1947, Psychometrika
12:153. The p-value is the exact binomial one, two-sided, not the mid-p.
"""


def exact_p(first_only: int, second_only: int) -> float:
    """Return the two-sided p-value; 1 without an example that only one of both has right."""
    from scipy import special

    n = first_only + second_only
    if not n:
        return 1.0
    return min(1.0, 2 * float(special.bdtr(min(first_only, second_only), n, 0.5)))

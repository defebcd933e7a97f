"""Verdicts on estimators, in words; at most 1 of 100 tables calls a right estimator wrong."""

from collections.abc import Sequence

import numpy as np

from vae_jax.kl_comparison.pairs.cells import Cell
from vae_jax.kl_comparison.pairs.reference import Reference

FALSE_ALARMS = 0.01  # the chance that a table has one, if all its estimators are right
HEAVY, FAR = 0.2, 25.0  # a share of the variance, a squared distance in standard deviations
SAME = 1e-6  # relative difference of a closed form and a quadrature that agree


def threshold(num_cells: int) -> float:
    """The p-value below which a mean counts as biased: Bonferroni's, for all cells of a table."""
    return FALSE_ALARMS / max(1, num_cells)


def verdict(cells: Sequence[Cell], method: str, threshold: float) -> str:
    """Whether the mean with the most evaluations is right; of those with fewer, the worst.

    `method` is how the truth was computed.
    """
    if not cells:
        return ""
    if reason := unreliable(cells):
        return f"not judged: {reason}"
    words = _judge(cells[-1], method, threshold)
    biased = [c for c in cells if not _is_heavy(c) and c.p_value < threshold]
    if not biased or cells[-1] in biased:
        return words
    worst = max(biased, key=lambda c: abs(c.z))
    return f"{words}; {_judge(worst, method, threshold)} at K = {worst.num_samples}"


def doubt(studies: Sequence[Sequence[Cell]], method: str, threshold: float) -> str:
    """A sentence where no estimator confirms the truth; empty where one does."""
    judged = [cells[-1] for cells in studies if cells and not unreliable(cells)]
    if not judged:
        return f"no estimator can be judged: nothing here confirms the {method}"
    if all(cell.p_value < threshold for cell in judged):
        return f"every estimator differs: it is the {method} that is in doubt"
    return ""


def unreliable(cells: Sequence[Cell]) -> str:
    """The reason why an estimator's standard errors cannot be trusted; empty where they can.

    Where one repetition of many makes a large part of the variance, even among the larger K, the
    variance may be infinite, and its rare large values were probably never drawn.
    """
    if infinite := [c for c in cells if c.num_infinite]:
        c = infinite[-1]
        share = f"{c.num_infinite} of {c.repetitions + c.num_infinite} estimates"
        return f"{share} at K = {c.num_samples} are not finite"
    heavy = [c for c in cells[len(cells) // 2 :] if _is_heavy(c)]
    if not heavy:
        return ""
    c = max(heavy, key=lambda c: c.heaviest)
    share = f"one of {c.repetitions} estimates at K = {c.num_samples} makes {c.heaviest:.0%}"
    return f"heavy tails, {share} of the variance: no error can be trusted"


def _is_heavy(cell: Cell) -> bool:
    return cell.heaviest > max(HEAVY, FAR / cell.repetitions)


def _judge(cell: Cell, method: str, threshold: float) -> str:
    if cell.p_value < threshold:
        return f"differs by {plus_minus(cell.bias, cell.bias_error, sign='+')} (z = {cell.z:.3g})"
    return f"agrees with the {method} (z = {cell.z:.1f})"


def of_quadrature(closed_form: Reference, quadrature: Reference) -> str:
    """Whether quadrature confirms a closed form."""
    difference = quadrature.value - closed_form.value
    if abs(difference) <= quadrature.error + SAME * max(1.0, abs(closed_form.value)):
        return f"agrees with the closed form to {max(abs(difference), 1e-16):.0e}"
    return f"differs from the closed form by {difference:+.6g}"


def plus_minus(value: float, error: float, sign: str = "") -> str:
    """`-0.031 ± 0.001`: the error to one figure, two if that is a 1."""
    if not 0 < error < np.inf:
        return f"{value:{sign}.8g}"
    digits = -int(np.floor(np.log10(error))) + (f"{error:e}"[0] == "1")
    if digits > 7:
        return f"{value:{sign}.{min(digits, 10)}f} ± {error:.0e}"
    return f"{value:{sign}.{max(0, digits)}f} ± {error:.{max(0, digits)}f}"

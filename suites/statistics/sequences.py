"""Anytime-valid evidence for streams without a planned end: confidence sequence, e-process."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def best_rho(variance: float, alpha: float = 0.05) -> float:
    """rho at which the two-sided normal mixture is about tightest at the intrinsic time v.

    v / (2 ln(1/alpha) + ln(1 + 2 ln(1/alpha))) (Howard et al. 2021, "Time-uniform, nonparametric,
    nonasymptotic confidence sequences", Annals of Statistics 49(2), section 3.5).
    """
    log_term = 2 * float(np.log(1 / alpha))
    return variance / (log_term + float(np.log1p(log_term)))


def normal_mixture_bound(variance: float, rho: float, alpha: float = 0.05) -> float:
    """Two-sided time-uniform bound of |S_t| at the intrinsic time v.

    sqrt((v + rho) (ln((v + rho) / rho) + 2 ln(1/alpha))) (Robbins 1970; Howard et al. 2021, eq.
    14).
    """
    total = variance + rho
    return float(np.sqrt(total * (np.log(total / rho) + 2 * np.log(1 / alpha))))


BURN_IN = 30
"""Routes before which the asymptotic confidence sequence says nothing."""


def asymptotic_half_width(
    deviation: NDArray[np.float64], routes: int, alpha: float
) -> NDArray[np.float64]:
    """Half width of the asymptotic confidence sequence of a sum over t = `routes` independent
    values.

    sigma sqrt((t + rho) (ln((t + rho) / rho) + 2 ln(1/alpha))) at the standard deviation sigma,
    tightest at the burn-in; inf before it (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024,
    Annals of Statistics 52(6), theorem 2.2).
    """
    if routes < BURN_IN:
        return np.full_like(deviation, np.inf)
    return deviation * normal_mixture_bound(routes, best_rho(BURN_IN, alpha), alpha)


def self_normalised_e(differences: NDArray[np.float64], rhos: float | Sequence[float]) -> float:
    """e = mean over rho of sqrt(rho / (V + rho)) exp(S^2 / (2 (V + rho))), S = sum D, V = sum D^2.

    An e-process for symmetric differences (de la Pena 1999; de la Pena, Klass & Lai 2004): D in any
    unit, rho in its square. At most e^700, so that it stays finite.
    """
    total = float(differences.sum())
    square = float((differences**2).sum())
    rho = np.atleast_1d(np.asarray(rhos, dtype=np.float64))
    return float(
        np.mean(
            np.sqrt(rho / (square + rho))
            * np.exp(np.minimum(total**2 / (2 * (square + rho)), 700.0))
        )
    )

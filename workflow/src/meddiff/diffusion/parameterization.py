"""What a network predicts, and conversions between the three parameterisations.

With z = alpha x + sigma eps and alpha^2 + sigma^2 = 1, Salimans & Ho (2022, section 4) define
v = alpha eps - sigma x.
"""

from __future__ import annotations

from torch import Tensor


def v_from_x_eps(x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """v = alpha eps - sigma x."""
    return alpha * eps - sigma * x


def eps_from_v(v: Tensor, z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """eps = sigma z + alpha v."""
    return sigma * z + alpha * v


def x_from_v(v: Tensor, z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x = alpha z - sigma v."""
    return alpha * z - sigma * v


def x_from_eps(eps: Tensor, z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x = (z - sigma eps) / alpha; ill-conditioned where alpha is near 0."""
    return (z - sigma * eps) / alpha


def v_from_eps(eps: Tensor, z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """v = (eps - sigma z) / alpha; ill-conditioned where alpha is near 0."""
    return (eps - sigma * z) / alpha

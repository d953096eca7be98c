"""How δ and the weight c of the criterion move (paper §3.3)."""

from uae_cli.attacks.solvers.base import Best, Found, Problem, Solver, Trace, descend
from uae_cli.attacks.solvers.minmax import MinMax
from uae_cli.attacks.solvers.penalty import Penalty
from uae_cli.attacks.solvers.pgd import Pgd

__all__ = ["Best", "Found", "MinMax", "Penalty", "Pgd", "Problem", "Solver", "Trace", "descend"]

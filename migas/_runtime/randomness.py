"""Random numbers of the agent's own.

The generator of `random` belongs to the host: a program that seeds it has to get the same numbers
with us as without. The system's needs no seed, and a forked child draws other numbers from it.
"""

from __future__ import annotations

import random

_system = random.SystemRandom()

#: Return a number between two bounds, and a whole number below a bound.
uniform, randrange = _system.uniform, _system.randrange

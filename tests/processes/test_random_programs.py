"""Random programs look the same from outside with us and without us; `programs` makes them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from programs import differ, write_program
from support import NOWHERE

if TYPE_CHECKING:
    from migas.testing import Server

#: None that ends by a Ctrl-C: if our thread imports at that moment, CPython may end with status 1
#: (pain 40). `tox -e guard` runs those, too.
SEEDS = [
    seed
    for seed in range(1, 40)
    if not any(end in write_program(seed)[0] for end in ("KeyboardInterrupt", "getpid(), 2)"))
][:10]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the programs are Linux's")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_program_is_the_same_without_us(server: Server, seed: int) -> None:
    """Output, errors, status and files; a hundred of them by `tox -e guard`."""
    assert differ(seed, NOWHERE if seed % 4 == 0 else server.endpoint) == ""

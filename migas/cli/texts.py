"""The texts: prints the notice that a package may show to its users.

It goes to a file or into a package's own documentation, so nothing else is printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migas.config import notice

from .runner import WELL
from .terminal import print_line

if TYPE_CHECKING:
    from migas.config import Style


def print_notice(style: Style, *, project: str, **blanks: str) -> int:
    """Print a notice, and return the exit status.

    Parameters:
        style: as `migas.notice` takes it.
        project: the package's name.
        blanks: `operator`, `retention` and `contact`, each a text or `""`.
    """
    for line in notice(style, project=project, **blanks).splitlines():
        print_line(line)
    return WELL

"""Print what `tox` alone does not run, and how to run that: the last lines of its `quick`.

It owns these lines; `test_documentation` compares them with tox.ini's label `full`.
"""

from __future__ import annotations

import platform
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

#: A command, and what it runs that `tox` alone leaves out.
LEFT_OUT = {
    "tox -e quick -- -m slow": "the tests that are slow, on this Python",
    "tox -e py311,py315": "all tests on the oldest Python and on the newest",
    "tox -e py312,py313,py314": "what depends on the interpreter and is not slow, on the others",
    "tox -e debian": "3.14 and 3.15 where they are missing, if root may make a Debian of its own",
    "tox -e carriers": "MPI, Ray, Spark, Dask, Celery and web servers, where they may be installed",
    "tox -e windows": "Windows' own Python by Wine, where root may install it (Debian)",
    "tox -e on_pypy": "PyPy, where root may make a Debian of its own",
    "tox -e lowest": "the oldest releases of what migas depends on",
    "tox -e hosts": "fMRIPrep, MRIQC, NiBabies, PETPrep and SDCFlows, as released",
    "tox -e publish": "what is uploaded: the sdist, the wheel, and PyPI's page of them",
    "tox -e cluster": "jobs of a real Slurm, where root may install it (Debian)",
}

#: The releases that the suite supports.
PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")


def write_left_out(stream: TextIO) -> None:
    """Write the lines to ``stream``."""
    missing = [python for python in PYTHONS if shutil.which(f"python{python}") is None]
    width = max(map(len, LEFT_OUT))
    stream.write(f"\nThat was a first answer, on Python {platform.python_version()}. Not run:\n\n")
    stream.writelines(f"    {command:{width}}  {what}\n" for command, what in LEFT_OUT.items())
    stream.write("\nAll of it, in an hour and a quarter: tox -m full\n")
    if missing:
        stream.write(
            f"(Not on the PATH, so left out but for what `debian` has: {', '.join(missing)}.)\n"
        )


if __name__ == "__main__":
    write_left_out(sys.stdout)

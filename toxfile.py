"""Teaches tox an environment that is named after an interpreter and runs on another.

tox loads this file by its name: https://tox.wiki/en/latest/plugins_api.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tox.plugin import impl
from tox.tox_env.python.virtual_env.runner import VirtualEnvRunner

if TYPE_CHECKING:
    from tox.tox_env.register import ToxEnvRegister


class Launcher(VirtualEnvRunner):
    """Runs a program that fetches the interpreter: `pypy` does not ask for a PyPy to be there."""

    @staticmethod
    def id() -> str:
        """Return the name by which an environment's `runner` asks for this."""
        return "launcher"

    @classmethod
    def extract_base_python(cls, env_name: str) -> str | None:  # noqa: ARG003  # whatever it is
        """Return None: no name of an environment names its Python."""
        return None


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Add the runner to tox's own."""
    register.add_run_env(Launcher)

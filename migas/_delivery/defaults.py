"""The defaults: the fields that all breadcrumbs of this process share, its user's id among them.

What may go wrong: the user's id cannot be read or kept, then breadcrumbs have none, or one that is
made of the machine's id and the user's number; see `user_id`.
"""

from __future__ import annotations

import os

from migas._crumb import breadcrumb
from migas._crumb.environment import Environment, is_persistent
from migas._disk import user_id
from migas._disk.directory import find_config, find_earlier_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from migas._runtime.settings import Settings


def find_defaults(
    settings: Settings,
    environ: Mapping[str, str] = os.environ,
    root: str = "/",
    *,
    keeps_user: bool,
) -> dict[str, object]:
    """Return the fields that every breadcrumb of this process shares.

    Parameters:
        settings: a user id or a session id that they name comes first.
        environ: the environment to describe, and ``root`` its file system.
        keeps_user: True to create an id on disk for a user who has none.
    """
    environment = Environment.detect(environ, root)
    user = settings.user_id or _find_user(environ, root, environment, keeps=keeps_user)
    return {**environment._asdict(), "user_id": user, "session_id": settings.session_id}


def describe_breadcrumb(settings: Settings) -> dict[str, object]:
    """Return the fields that each breadcrumb of this process would have. Creates no file.

    Returns:
        Each field but project and version, and its value, or None if there is none.
    """
    defaults = find_defaults(settings, keeps_user=False)
    fields = breadcrumb.sanitize("", "", {}, defaults).breadcrumb._asdict()
    del fields["project"], fields["project_version"]
    return fields


def _find_user(
    environ: Mapping[str, str], root: str, environment: Environment, *, keeps: bool
) -> str | None:
    """Return the user's id. Returns None if no file lasts, where each run would be a new user."""
    directory = find_config()
    if not is_persistent(directory, environ, root):
        return None
    known = user_id.read(directory, mends=keeps) or user_id.read(find_earlier_config())
    if known or not keeps:
        return known
    made = user_id.obtain(directory)
    # What could not be kept is made of the machine's id: another one in each container.
    return made if environment.container == "unknown" else user_id.read(directory)

"""The consent: by which a person switches telemetry off and on again, for good.

An opt-out is a file in the person's configuration directory, so it holds on every machine that
shares the home. What may go wrong: there is no home, the file cannot be written, and a variable or
a file of the site's may say no as well, which is not the command's to change.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from migas._agent.process import current_process
from migas._disk.directory import find_earlier_config
from migas._disk.home import remove_optout, write_optout
from migas._runtime.optout import find_optout, lasting, locate_optout

from .report import find_spool
from .runner import LEFT, WELL, explain, refuse_foreign_home
from .terminal import format_count, print_error, print_json, print_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def opt_out(options: argparse.Namespace) -> int:
    """Switch telemetry off for this user, for good. What is pending stays on disk.

    Parameters:
        options: `json`.

    Returns:
        0, or 1 if that cannot be kept for every program. Raises `WrongError` as root in the home
        of another user.
    """
    refuse_foreign_home("optout")
    failures = _change_each(write_optout)
    made = [path for path in _list_places() if path not in failures]
    if not made:
        print_error(f"{'; '.join(failures.values())}; set MIGAS_OPTOUT=1 instead")
        return LEFT
    spool = find_spool(current_process().use_settings())
    pending = spool.count() if spool else 0
    # A program that has the variable looks in both places.
    is_heard = _list_places()[-1] in made
    if options.json:
        print_json({"switched_off_by": find_optout(os.environ), "pending": pending})
        return WELL if is_heard else LEFT
    print_line(f"telemetry is switched off for you, by {made[0]}")
    if not is_heard:
        [failure] = failures.values()
        print_error(f"{failure}; so it is on in programs that run without XDG_CONFIG_HOME")
    if pending:
        left = format_count(pending, "pending breadcrumb")
        print_line(f"{left} stay{'s' * (pending == 1)} on disk; `migas clear spool` removes them")
    return WELL if is_heard else LEFT


def opt_in(options: argparse.Namespace) -> int:
    """Switch telemetry on again, unless something else than the person's own file says no.

    Parameters:
        options: `json`.

    Returns:
        0 if telemetry is on then; 1 if a variable, or a file that is not the person's, still
        switches it off. Raises `WrongError` as root in the home of another user.
    """
    refuse_foreign_home("optin")
    if failures := _change_each(remove_optout):
        print_error("; ".join(failures.values()))
        return LEFT
    off = current_process().find_refusal()
    if options.json:
        print_json({"switched_off_by": off})
    else:
        print_line(f"telemetry is still switched off by {off}" if off else "telemetry is on")
    return LEFT if off else WELL


def _change_each(change: Callable[[str], None]) -> dict[str, str]:
    """Make or remove the file in each place; return what the system says where that fails."""
    failures: dict[str, str] = {}
    for path in _list_places():
        try:
            change(path)
        except OSError as error:
            failures[path] = explain(error)
    lasting.forget()
    return failures


def _list_places() -> list[str]:
    """Return where this user's file lies, and then where it lies without `XDG_CONFIG_HOME`.

    A program that is started without that variable, by cron or sudo, looks in the last place alone.
    Without a home there is no such place.
    """
    path = locate_optout(os.environ)
    usual = find_earlier_config()
    return list(dict.fromkeys([path, os.path.join(usual, "optout") if usual else path]))

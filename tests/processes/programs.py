"""Random programs: each runs with us and without us, and nobody can tell which was which.

    tox -e guard -- --programs 100 --seed 1

A program imports, warns, logs, draws numbers, handles signals, starts threads, forks, and ends in
one of the ways in which programs do. It is the same from the same seed, and does the same each time
that it runs. Without us its lines about migas are replaced. Then standard output, standard error,
exit status and all files have to be the same. Ends with status 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from support import NOWHERE, PATIENCE

from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """
import atexit, os, random, sys, threading, time
random.seed({seed})
def show(*words): print(*words, flush=True)
def step(label):
    show(label, random.random(), threading.current_thread().name)
def fail(*_): raise ValueError("on purpose")
def handle(number, frame): show("signal", number)
"""

#: What a host imports, in any order, before and after us.
IMPORTS = (
    *("json", "logging", "decimal", "warnings", "asyncio", "requests", "ssl", "subprocess"),
    *("urllib3.util", "email.mime.text", "tempfile", "multiprocessing", "uuid"),
)

#: What a host does. All of it ends before the next step begins.
STEPS = {
    "pause": "time.sleep(0.05); step({n})",
    "think": "show(sum(i * i for i in range(300_000)))",
    "number": "show([random.randrange(1000) for _ in range(10)])",
    "environment": "show(sorted(n for n in os.environ if not n.startswith('MIGAS')))",
    "directory": "show(os.getcwd(), sys.argv, sys.flags)",
    "file": "open('file{n}', 'w').write(str(os.umask(0o022))); show(sorted(os.listdir('.')))",
    "umask": "show(os.umask(0o027)); os.close(os.open('u{n}', os.O_CREAT))",
    "lost file": "open(__file__)",
    "warning": "import warnings; warnings.warn('number {n}')",
    "old": "import warnings; warnings.warn('old {n}', DeprecationWarning)",
    "loop": "import warnings; [warnings.warn('again') for _ in range(3)]",
    "filter": "import warnings; warnings.simplefilter('always'); show(warnings.filters[:2])",
    "log": "import logging; logging.getLogger('host').warning('number {n}')",
    "basic": "import logging; logging.basicConfig(level=20); logging.info('number {n}')",
    "decimal": "import decimal as d; d.getcontext().prec = {n} + 3; show(d.Decimal(2).sqrt())",
    "hook": "atexit.register(show, 'hook {n}')",
    "bad hook": "atexit.register(fail)",
    "thread": "t = threading.Thread(target=step, args=[{n}]); t.start(); t.join()",
    "bad thread": "t = threading.Thread(target=fail); t.start(); t.join()",
    "excepthook": "threading.excepthook = lambda args: show('hooked', args.exc_type)",
    "process": "import subprocess; show(subprocess.call([sys.executable, '-c', 'print({n})']))",
    "shell": "import subprocess; show(subprocess.call(['sh', '-c', 'kill -TERM $$']))",
    "signal": "import signal; signal.signal(signal.SIGUSR1, handle); signal.raise_signal(10)",
    "mask": "import signal; show(signal.pthread_sigmask(signal.SIG_BLOCK, []))",
    "handlers": "import signal; show([signal.getsignal(n) for n in (1, 13, 17)])",
    "alarm": "import signal; signal.signal(14, handle); signal.setitimer(0, 0.02); time.sleep(0.1)",
    "loops": "import asyncio; show(asyncio.run(asyncio.sleep(0.02, {n})))",
    "frozen": "import gc; show(gc.isenabled(), gc.get_threshold(), sys.getrecursionlimit())",
    "uuid": "import uuid, random; show(uuid.UUID(int=random.getrandbits(128), version=4))",
    "fork": "c = os.fork(); c or (show({n}), os._exit({n})); show(os.waitpid(c, 0)[1])",
    "calm fork": "c = os.fork(); c or (show({n}), sys.exit({n})); show(os.waitpid(c, 0)[1])",
    "killed fork": "c = os.fork(); c or os.kill(os.getpid(), 9); show(os.waitpid(c, 0)[1])",
    "pool": "import multiprocessing; p = multiprocessing.get_context('fork').Pool(2);"
    " show(p.map(abs, [-{n}])); p.close(); p.join()",
}

#: How a program ends.
ENDS = {
    "last line": "show('end')",
    "status": "sys.exit(3)",
    "text": "sys.exit('a text')",
    "system exit": "raise SystemExit(4)",
    "exception": "fail()",
    "interrupt": "raise KeyboardInterrupt",
    "os._exit": "os._exit(5)",
    "SIGTERM": "os.kill(os.getpid(), 15); time.sleep(30)",
    "SIGINT": "os.kill(os.getpid(), 2); time.sleep(30)",
    "SIGKILL": "os.kill(os.getpid(), 9)",
    "thread": "threading.Thread(target=lambda: (time.sleep(0.1), step('last'))).start()",
    "exec": "os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(6)'])",
}

#: Our lines. Each stands for `pass` in the program without us.
OURS = (
    "migas.add_project('owner/repo', '{n}')",
    "migas.add_breadcrumb('owner/repo', '{n}', status='R')",
    "migas.add_project('owner/repo', '{n}')['success']",
    "migas.track('owner/repo', '{n}')",
    "migas.flush(5)",
)

OPTIONS: tuple[tuple[str, ...], ...] = (
    (),
    (),
    ("-W", "error"),
    ("-W", "default"),
    ("-X", "dev"),
    ("-bb", "-W", "always"),
)

#: From Python 3.12 on a fork warns of any other thread, and so of ours (README). A program may set
#: filters itself, so the warning is also left out of what it has printed.
FORKS = ("-W", "ignore:This process:DeprecationWarning")
FORK_WARNING = re.compile(r".*DeprecationWarning: This process \(pid=\d+\) is .*\n(?:  .*\n)?")


class Outside(NamedTuple):
    """What can be seen of a process from outside."""

    out: str
    err: str
    status: int
    files: dict[str, tuple[int, str]]


def write_program(seed: int) -> tuple[str, tuple[str, ...]]:
    """Return a program with its options. Our lines in it end with a mark."""
    dice = random.Random(seed)
    imports = [f"import {name}" for name in dice.sample(IMPORTS, dice.randrange(5))]
    at = dice.randrange(len(imports) + 1)
    lines = [*imports[:at], "import migas  # ours", *imports[at:]]
    for number in range(dice.randrange(3, 12)):
        if dice.random() < 0.4:
            lines.append(dice.choice(OURS).format(n=number) + "  # ours")
        lines.append(dice.choice(list(STEPS.values())).format(n=number))
    lines += [OURS[0].format(n="last") + "  # ours", dice.choice(list(ENDS.values()))]
    # A forked child seeds `random` itself: it shows no number.
    return "\n".join([HEAD.format(seed=seed), *lines, ""]), (*dice.choice(OPTIONS), *FORKS)


def leave_us_out(program: str) -> str:
    """Return the same program without us: line for line, since tracebacks name lines."""
    return re.sub(r".*  # ours$", "pass", program, flags=re.MULTILINE)


def run(program: str, options: tuple[str, ...], endpoint: str) -> Outside:
    """Run a program in a directory of its own, and return what was seen."""
    with tempfile.TemporaryDirectory(prefix="migas-program-") as home:
        directory = os.path.join(home, "work")
        os.mkdir(directory)
        path = os.path.join(directory, "main.py")
        with open(path, "w") as file:
            file.write(program)
        kept = {n: v for n, v in os.environ.items() if not n.startswith("MIGAS_") and n != "CI"}
        places = {"HOME": home, "XDG_CACHE_HOME": home, "XDG_CONFIG_HOME": home}
        done = subprocess.run(
            [sys.executable, *options, path],
            env={**kept, **places, "MIGAS_ENDPOINT": endpoint, "MIGAS_TIMEOUT": "5"},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        files = dict(read_files(directory))
        out, err = (
            re.sub(r"0x[0-9a-f]+", "0x", FORK_WARNING.sub("", text.replace(home, "")))
            for text in (done.stdout, done.stderr)
        )
        return Outside(out, err, done.returncode, files)


def read_files(directory: str) -> Iterator[tuple[str, tuple[int, str]]]:
    """Yield each file's name, mode and content, but for the program's own."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if name not in ("main.py", "__pycache__"):
            with open(path) as file:
                yield name, (os.stat(path).st_mode, file.read())


def differ(seed: int, endpoint: str) -> str:
    """Return what differs in the program of a seed, or `""`."""
    program, options = write_program(seed)
    beside, alone = run(program, options, endpoint), run(leave_us_out(program), options, endpoint)
    if beside == alone:
        return ""
    parts = [f"seed {seed} {options}", program]
    for name, ours, theirs in zip(Outside._fields, beside, alone, strict=True):
        if ours != theirs:
            parts += [f"--- {name} with us", str(ours), f"--- {name} without us", str(theirs)]
    return "\n".join(parts)


def main() -> int:
    """Run as many programs as are asked for, and return an exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--programs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = 0
    with Server() as server:
        for seed in range(options.seed, options.seed + options.programs):
            found = differ(seed, NOWHERE if seed % 4 == 0 else server.endpoint)
            failed += bool(found)
            if found:
                print(found)
        print(f"programs {options.programs}, differ {failed}, arrived {len(server.crumbs)}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

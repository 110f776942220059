"""How the guard compares two looks, and what may differ; see `sitecustomize.py`.

A host's own code may change all of this itself. So a difference is none of ours if the program's
text speaks of what differs (`OWN`), or if a library is loaded that is known for it (`LIBRARIES`).
What differs by design stands in `Guard._is_by_design`.
"""

from __future__ import annotations

import posix
import sys
import time

from guard_look import count_our_threads, is_unused, look, look_at_masks, read

#: What in a program's text tells that it changes something itself.
OWN = {
    "random": r"random",
    "numpy": r"random",
    "masks": r"sigmask",
    "handlers": r"signal|SIG[A-Z]|asyncio|trio|pdb|forkserver import main",
    "caught": r"signal|SIG[A-Z]|asyncio|trio|faulthandler|pdb|forkserver import main",
    "hooks": r"hook|sys\.(exit|std\w+|settrace|setprofile)|StringIO|redirect_std|__import__|mock",
    "filters": r"warn|requests|urllib3|migas\._delivery",
    "logging": r"basicConfig|addHandler|setLevel|addFilter|dictConfig|disable|propagate",
    "pickling": r"ForkingPickler|copyreg",
    "locale": r"locale",
    "umask": r"umask",
    "cwd": r"chdir|rmdir|rmtree|rename",
    "descriptors": r"open\(|socket|subprocess|Popen|pipe|dup|close|asyncio|trio|mkstemp|devnull"
    r"|multiprocessing|concurrent|selectors|memfd|Server\(|pty|std(in|out|err)",
    "contexts": r"contextvar|decimal|asyncio|trio|catch_warnings",
    "gc": r"\bgc\b",
    "interpreter": r"setrecursionlimit|setswitchinterval|stack_size|setdefaulttimeout",
    "limits": r"setrlimit|RLIMIT|ulimit",
    "environment": r"environ|putenv|setenv",
    "path": r"sys\.path|meta_path|path_hooks|argv|addsitedir|run_module|run_path",
}

#: What libraries change when they are imported or used. Programs of their own change anything.
PROGRAMS = ("IPython", "_pytest", "celery", "distributed", "gunicorn", "ipykernel", "uwsgi")
LIBRARIES = {
    "eventlet": {"hooks", "descriptors", "interpreter", "handlers", "caught"},
    "gevent": {"hooks", "descriptors", "interpreter", "handlers", "caught"},
    "joblib": {"environment", "descriptors", "filters", "random"},
    "matplotlib": {"environment", "filters", "logging"},
    # Pipes, a process that sees to what is left behind, and what it does in its workers and in a
    # fork server.
    "multiprocessing": {"descriptors", "hooks", "path", "handlers", "caught"},
    "nipype": {"logging", "numpy"},
    "numpy": {"filters"},
    "torch": {"pickling"},
    "readline": {"caught"},
    "typer": {"hooks", "random"},
    "click.testing": {"random"},
}


class Guard:
    """Compares with what was found before migas, and writes down what differs."""

    def __init__(self, before: dict[str, object], reports: str) -> None:
        self._before = before
        self._reports = reports
        self._directory = posix.getcwd() if isinstance(before["cwd"], str) else "/"
        self._pid = posix.getpid()
        self._is_exit = False
        self._threads = 0

    def compare(self, moment: str) -> None:
        """Look again, and report what differs, but for what the host itself has changed."""
        lines = self.find(is_exit=moment == "after our exit hook")
        if lines and (lines := self._leave_out_own(lines)):
            text = "\n".join([f"{moment} of {sys.orig_argv[1:]}", *lines])
            path = f"{self._reports}/{posix.getpid()}-{time.monotonic_ns()}"
            descriptor = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL, 0o644)
            posix.write(descriptor, text.encode(errors="replace"))
            posix.close(descriptor)

    def find(self, *, is_exit: bool) -> list[str]:
        """Return what differs now; at the exit, also what we are to have put back by then."""
        self._is_exit = is_exit
        # Before the look: what a thread has open is closed with it.
        self._threads = count_our_threads()
        now = look()
        return [
            f"{name}: {line}"
            for name, old in self._before.items()
            for line in self._find(name, old, now[name])
        ]

    def _find(self, name: str, old: object, new: object) -> list[str]:
        """Return what differs in one kind of state."""
        if old == new or isinstance(old, Exception) or isinstance(new, Exception):
            return []
        if name in ("random", "numpy"):
            if posix.getpid() != self._pid:  # Python seeds it anew in a forked child
                return []
            return [] if old is None and is_unused(name) else ["numbers were drawn"]
        if name in ("masks", "pickling"):
            find = self._find_masks if name == "masks" else self._find_reducers
            return find(old, new)
        if not isinstance(old, dict) or not isinstance(new, dict):
            return [] if self._is_by_design(name, "", old, new) else [f"{old} became {new}"]
        return [
            f"{key}: {old.get(key)} became {new.get(key)}"
            for key in [*old, *(key for key in new if key not in old)]
            if old.get(key) != new.get(key)
            and not self._is_by_design(name, key, old.get(key), new.get(key))
        ]

    def _find_masks(self, old: object, new: object) -> list[str]:
        """Return the threads with another mask, but for one of ours that is about to be gone."""
        assert isinstance(old, dict)
        assert isinstance(new, dict)
        known = set(old.values())
        for _ in range(100):
            others = {task: mask for task, mask in new.items() if mask not in known}
            if not others:
                return []
            time.sleep(0.01)
            new = look_at_masks()
        return [f"thread {task} has {mask}, not {known}" for task, mask in others.items()]

    def _find_reducers(self, old: object, new: object) -> list[str]:
        """Return the types that `multiprocessing` pickles in another way, but for two kinds.

        A key's pickle sets the variables in children of a fork server, whose environment is older:
        nothing else of what is sent comes early enough. It unpickles as the same key. And what the
        library does itself is its own.
        """
        assert isinstance(old, dict)
        assert isinstance(new, dict)
        known = ("migas._runtime.forkserver.", "multiprocessing.")
        return [
            f"{key}: {old.get(key)} became {reducer}"
            for key, reducer in new.items()
            if old and old.get(key) != reducer and not reducer.startswith(known)
        ]

    def _is_by_design(self, name: str, key: object, old: object, new: object) -> bool:
        """Return True for a difference that has a reason, which stands at each."""
        text = str(new)
        if key == "sys.exit" and "migas._agent.endings" in text:
            # `track` learns of the exit status so, also where it ends by reporting none.
            return True
        if name in ("handlers", "caught"):
            # `track` learns of signals so, until the program ends.
            return not self._is_exit and ("migas._agent.endings" in text or name == "caught")
        if name == "filters":
            # On a thread of ours, which is importing or sending, no warning reaches the host.
            return not self._is_exit or self._threads > 0
        if name == "descriptors":
            return not self._is_exit or self._is_passing(old, new)
        if name == "logging":
            # Loggers of the libraries that send. What urllib3's say of our requests is dropped, by
            # a filter that looks at the thread.
            # The same is done with what `receipt.future()` would say.
            ours = str(key).startswith(("urllib3.", "concurrent.futures"))
            known = key == "migas" or (ours and "migas." in text)
            fresh = text == "None" or "Null" in text or new == (0, [], [], True, False)
            return known or (old is None and fresh)
        # What was loaded meanwhile may have what hooks it likes, but for ours; and a library that
        # loads `decimal` makes a context as Python's documentation has it.
        is_usual = name == "contexts" and text.startswith("Context(prec=28,")
        return old is None and (is_usual or (name == "hooks" and "migas." not in text))

    def _is_passing(self, old: object, new: object) -> bool:
        """Return True for a descriptor that comes and goes with a thread or a process."""
        if old is None:
            # The answer to a request is not waited for any longer. A forked child has all that its
            # parent's threads had open, until it starts a program. In a subinterpreter threads of
            # the main one may have something open.
            is_main = sys.modules["migas._runtime.place"].is_main_interpreter()
            return posix.getpid() != self._pid or self._threads > 0 or not is_main
        # A thread of the host's was importing when migas was.
        return new is None and any(end in str(old) for end in (".py", ".so"))

    def _leave_out_own(self, lines: list[str]) -> list[str]:
        """Leave out what the host's own code, or a library of the host's, has changed."""
        import re  # not before: hosts are measured

        # A command or a benchmark of ours has no host, and a prompt does what it likes.
        words = " ".join(sys.orig_argv[1:])
        is_other = words.startswith(("-m migas", "-m tests", "-i")) or "migas.cli" in words
        if is_other or any(program in sys.modules for program in PROGRAMS):
            return []
        text = self._read_program()
        known = {name for name, own in OWN.items() if re.search(own, text)}
        if "-m" in sys.orig_argv:  # `runpy` sets both once the module's package is imported
            known.add("path")
        known.update(*(names for library, names in LIBRARIES.items() if library in sys.modules))
        return [line for line in lines if line.partition(":")[0] not in known]

    def _read_program(self) -> str:
        """Return the text of the program, without what it takes to carry migas."""
        try:
            files = [f"{self._directory}/{name}" for name in posix.listdir(self._directory)]
        except OSError:  # the host's user may not read where it runs
            files = []
        files += [each for each in sys.orig_argv if each.endswith(".py")]
        # Without the interpreter's path, which may lie below any name.
        texts = [*sys.orig_argv[1:], *(read(file) for file in files if file.endswith(".py"))]
        return "\n".join(texts)

"""The clients: ours in each of its states, the yardsticks, and the peers from PyPI."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from typing import TYPE_CHECKING, NamedTuple

from migas._crumb import breadcrumb
from migas._delivery import graphql
from migas._delivery.throttle import Backoff, Pace
from migas._disk.spool import open_spool
from migas._runtime.settings import Settings

from . import bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def _leave(_settings: Settings) -> None:
    """Let everything be as at the first start."""


def _use_up_the_pace(settings: Settings) -> None:
    pace = Pace(_directory(settings))
    while pace.take():
        pass


def _fail_for_hours(settings: Settings) -> None:
    Backoff(_directory(settings)).fail(3 * 3600.0)


def _write_bundle(settings: Settings) -> None:
    bundle.write(_home(settings))


def _write_empty(settings: Settings) -> None:
    bundle.write_empty(_home(settings))


def _home(settings: Settings) -> str:
    assert settings.cache_dir is not None
    return os.path.dirname(os.path.dirname(settings.cache_dir))


def _directory(settings: Settings) -> str:
    directory = open_spool(settings).directory
    os.makedirs(directory, mode=0o700, exist_ok=True)
    return directory


class Client(NamedTuple):
    """A way to tell a server that a program runs."""

    name: str
    #: Code that imports it, that sets it up, and that tells `mark`.
    imports: str = "pass"
    begins: str = "pass"
    call: str = "pass"
    environ: Mapping[str, str] = {}
    #: What is installed in an environment of its own; empty: it is here.
    requirements: tuple[str, ...] = ()
    #: Makes the state on disk that it finds.
    prepare: Callable[[Settings], None] = _leave
    #: It tells anything at all.
    tells: bool = True


_URL = 'os.environ["BENCH_URL"]'

#: Seconds that a yardstick waits for an answer.
_TIMEOUT = 'float(os.environ.get("BENCH_PATIENCE", 5))'

#: What the yardsticks post: the breadcrumb that migas would.
_BODY = graphql.encode_breadcrumbs(
    [breadcrumb.sanitize("owner/repo", "MARK", {"language_version": "3.12.4"}, {}).breadcrumb]
).decode()

BARE = Client("nothing", tells=False)

_MIGAS = Client(
    "migas", imports="import migas", call="migas.add_project('owner/repo', mark, status='C')"
)
OURS = [
    _MIGAS,
    _MIGAS._replace(name="migas, beyond the pace", prepare=_use_up_the_pace),
    _MIGAS._replace(name="migas, backed off", prepare=_fail_for_hours),
    _MIGAS._replace(name="migas, opted out", environ={"MIGAS_OPTOUT": "1"}, tells=False),
]

#: What our import would cost if it read one file, with all that is in its modules now.
BUNDLE = Client(
    "our modules from one file", imports=bundle.READ, prepare=_write_bundle, tells=False
)

#: What the number of our modules costs: the least that an import could, unless they were fewer.
EMPTY = Client(
    "`threading` and as many empty modules",
    imports=bundle.READ_EMPTY,
    prepare=_write_empty,
    tells=False,
)

#: What our first call does for its two threads, of which one starts the other. Before Python 3.12
#: only that module says whether a thread may be started in this interpreter.
THREADS = Client(
    "two threads",
    imports="import sys, threading",
    call="sys.version_info < (3, 12) and __import__('_xxsubinterpreters');"
    " other = threading.Thread(target=threading.Event().wait, daemon=True);"
    " threading.Thread(target=other.start, daemon=True).start()",
    tells=False,
)

#: How the standard library hands something to a thread, and returns what to ask for the answer.
POOL = Client(
    "`ThreadPoolExecutor.submit`",
    imports="from concurrent.futures import ThreadPoolExecutor",
    begins="pool = ThreadPoolExecutor(1)",
    call="pool.submit(str, mark)",
    tells=False,
)

#: What a process cannot do without that writes a breadcrumb: the least that ours could cost.
FLOOR = Client(
    "threading, json and platformdirs alone",
    imports="import threading, json, platformdirs",
    tells=False,
)

_OURS = "migas, migas._delivery.writer, migas._delivery.sender"

#: The same with all modules of ours that such a process loads, of which none does anything.
LOADED = FLOOR._replace(
    name="our modules alone",
    imports=f"{FLOOR.imports}, {_OURS}",
)

YARDSTICKS = [
    Client(
        "requests in a thread",
        imports="import threading, requests",
        begins=f"body = {_BODY!r}; headers = {{'Content-Type': 'application/json'}}",
        call=f"threading.Thread(target=requests.post, args=({_URL} + '/graphql',),"
        " kwargs={'data': body.replace('MARK', mark), 'headers': headers,"
        f" 'timeout': {_TIMEOUT}}}).start()",
    ),
    Client(
        "http.client in a thread",
        imports="import threading, http.client, urllib.parse",
        begins=f"""body = {_BODY!r}
def post(mark):
    place = urllib.parse.urlsplit({_URL}).netloc
    connection = http.client.HTTPConnection(place, timeout={_TIMEOUT})
    headers = {{'Content-Type': 'application/json'}}
    connection.request('POST', '/graphql', body.replace('MARK', mark).encode(), headers)
    connection.getresponse().read()""",
        call="threading.Thread(target=post, args=(mark,)).start()",
    ),
]

#: The first of them with all modules of ours that a delivery loads, of which none does anything.
EQUIPPED = YARDSTICKS[0]._replace(
    name="`requests` in a thread, with our modules loaded",
    imports=f"import threading, requests, platformdirs, {_OURS},"
    " migas._delivery.uploader, migas._delivery.transport",
)

PEERS = [
    Client(
        "migas 0.4.0",
        imports="import migas",
        begins=f"migas.setup(endpoint={_URL} + '/graphql')",
        call="migas.add_breadcrumb('owner/repo', mark)",
        requirements=("migas==0.4.0",),
    ),
    Client(
        "sentry-sdk",
        imports="import sentry_sdk",
        begins=f"sentry_sdk.init({_URL}.replace('//', '//key@') + '/1')",
        call="sentry_sdk.capture_message(mark)",
        requirements=("sentry-sdk",),
    ),
    Client(
        "posthog",
        imports="import posthog",
        begins=f"client = posthog.Posthog('key', host={_URL})",
        call="client.capture(mark, distinct_id='somebody')",
        requirements=("posthog",),
    ),
    Client(
        "segment-analytics-python",
        imports="import segment.analytics as analytics",
        begins=f"analytics.write_key = 'key'; analytics.host = {_URL}",
        call="analytics.track('somebody', mark)",
        requirements=("segment-analytics-python",),
    ),
    Client(
        "opentelemetry-sdk, OTLP",
        imports="from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import BatchSpanProcessor\n"
        "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter",
        begins="provider = TracerProvider(); provider.add_span_processor(BatchSpanProcessor("
        f"OTLPSpanExporter({_URL} + '/v1/traces'))); tracer = provider.get_tracer('host')",
        call="tracer.start_span(mark).end()",
        requirements=("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"),
    ),
    Client(
        "huggingface-hub",
        imports="from huggingface_hub.utils import send_telemetry",
        call="send_telemetry(mark, library_name='host')",
        requirements=("huggingface-hub",),
    ),
]


def install(client: Client, directory: Path) -> str:
    """Return the interpreter that has a client, in an environment that is made if need be."""
    if not client.requirements:
        return sys.executable
    place = directory / client.requirements[0]
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(place, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *client.requirements], check=True)
    return str(python)

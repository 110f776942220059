"""A small program of Spark's, and what it needs."""

from __future__ import annotations

import shutil
import sys

import pytest
from support import need

#: Spark's workers are to be of this Python, and Java is to start in half the time.
ENVIRON = {
    "PYSPARK_PYTHON": sys.executable,
    "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}

SPARK = """
import os, sys
{before}
from pyspark.sql import SparkSession
spark = SparkSession.builder.master('local[3]').config('spark.ui.enabled', 'false').getOrCreate()
context = spark.sparkContext
context.setLogLevel('OFF')
{after}

def work(number):
    import package
    return number

assert sorted(context.parallelize(range(6), 6).map(work).collect()) == list(range(6))
spark.stop()
"""

#: What has a program submitted, and reports its use before there is a session.
SUBMITS = """
from pathlib import Path
if 'PYSPARK_GATEWAY_PORT' not in os.environ:
    import pyspark
    submit = Path(pyspark.__file__).parent / 'bin' / 'spark-submit'
    os.execv(submit, [submit, '--conf', 'spark.ui.enabled=false', __file__])
import package
"""


def need_spark() -> None:
    """Skip the test where Spark or Java is not installed."""
    need("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed")

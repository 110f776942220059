"""The command line: `migas`, or `python -m migas`.

`parser` names the commands. A person asks by `questions`, sends by `flush`, opts out by `consent`
and removes by `removal`; what they see is put together by `report` and printed by `terminal`.
"""

from .parser import main

__all__ = ["main"]

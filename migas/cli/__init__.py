"""The command line: `migas`, or `python -m migas`.

`parser` names the commands. A person looks by `inspection`, sends by `flush`, opts out by
`consent`, removes by `removal` and reads the documentation by `topics`. What they see is gathered
by `report` and `status`, arranged by `layout` and `markdown`, and printed by `terminal`.
"""

from .parser import main

__all__ = ["main"]

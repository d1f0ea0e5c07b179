"""Simulated tasks whose answer stands far before the question: made here, without a download, by a seed.

`recall` has tokens that are to be told again, `listops` nested lists to be worked out, `pathfinder` images read as
sequences of pixels, `far_cause` series whose horizon is decided by what was told once, far back.
"""

from seqsci.data.long_range.far_cause import FarCause, far_cause
from seqsci.data.long_range.listops import ListOps, listops
from seqsci.data.long_range.pathfinder import Pathfinder, pathfinder
from seqsci.data.long_range.recall import ANNOUNCE, ASK, FIRST, Task, associative_recall, copying, passkey

__all__ = [
    "ANNOUNCE",
    "ASK",
    "FIRST",
    "FarCause",
    "ListOps",
    "Pathfinder",
    "Task",
    "associative_recall",
    "copying",
    "far_cause",
    "listops",
    "passkey",
    "pathfinder",
]

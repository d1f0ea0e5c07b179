"""Light curves of many bands: supernovae, variable stars and other transients.

file or frame -> `read` (or `batches`, for files larger than memory) -> `LightCurves`; `load` does it for a data set by
name, a path or a frame. `gp_cache.cached` gives each object's Gaussian process on a regular grid; it needs torch and is
therefore not imported here.
"""

from seqsci.domains.photometry.load import load
from seqsci.domains.photometry.read import batches, read, scan
from seqsci.domains.photometry.table import (
    BANDS,
    OBJECTS,
    OBSERVATIONS,
    LightCurves,
    Units,
    first_and_last_detection,
)

__all__ = [
    "BANDS",
    "OBJECTS",
    "OBSERVATIONS",
    "LightCurves",
    "Units",
    "batches",
    "first_and_last_detection",
    "load",
    "read",
    "scan",
]

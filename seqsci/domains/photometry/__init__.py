"""Light curves of many bands: supernovae, variable stars and other transients.

file or frame -> `read` (or `batches`, for files larger than memory) -> `LightCurves`; `gp_cache.cached` gives each
object's Gaussian process on a regular grid. The Gaussian process needs torch and is therefore not imported here.
"""

from seqsci.domains.photometry.read import batches, read, scan
from seqsci.domains.photometry.table import BANDS, OBJECTS, OBSERVATIONS, LightCurves, Units

__all__ = ["BANDS", "OBJECTS", "OBSERVATIONS", "LightCurves", "Units", "batches", "read", "scan"]

"""SciPy's convolutions replaced by convkern's, for code that one cannot edit.

>>> import numpy as np, scipy.signal
>>> from convkern.scipy import patch
>>> with patch() as report:
...     _ = scipy.signal.fftconvolve(np.ones((64, 64)), np.ones((5, 5)))
...     _ = scipy.signal.fftconvolve(np.ones((64, 64)), np.ones((5, 5), np.float16))
>>> print(report)
scipy.signal.fftconvolve    1 taken    1 handed back (dtype float16: 1)

``python -m convkern.scipy script.py`` runs a script that way, and so does ``CONVKERN_PATCH_SCIPY=1`` in the environment
of anything that imports convkern.
"""

from .patching import REPLACEMENTS, patch
from .report import Report

__all__ = ["REPLACEMENTS", "Report", "patch"]

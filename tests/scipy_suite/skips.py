"""Every test of SciPy's that is left out, with its reason: node id from the file name on.

Without its parameters in brackets it stands for all of them.
"""

SKIPS: dict[str, str] = {}

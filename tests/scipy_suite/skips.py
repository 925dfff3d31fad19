"""Every test of SciPy's that is left out, with its reason: node id from the file name on, without parameters if for all."""

SKIPS: dict[str, str] = {}

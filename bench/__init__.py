"""The benchmark suite of convkern: run it from a checkout with ``python -m bench``.

See bench/README.md for what it measures and how to read its tables.
"""

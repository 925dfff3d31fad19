"""For tests everywhere, those in documents included: none depends on what was measured on this machine."""

import os

os.environ["CONVKERN_CACHE"] = "off"

"""Import this before basicsr: it lets basicsr 1.4.2 find a torchvision module that newer torchvision no longer has.

basicsr asks for `torchvision.transforms.functional_tensor`, gone since torchvision 0.17; the one function it uses there
lives on in `torchvision.transforms.functional`. Nothing else in the project depends on this.
"""

import importlib
import sys

MISSING = "torchvision.transforms.functional_tensor"

if MISSING not in sys.modules:
    sys.modules[MISSING] = importlib.import_module("torchvision.transforms.functional")

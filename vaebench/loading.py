"""The former home of `vaebench.load` and `vaebench.Run`, for one release."""

from vaebench.notebook import Run as Run
from vaebench.notebook import load as load

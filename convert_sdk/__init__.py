"""Run Convert.com experiments from a Python backend."""

from ._version import __version__ as __version__

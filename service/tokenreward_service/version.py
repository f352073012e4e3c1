"""The distribution's version, read once."""

from importlib.metadata import version

VERSION = version("tokenreward")

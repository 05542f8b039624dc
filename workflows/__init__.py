"""The pipeline: one folder per stage, in the order in which data flow."""

__version__ = "0.2.0"

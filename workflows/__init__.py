"""The pipeline, one folder a stage, in the order in which data flows."""

__version__ = "0.2.0"

"""Drive Upload: the last step of a pipeline, a local file onto Google Drive exactly once."""

__version__ = "0.2.0"

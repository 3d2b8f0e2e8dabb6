"""The mounted volume as input: the settings, and the sources below `data_root`."""

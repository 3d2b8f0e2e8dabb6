"""Records -> the resources of v3 and v2 that a `fields` mask asks for."""

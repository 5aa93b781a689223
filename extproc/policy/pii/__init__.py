"""Personal data: the shapes of its types, one file a group of them, and their checks."""

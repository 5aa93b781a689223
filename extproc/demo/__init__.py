"""The demonstration: a built-in fake model and a first answer to look at. Nothing of it runs in a real gateway."""

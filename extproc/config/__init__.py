"""The configuration: the file users write, its schema, and how it is read. Compiling it is ``extproc.runtime``'s work."""

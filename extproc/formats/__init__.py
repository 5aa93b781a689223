"""Formats: the JSON shapes clients and providers speak. One file each; none knows policies, HTTP or another format."""

"""What all tests share: how Hypothesis searches."""

import os

from hypothesis import settings

settings.register_profile("search", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)  # the same cases in every run
settings.load_profile("ci" if os.environ.get("CI") else "search")

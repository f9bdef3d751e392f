"""The browser that pages are looked at in, and an address for what is to find no network."""

import shutil

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

NOWHERE = "http://127.0.0.1:9"  # the port of `discard`, where nobody answers

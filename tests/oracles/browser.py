"""The browser that pages are looked at in, and an address for what is to find no network."""

import contextlib
import shutil

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@contextlib.contextmanager
def chromium(what):
    """Chromium, for as long as the context lasts; where there is none, `what` is not tried."""
    if CHROMIUM is None:
        pytest.skip(f"{what} not tried in a browser: no Chromium here")
    from playwright.sync_api import sync_playwright  # which few of those who import this need

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


NOWHERE = "http://127.0.0.1:9"  # the port of `discard`, where nobody answers

"""The replication report as a PDF: docs/report.md, printed by Chromium, which must be installed.

python docs/report_pdf.py [FILE]     # by default docs/report.pdf
"""

import re
import shutil
import sys
from pathlib import Path

from markdown_it import MarkdownIt
from playwright.sync_api import sync_playwright

PAGE = Path(__file__).with_name("report.md")
STYLE = """
body { font: 10pt/1.4 "DejaVu Serif", Georgia, serif; hyphens: auto }
h1 { font-size: 17pt } h2 { font-size: 12.5pt; break-after: avoid }
img { width: 100% } p:has(img) { break-inside: avoid } a { color: inherit }
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MARGIN = dict.fromkeys(("top", "bottom", "left", "right"), "20mm")


def main(arguments: list[str]) -> int:
    """Returns the exit status: 1 where there is no Chromium."""
    browser_file = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_file is None:
        print("No chromium is installed (Debian: apt-get install chromium).", file=sys.stderr)
        return 1
    target = Path(arguments[0]) if arguments else PAGE.with_suffix(".pdf")
    text = MarkdownIt().enable("table").render(PAGE.read_text())
    text = re.sub(r'<a href="(?!http)[^"]*">(.*?)</a>', r"\1", text)  # to files that lie elsewhere
    head = f'<html lang="en"><head><base href="{PAGE.as_uri()}"><style>{STYLE}</style></head>'
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_file, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(PAGE.as_uri())  # pictures are read from where it lies
        page.set_content(f"{head}<body>{text}</body></html>", wait_until="networkidle")
        page.pdf(path=target, format="A4", margin=MARGIN)
        browser.close()
    print(f"written: {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

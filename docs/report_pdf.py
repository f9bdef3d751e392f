"""The replication article as a PDF: docs/report.md, printed by Chromium, which must be installed.

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
h3 { font-size: 10.5pt; break-after: avoid } code { font-size: 8.5pt } pre { white-space: pre-wrap }
img { max-width: 100%; max-height: 120mm; display: block; margin: auto }
p:has(img) { break-inside: avoid; break-after: avoid } a { color: inherit }
p:has(+ table) { break-after: avoid } th:empty { padding: 0; border: 0 }
table { border-collapse: collapse; width: 100%; font-size: 8.5pt } tr { break-inside: avoid }
th, td { border-bottom: 0.5pt solid #999; padding: 1.5pt 8pt 1.5pt 0; text-align: left }
td:nth-child(4) { white-space: nowrap } sub, sup { font-size: 70%; line-height: 1 }
"""
TYPE = {
    r" \\times ": "&nbsp;&times;&nbsp;",
    r" \\mid ": "&nbsp;|&nbsp;",
    r"\\log ": "log ",
    r"\\mathcal\{N\}": "N",
    r"(\d)\^(\d+)": r"\1<sup>\2</sup>",
    r"\bN_(?:\\text)?\{?(\w+)\}?": r"N<sub>\1</sub>",
    r"\$": "",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MARGIN = dict.fromkeys(("top", "bottom", "left", "right"), "20mm")


def main(arguments: list[str]) -> int:
    """Returns the exit status: 1 if there is no Chromium."""
    browser_file = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_file is None:
        print("No chromium is installed (Debian: apt-get install chromium).", file=sys.stderr)
        return 1
    target = Path(arguments[0]) if arguments else PAGE.with_suffix(".pdf")
    text = MarkdownIt().enable("table").render(PAGE.read_text())
    text = re.sub(r'<a href="(?!http)[^"]*">(.*?)</a>', r"\1", text)  # to files that lie elsewhere
    for plain, set_in_type in TYPE.items():
        text = re.sub(plain, set_in_type, text)
    if left := re.findall(r"\\\w+", text):
        raise ValueError(f"TYPE does not set {', '.join(left)}")
    head = f'<html lang="en"><head><base href="{PAGE.as_uri()}"><style>{STYLE}</style></head>'
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_file, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(PAGE.as_uri())  # pictures are read relative to the page
        page.set_content(f"{head}<body>{text}</body></html>", wait_until="networkidle")
        page.pdf(path=target, format="A4", margin=MARGIN)
        browser.close()
    print(f"written: {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

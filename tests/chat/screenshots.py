"""The pictures of the chat page in `docs/images`, made anew over ragkit's own documentation.

ragkit ingest -c configs/quickstart.yaml && python tests/chat/screenshots.py
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
QUESTIONS = (
    "When is a chunk embedded anew?",
    "What happens to a document when its source fails midway?",
)
SHOTS = {
    "chat.png": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "chat-settings.png": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
}


def main() -> None:
    """Ask in each look, open the first source of the last answer or the settings, and keep what is seen."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from browser import Person, chromium
    from chatting import serving
    from fastapi import FastAPI

    from ragkit import Pipeline
    from ragkit.chat import mount

    with (
        chromium() as browser,
        Pipeline.from_yaml(ROOT / "configs" / "quickstart.yaml") as pipeline,
        serving(mount(FastAPI(), pipeline)) as address,
    ):
        pipeline.search(QUESTIONS[0])  # the model is loaded, so that the times are those of every day
        for name, look in SHOTS.items():
            person = Person.at(browser, address, **look).open()
            for question in QUESTIONS:
                person.ask(question)
            if name == "chat-settings.png":
                person.click("[data-act=tune]")
                person.page.fill("[name=k]", "8")
                person.page.locator("[name=alpha]").press("ArrowLeft")
                person.page.wait_for_selector(".rk-yaml:has-text('alpha')")
            else:
                person.page.locator(".rk-turn").last.locator(".rk-cite").first.click()
                person.page.wait_for_selector("#rk-panel mark")
            person.page.wait_for_timeout(300)
            _keep(person.page.screenshot(), ROOT / "docs" / "images" / name)
            person.leave()


def _keep(picture: bytes, path: Path) -> None:
    """With a palette, which is enough for a page."""
    from PIL import Image

    path.parent.mkdir(exist_ok=True)
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()

"""Files on the page: sent, dropped, refused, and answerable at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Person
from playwright.sync_api import expect

from ragkit.chat.uploads import Taking
from ragkit.errors import DocumentError

pytestmark = [pytest.mark.service, pytest.mark.xdist_group("chat")]

NOTES = "# Bicycles\n\nBicycles are kept in the cellar beside the boiler.\n"


def send(person: Person, *files: dict[str, object]) -> None:
    person.page.set_input_files(".rk-files", files=list(files))


def file(name: str, text: str) -> dict[str, object]:
    return {"name": name, "mimeType": "text/plain", "buffer": text.encode()}


def test_a_file_is_answerable_at_once(person: Person, site) -> None:
    send(person, file("bikes.md", NOTES))
    expect(person.page.locator("#rk-uploads [data-state=done]")).to_contain_text("added, 1 passage;")
    person.ask("Where are the bicycles kept?")
    expect(person.page.locator(".rk-source").first).to_contain_text("bikes.md")
    person.click(".rk-cite")
    expect(person.page.locator("#rk-panel mark")).to_contain_text("cellar")
    assert not _left(site)


def test_a_name_that_is_taken_gets_another(person: Person, site) -> None:
    send(person, file("plan.md", "The plan is to paint the hall."), file("plan.md", "The plan is to sell the barn."))
    expect(person.page.locator("#rk-uploads [data-state=done]")).to_have_count(2)
    expect(person.page.locator("#rk-uploads")).to_contain_text("as plan-2.md")
    send(person, file("plan.md", "The plan is to sell the barn."))
    expect(person.page.locator("#rk-uploads")).to_contain_text("unchanged as plan-2.md")
    assert site.pipeline.has_upload("plan.md", b"The plan is to paint the hall.")


def test_a_dropped_file_is_taken(person: Person) -> None:
    person.page.evaluate(
        """() => {
            const carried = new DataTransfer();
            carried.items.add(new File(["The kettle stands on the red shelf."], "kettle.md"));
            const drop = (type) => document.body.dispatchEvent(
                new DragEvent(type, { dataTransfer: carried, bubbles: true, cancelable: true }));
            ["dragenter", "dragover", "drop"].forEach(drop);
        }"""
    )
    expect(person.page.locator("#rk-uploads [data-state=done]")).to_contain_text("kettle.md")
    assert not person.page.locator("body[data-drop]").count()


@pytest.mark.parametrize(
    ("name", "text", "said"), [("tool.exe", "MZ", "files of this kind are not taken"), ("none.md", "  ", "is empty")]
)
def test_what_is_refused_is_said(person: Person, site, name: str, text: str, said: str) -> None:
    send(person, file(name, text), file("good.md", "All is well in the good file."))
    expect(person.page.locator("#rk-uploads [data-state=failed]")).to_contain_text(said)
    expect(person.page.locator("#rk-uploads [data-state=done]")).to_contain_text("good.md")
    assert not _left(site)


def test_who_may_not_upload_is_told(person: Person, site) -> None:
    site.uploads[0] = False
    try:
        send(person, file("late.md", NOTES))
        expect(person.page.locator("#rk-uploads [data-state=failed]")).to_contain_text("uploads are switched off")
    finally:
        site.uploads[0] = True
    assert not site.pipeline.has_upload("late.md")
    assert not _left(site)


def test_nothing_but_what_was_sent_is_read(site, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    (sent / "hash").mkdir(parents=True)
    outside = tmp_path / "private.md"
    outside.write_text("private")
    (sent / "hash" / "link.md").symlink_to(outside)
    (sent / "loose.md").write_text("loose")
    taking = Taking(site.pipeline, sent)
    wrong = [
        outside,
        sent / "hash" / ".." / ".." / "private.md",
        sent / "hash" / "link.md",
        sent / "loose.md",
        Path("hash/x.md"),
        sent,
    ]
    for path in wrong:
        with pytest.raises(DocumentError, match="did not arrive"):
            taking.take(str(path), "x.md", lambda *_: None)
    assert outside.read_text() == "private"


def _left(site) -> list[Path]:
    """What lies where files are sent to; other pages may have left something before."""
    import tempfile

    began = (site.folder / "docs").stat().st_mtime
    folders = [folder for folder in Path(tempfile.gettempdir()).glob("ragkit-chat-*") if folder.stat().st_mtime >= began]
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]

"""No telemetry: with what a configuration names by default, nothing reaches out, neither in an ingest nor in an answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

WATCHED = """
import json, socket, sys
attempts = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg") and arguments[0].family == socket.AF_UNIX:
        return
    if event in (
        "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"
    ):
        attempts.append([event, repr(arguments[1:])])
        raise ConnectionRefusedError(f"the test allows no {event}")
sys.addaudithook(watch)

from ragkit.cli import main
for arguments in sys.argv[1:]:
    sys.argv = ["ragkit", *json.loads(arguments)]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
print(json.dumps(attempts))
try:
    socket.create_connection(("ragkit.invalid", 80))
except ConnectionRefusedError:
    print(len(attempts))
"""

PAGES = {
    "leave.md": "# Leave\n\nEvery employee has 28 days of paid leave in a year. Leave is requested from the team lead.\n",
    "travel.md": "# Travel\n\nTrain tickets are booked in first class. Flights need the consent of the director.\n",
}


def test_the_defaults_contact_nobody(tmp_path: Path) -> None:
    (tmp_path / "ragkit.yaml").write_text("name: quickstart\nsources: [{use: files, path: docs}]\n", encoding="utf-8")
    (tmp_path / "docs").mkdir()
    for name, text in PAGES.items():
        (tmp_path / "docs" / name).write_text(text, encoding="utf-8")
    commands = [["ingest", "--json"], ["ask", "How many days of paid leave does an employee have?", "--json"]]
    # without what would silence a library from outside; the home is a new one, so that nothing is cached there
    quiet = ("HF_", "TRANSFORMERS_", "ANONYMIZED_TELEMETRY", "DO_NOT_TRACK", "TOKENIZERS_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(quiet)}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *map(json.dumps, commands)],
        cwd=tmp_path,
        env={**environ, "HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    decoder, rest, documents = json.JSONDecoder(), done.stdout, []
    while rest.strip():
        document, end = decoder.raw_decode(rest.lstrip())
        documents.append(document)
        rest = rest.lstrip()[end:]
    report, answer, attempts, caught = documents
    assert attempts == []
    assert caught == 1, "the hook sees an attempt where there is one"
    assert report["documents"]["added"] == 2
    assert {view["name"] for view in report["views"]} == {"faiss", "bm25"}
    assert answer["citations"][0]["uri"] == "leave.md"
    assert "28 days" in answer["answer"]

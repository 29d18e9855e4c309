"""Documents are converted in processes of their own, which end where one takes too much time or memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from office import docx, epub, paragraph
from pdfs import pdf

from ragkit.builtin.sources import FilesOptions
from ragkit.builtin.sources.files import FilesSource
from ragkit.conversion import workers
from ragkit.conversion.convert import Converter
from ragkit.conversion.workers import Workers
from ragkit.errors import DocumentError

SLOW = docx(paragraph("x") * 400_000)


@pytest.fixture
def converter() -> Converter:
    return Converter(workers=Workers(timeout=60))


def process_of(converter: Converter) -> subprocess.Popen[bytes]:
    assert converter.workers is not None
    (worker,) = converter.workers._idle
    return worker.process


def test_a_worker_converts_as_this_process_does(converter: Converter) -> None:
    for uri, raw in (("a.docx", docx(paragraph("Words."))), ("b.pdf", pdf("A PDF.", title="T")), ("c.epub", epub("<p>ü</p>"))):
        assert converter.convert(uri, raw).to_dict() == Converter().convert(uri, raw).to_dict()
    first = process_of(converter)
    with pytest.raises(DocumentError, match=r"a\.docx: is not a Word document\n.*suffix"):
        converter.convert("a.docx", b"text")
    assert process_of(converter) is first


def test_a_conversion_that_takes_too_long_ends() -> None:
    converter = Converter(workers=Workers(timeout=1.5))
    started = time.monotonic()
    with pytest.raises(DocumentError, match=r"slow\.docx: takes longer than 1\.5 s to convert\n.*`timeout`"):
        converter.convert("slow.docx", SLOW)
    assert time.monotonic() - started < 10
    assert converter.convert("a.pdf", pdf("The next one.")).text == "The next one."


def test_a_conversion_that_takes_too_much_memory_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # the limit is the worker's own, so a worker with a lower one is started in its place
    (tmp_path / "small_worker.py").write_text(
        "from ragkit.conversion import worker\nworker._MAX_MEMORY = 450_000_000\nworker.main()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(workers, "_MODULE", "small_worker")
    converter = Converter(workers=Workers(timeout=60))
    with pytest.raises(DocumentError, match=r"big\.docx: (?:takes too much memory|the process that converted it ended)"):
        converter.convert("big.docx", SLOW)
    assert converter.convert("a.pdf", pdf("The next one.")).text == "The next one."


def test_a_worker_that_crashes_is_replaced(converter: Converter) -> None:
    converter.convert("a.pdf", pdf("One."))
    first = process_of(converter)
    os.kill(first.pid, signal.SIGSTOP)
    timer = threading.Timer(0.2, first.send_signal, [signal.SIGKILL])
    timer.start()
    with pytest.raises(DocumentError, match=r"b\.pdf: the process that converted it ended \(SIGKILL\)"):
        converter.convert("b.pdf", pdf("Two."))
    timer.join()
    assert converter.convert("c.pdf", pdf("Three.")).text == "Three."
    second = process_of(converter)
    assert second.pid != first.pid
    second.kill()
    second.wait()
    assert converter.convert("d.pdf", pdf("Four.")).text == "Four."


def test_workers_end_with_their_source(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("One."))
    source = FilesSource(FilesOptions(path=tmp_path))
    assert [document.text for document in source] == ["One."]
    process = process_of(source._converter)
    assert process.poll() is None
    del source
    assert process.poll() is not None


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("One."))
    program = (
        "import os, signal, sys; from ragkit.conversion.workers import Workers\n"
        "workers = Workers(60); workers.convert('a.pdf', open(sys.argv[1], 'rb').read(), 10)\n"
        "print(workers._idle[0].process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.pdf")], check=False, capture_output=True, text=True)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{done.stdout.strip()}/cmdline").exists() and time.monotonic() < deadline:
        if not Path(f"/proc/{done.stdout.strip()}/cmdline").read_bytes():
            break  # ended, and not looked after yet
        time.sleep(0.05)
    assert time.monotonic() < deadline


def test_workers_convert_side_by_side(converter: Converter) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(converter.convert(f"{n}.pdf", pdf(f"Text {n}.")).text)) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [f"Text {n}." for n in range(4)]

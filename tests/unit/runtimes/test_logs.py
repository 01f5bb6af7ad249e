"""Cutting output into log events, and the platform's lines."""

from hypothesis import given
from hypothesis import strategies as st

from forebay.runtimes.contract import Exit
from forebay.runtimes.logs import LINE_BYTES_MAX, FrameSplitter, LineSplitter, LogTail, format_report


def frame(text: str) -> bytes:
    body = text.encode()
    return b"\xa5\x5a\x00\x0f" + len(body).to_bytes(4, "big") + bytes(8) + body


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))), st.data())
def test_lines_survive_any_cutting(lines, data):
    stream = b"".join(line.encode() + b"\n" for line in lines)
    splitter, found = LineSplitter(), []
    while stream:
        count = data.draw(st.integers(1, len(stream)))
        found += splitter.feed(stream[:count])
        stream = stream[count:]
    assert found + splitter.finish() == lines


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda t: not t.endswith("\n"))), st.data())
def test_frames_survive_any_cutting(texts, data):
    texts = [text.removesuffix("\r") for text in texts]
    stream = b"".join(map(frame, texts))
    splitter, found = FrameSplitter(), []
    while stream:
        count = data.draw(st.integers(1, len(stream)))
        found += splitter.feed(stream[:count])
        stream = stream[count:]
    assert found + splitter.finish() == texts


def test_what_is_no_frame_is_kept_as_text():
    splitter = FrameSplitter()
    assert splitter.feed(frame("good") + b"this is no frame at all") == ["good", "this is no frame at all"]
    assert splitter.feed(frame("next")) == ["next"]


def test_an_endless_line_is_cut():
    splitter = LineSplitter()
    lines = [line for _ in range(3) for line in splitter.feed(b"x" * LINE_BYTES_MAX)]
    assert [len(line) for line in lines] == [LINE_BYTES_MAX] * 3
    assert splitter.finish() == []


def test_tail_is_the_last_four_kilobytes():
    tail = LogTail()
    for number in range(10_000):
        tail.add(f"line {number}")
    assert len(tail.read()) == 4096
    assert tail.read().endswith(b"line 9998\nline 9999\n")


def test_report_line_is_lambdas():
    assert format_report("id", duration_ms=1.234, memory_mb=128, memory_used_mb=35, init_ms=85.118) == (
        "REPORT RequestId: id\tDuration: 1.23 ms\tBilled Duration: 87 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 35 MB\tInit Duration: 85.12 ms\t"
    )


def test_exits_are_described_in_lambdas_words():
    assert Exit(status=3).describe() == "exit status 3"
    assert Exit(killed_by=9).describe() == "signal: killed"
    assert Exit(killed_by=11).describe() == "signal: segmentation fault"

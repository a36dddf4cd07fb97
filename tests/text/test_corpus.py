"""Streaming text from files: every form of a file gives the same lines, every fault its line."""

import bz2
import gzip
import lzma
import os
import subprocess
import sys

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from taolu.errors import CorpusError
from taolu.text.corpus import Block, Corpus

LINES = ["今天天气好。明天呢？", "", "我爱𠮷野家 abc", "上海自来水来自海上"]
TEXT = "\n".join(LINES) + "\n"
COMPRESS = {
    ".txt": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def write(folder, name, data):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def read(corpus, block_bytes):
    return b"".join(block.data for block in corpus.blocks(block_bytes)).decode()


def message(function, *arguments, **options):
    with pytest.raises(CorpusError) as caught:
        list(function(*arguments, **options))
    return str(caught.value)


def read_all(path, block_bytes=1 << 20, **options):
    return [block.decode() for block in Corpus.of(path, **options).blocks(block_bytes)]


# What is read


@pytest.mark.parametrize("suffix", COMPRESS)
def test_plain_and_compressed_files_give_the_same_lines(tmp_path, suffix):
    path = write(tmp_path, "book" + suffix, COMPRESS[suffix](TEXT.encode()))
    corpus = Corpus.of(path)
    assert list(corpus.lines()) == LINES
    assert list(corpus.lines()) == LINES, "a corpus can be read again"
    assert corpus.size == path.stat().st_size


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2", ".zst"])
def test_members_end_to_end_are_one_text(tmp_path, suffix):
    parts = [COMPRESS[suffix](part.encode()) for part in (TEXT, "后来", "\n再后来\n")]
    path = write(tmp_path, "book.txt" + suffix, b"".join(parts))
    assert list(Corpus.of(path).lines()) == [*LINES, "后来", "再后来"]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_long_file_is_read_whole_through_any_compression(tmp_path, suffix):
    text = "".join(f"第{n}行，一二三四五。\n" for n in range(20_000))
    path = write(tmp_path, "long" + suffix, COMPRESS[suffix](text.encode()))
    assert read(Corpus.of(path), 5000) == text


def test_a_folder_is_read_in_order_without_hidden_files_and_codebooks(tmp_path):
    write(tmp_path, "b.txt", "二\n")
    write(tmp_path, "a.txt.gz", gzip.compress("一\n".encode()))
    write(tmp_path, "c/z.MD", "四\n")
    write(tmp_path, "c/a.utf8.xz", lzma.compress("三\n".encode()))
    for number in range(9, 0, -1):
        write(tmp_path, f"d{number}/x.text", f"{number}\n")
    for name in (".hidden.txt", ".git/x.txt", "novel.taolu/words.txt", "image.png", "data.gz"):
        write(tmp_path, name, "不读\n")
    corpus = Corpus.of(tmp_path)
    assert list(corpus.lines()) == ["一", "二", "三", "四", *"123456789"]
    assert [path.name for path in corpus.paths[:4]] == ["a.txt.gz", "b.txt", "a.utf8.xz", "z.MD"]


def test_sources_are_read_in_the_order_given(tmp_path):
    first, second = write(tmp_path, "z.txt", "先"), write(tmp_path, "a.dat", "后")
    assert list(Corpus.of([first, str(second)]).lines()) == ["先", "后"]
    assert list(Corpus((first,), lines_in_memory=("最先",)).lines()) == ["最先", "先"]


def test_a_corpus_of_a_corpus_is_itself():
    corpus = Corpus.from_lines(["好"])
    assert Corpus.of(corpus) is corpus


@pytest.mark.parametrize("encoding", ["gb18030", "GBK", "utf-16", "utf-16-le", "big5hkscs"])
def test_other_encodings_give_the_same_text(tmp_path, encoding):
    text = "今天上海天氣好\n\n明天呢\n"
    path = write(tmp_path, "old.txt", text.encode(encoding))
    for block_bytes in (4, 5, 7, 1 << 20):
        assert read(Corpus.of(path, encoding=encoding), block_bytes) == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_is_dropped_at_the_start_only(tmp_path, encoding):
    plain = encoding.removesuffix("-sig")
    path = write(tmp_path, "bom.txt", "\ufeff好\n\ufeff坏\n".encode(plain))
    for block_bytes in (4, 1 << 20):
        assert read(Corpus.of(path, encoding=encoding), block_bytes) == "好\n\ufeff坏\n"


def test_windows_line_ends_end_sentences(tmp_path):
    path = write(tmp_path, "dos.txt", "今天\r\n\r\n明天\r\n")
    assert list(Corpus.of(path).sentences()) == ["今天", "明天"]


@pytest.mark.parametrize("text", ["甲\n乙", "甲\n乙\n"])
def test_a_final_line_feed_makes_no_difference(tmp_path, text):
    path = write(tmp_path, "end.txt", text)
    assert list(Corpus.of(path).lines()) == ["甲", "乙"]


def test_an_empty_file_has_no_lines(tmp_path):
    empty = write(tmp_path, "empty.txt", "")
    assert list(Corpus.of(empty).blocks()) == []
    assert list(Corpus.of([empty, write(tmp_path, "one.txt", "一")]).lines()) == ["一"]


@given(text=st.text(st.characters(exclude_categories=["Cs"])), block_bytes=st.integers(4, 40))
def test_the_size_of_blocks_changes_nothing(tmp_path_factory, text, block_bytes):
    text = text.removeprefix("\ufeff")
    path = write(tmp_path_factory.getbasetemp(), "any.txt", text)
    blocks = list(Corpus.of(path).blocks(block_bytes))
    assert b"".join(block.data for block in blocks).decode() == text
    line, position = 1, 0
    for block in blocks:
        assert block.line == line
        # Of two blocks out of the last read, both stand at its end.
        assert position <= block.position <= len(text.encode())
        line, position = line + block.data.count(b"\n"), block.position
    assert position == len(text.encode())
    assert all(block.data.endswith(b"\n") for block in blocks[:-1])


def test_positions_run_over_all_sources_up_to_the_size(tmp_path):
    paths = [write(tmp_path, f"{n}.txt.gz", gzip.compress(TEXT.encode())) for n in range(3)]
    corpus = Corpus.of(paths)
    positions = [block.position for block in corpus.blocks(16)]
    assert positions == sorted(positions)
    assert positions[-1] == corpus.size


# Standard input and pipes

COUNT_LINES = """
import sys
from taolu.text.corpus import Corpus
corpus = Corpus.of(sys.argv[1])
print(corpus.paths[0])
print(list(corpus.lines()) == list(corpus.lines()), *corpus.lines())
"""


def run(code, *arguments, **options):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, timeout=60, **options)


def test_standard_input_is_read_twice_and_its_copy_removed():
    done = run(COUNT_LINES, "-", input="一\n二".encode())
    path, lines = done.stdout.decode().splitlines()
    assert lines == "True 一 二", done.stderr.decode()
    assert not os.path.lexists(path)


def test_the_copy_is_removed_when_reading_fails():
    code = COUNT_LINES.replace("Corpus.of(sys.argv[1])", "Corpus.of('-', encoding='utf-16')")
    done = run(code, "-", input=b"abcd")
    assert b"<stdin>, line 1: not valid UTF-16" in done.stderr
    assert not os.path.lexists(done.stdout.decode().split("\n")[0])


def test_a_fault_in_standard_input_is_named_so():
    done = run(COUNT_LINES, "-", input=b"ok\n\xff\n")
    assert b"CorpusError: <stdin>, line 2: not valid UTF-8" in done.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_twice_too(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [sys.executable, "-c", COUNT_LINES, str(pipe)], stdout=subprocess.PIPE
    ) as process:
        pipe.write_text("一\n二\n", encoding="utf-8")
        output, _ = process.communicate(timeout=60)
    path, lines = output.decode().splitlines()
    assert lines == "True 一 二"
    assert not os.path.lexists(path)


# What is wrong, and where


@pytest.mark.parametrize("block_bytes", [4, 64, 1000, 1 << 20])
@pytest.mark.parametrize("bad", [b"\xff", b"\xe4\xb8", b"\xed\xa0\x80", b"\xc0\x80"])
def test_bytes_that_are_not_utf8_are_reported_with_their_line(tmp_path, block_bytes, bad):
    good = "一二三四五。\n".encode()
    path = write(tmp_path, "bad.txt", good * 736 + "好".encode() + bad + b"\n" + good * 300)
    assert message(read_all, path, block_bytes) == (
        f"{path}, line 737: not valid UTF-8. "
        'Save it as UTF-8 or pass encoding="gb18030" (--encoding gb18030).'
    )


def test_a_character_cut_off_at_the_end_of_the_file_is_reported(tmp_path):
    path = write(tmp_path, "cut.txt", "一\n二\n三".encode()[:-1])
    assert f"{path}, line 3: not valid UTF-8" in message(read_all, path)


@pytest.mark.parametrize("block_bytes", [4, 5, 7, 64, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("encoding", "bad"),
    [
        ("gb18030", b"\xff\xff"),
        ("utf-16-le", b"\x00\xdc"),
        ("ascii", b"\xe4"),
        ("gbk", b"\x81\x20"),
    ],
)
def test_the_line_is_right_in_every_encoding(tmp_path, encoding, bad, block_bytes):
    # In UTF-16 the character 上 (U+4E0A) holds the byte of a line feed.
    good = "abcd\n" if encoding == "ascii" else "上上海海\n"
    # The bad bytes come right after a character that blocks of 7 bytes cut in two.
    data = (good * 500 + good[2:4]).encode(encoding) + bad + good.encode(encoding)
    path = write(tmp_path, "bad.txt", data)
    text = message(read_all, path, block_bytes, encoding=encoding)
    assert text.startswith(f"{path}, line 501: not valid {encoding.upper()}.")
    assert 'pass encoding="utf-8"' in text


@pytest.mark.parametrize("block_bytes", range(4, 30))
def test_the_line_is_right_after_a_character_cut_in_two(tmp_path, block_bytes):
    # 𠮷 takes four bytes in gb18030, so up to three wait for the next block.
    data = "上\n𠮷".encode("gb18030") * 20 + b"\xff\xff\n\n\n"
    path = write(tmp_path, "bad.txt", data)
    text = message(read_all, path, block_bytes, encoding="gb18030")
    assert text.startswith(f"{path}, line 21: ")


def test_half_a_character_at_the_end_of_a_gb18030_file_is_reported(tmp_path):
    path = write(tmp_path, "cut.txt", "一\n二".encode("gb18030")[:-1])
    assert f"{path}, line 2: not valid GB18030" in message(read_all, path, encoding="gb18030")


def test_a_line_that_is_too_long_is_reported(tmp_path):
    path = write(tmp_path, "long.txt", "短\n短\n" + "长" * 40 + "\n短\n")
    for block_bytes in (4, 50, 1 << 20):
        text = message(read_all, path, block_bytes, max_line_bytes=100)
        assert text.startswith(f"{path}, line 3: longer than 100 bytes without a line end.")
        assert "--max-line" in text
    assert len(read_all(path, max_line_bytes=120)) == 1
    text = message(read_all, write(tmp_path, "huge.txt", b"a" * 3_000_000), max_line_bytes=2 << 20)
    assert "line 1: longer than 2 MB" in text


def test_missing_files_are_reported(tmp_path):
    missing = tmp_path / "no.txt"
    assert message(read_all, missing) == f"{missing}: no such file or folder."
    missing.symlink_to(tmp_path / "nowhere")
    assert message(read_all, missing) == f"{missing}: no such file or folder."
    assert "cannot be read" in message(read_all, tmp_path), "a dangling link inside a folder"
    assert "cannot be read (File name too long)" in message(read_all, "长" * 300)


def test_a_folder_without_text_is_reported(tmp_path):
    write(tmp_path, "image.png", b"")
    assert message(read_all, tmp_path).startswith(f"{tmp_path}: the folder holds no text.")


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2", ".zst"])
@pytest.mark.parametrize("keep", [0.3, 0.999])
def test_a_compressed_file_that_ends_too_early_is_reported(tmp_path, suffix, keep):
    text = "".join(f"第{n * n}行\n" for n in range(30_000))
    data = COMPRESS[suffix](text.encode())
    path = write(tmp_path, "cut" + suffix, data[: int(len(data) * keep)])
    text = message(read_all, path, 1000)
    assert text.startswith(f"{path}: cannot be read (")
    assert "end" in text.lower()


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2", ".zst"])
def test_a_file_that_is_not_compressed_after_all_is_reported(tmp_path, suffix):
    path = write(tmp_path, "plain" + suffix, TEXT * 10)
    assert message(read_all, path).startswith(f"{path}: cannot be read (")


def test_zstandard_missing_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    path = write(tmp_path, "book.zst", COMPRESS[".zst"](TEXT.encode()))
    assert "pip install 'taolu[zstd]'" in message(read_all, path)


@pytest.mark.parametrize("encoding", ["klingon", "base64", "rot13"])
def test_an_unknown_encoding_is_refused(encoding):
    with pytest.raises(ValueError, match=rf"`encoding` must name.*encoding='{encoding}'"):
        Corpus((), encoding=encoding)


def test_arguments_of_the_wrong_kind_are_refused():
    with pytest.raises(TypeError, match=r"`sources` must be a tuple.*Corpus\.of\(path\)"):
        Corpus("novel.txt")
    with pytest.raises(TypeError, match=r"`lines` must be several strings.*splitlines"):
        Corpus.from_lines("今天天气好")
    with pytest.raises(ValueError, match=r"`lines_in_memory` must be valid.*'\\ud800'.*line 2"):
        Corpus.from_lines(["好", "坏\ud800"])
    with pytest.raises(ValueError, match="`block_bytes` must be at least 4"):
        next(Corpus.from_lines(["好"]).blocks(0))


def test_a_block_names_its_own_line():
    block = Block(b"ok\nok\n\xff\n", "some.txt", 40, 9)
    with pytest.raises(CorpusError, match=r"some\.txt, line 42"):
        block.decode()


def test_a_stream_that_returns_little_at_a_time_is_read_whole(tmp_path, monkeypatch):
    data = COMPRESS[".zst"](TEXT.encode() * 50)
    monkeypatch.setattr("taolu.text.decompress._Frames.CHUNK_BYTES", 3)
    path = write(tmp_path, "slow.zst", data)
    assert read(Corpus.of(path), 7) == TEXT * 50


def test_a_frame_that_holds_nothing_is_skipped(tmp_path):
    compress = COMPRESS[".zst"]
    path = write(tmp_path, "x.zst", compress(b"") + compress(b"a") + compress(b""))
    assert list(Corpus.of(path).lines()) == ["a"]

"""Input that cannot be used: one line with file and position, exit code 1, nothing left behind."""

import errno
import gzip
import os
import resource
import shutil
import subprocess
import sys

import command
import pytest
from command import assert_fails, assert_works, environment, noise, run, sentences

text, book = command.text, command.book


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xe5\xa5\xbd\n\xe5\xa5\xbd\n\xff\n", "bad.txt, line 3: not valid UTF-8"),
        (b"", "bad.txt: the text is empty"),
        (b" \n\t\n\n", "bad.txt: the text is empty"),
        ("，。！？\n……".encode(), "bad.txt: the text holds only punctuation"),
        (b"a\n" + b"b" * 40_000_000, "bad.txt, line 2: longer than 32 MB"),
    ],
    ids=["not UTF-8", "empty", "blank", "punctuation", "one long line"],
)
def test_a_text_nobody_can_learn_from(tmp_path, data, message):
    (tmp_path / "bad.txt").write_bytes(data)
    assert_fails(run("learn", "bad.txt", cwd=tmp_path), message)
    assert os.listdir(tmp_path) == ["bad.txt"]  # noqa: PTH208


def test_places_without_text(tmp_path):
    (tmp_path / "x.dat").write_bytes(b"x")
    assert_fails(run("learn", tmp_path), f"{tmp_path}: the folder holds no text")
    assert_fails(run("learn", tmp_path / "no.txt"), "no.txt: no such file or folder")


def test_a_damaged_file_names_itself(tmp_path):
    packed = gzip.compress("\n".join(sentences(500)).encode())
    (tmp_path / "a.txt.gz").write_bytes(packed[: len(packed) // 2])
    assert_fails(run("learn", tmp_path), "a.txt.gz: cannot be read")


def test_a_file_of_a_folder_that_cannot_be_found_names_itself(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(sentences(50)), encoding="utf-8")
    (tmp_path / "b.txt").symlink_to("nowhere")
    assert_fails(run("learn", tmp_path), "b.txt: cannot be read (No such file")


def test_a_pipe_in_a_folder_does_not_wait_for_ever(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    assert_fails(run("learn", tmp_path), "pipe.txt: no ordinary file")


def test_a_file_of_a_folder_that_may_not_be_read_names_itself(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(sentences(50)), encoding="utf-8")
    (tmp_path / "b.txt").write_text("x", encoding="utf-8")
    (tmp_path / "b.txt").chmod(0)
    command = [sys.executable, "-m", "taolu", "learn", str(tmp_path)]
    if os.access(tmp_path / "b.txt", os.R_OK):
        # The superuser reads everything, unless the right to do so is given up.
        if shutil.which("setpriv") is None:
            pytest.skip("the superuser reads every file, and setpriv is not installed")
        rights = "-dac_override,-dac_read_search"
        command = ["setpriv", "--bounding-set", rights, "--inh-caps", rights, *command]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert_fails(done, "b.txt: cannot be read (Permission denied)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["learn", "a.txt", "--encoding", "klingon"], "`encoding` must name"),
        (["learn", "a.txt", "--known", "no.txt"], "no.txt: no such file"),
        (["learn", "a.txt", "--encoding", "utf-16"], "a.txt, line 1: not valid UTF-16"),
        (["cut", "a.txt", "--with", "no.taolu"], "no.taolu: no such codebook. `taolu learn TEXT`"),
        (["show", "."], "meta.json: cannot be read"),
        (["score", "empty.txt", "--with", "BOOK"], "empty.txt: the text is empty"),
        (["score", "empty.txt", "--with", "BOOK", "--gold"], "empty.txt: the text is empty"),
        (["show", "BOOK", "--export", "a.pdf"], "must end in .txt"),
        (["show", "BOOK", "--export", "no/a.csv"], "no/a.csv: cannot be written (No such file"),
    ],
)
def test_files_that_do_not_fit_the_verb(tmp_path, book, arguments, message):
    (tmp_path / "a.txt").write_bytes("苹果好".encode())
    (tmp_path / "empty.txt").write_bytes(b"")
    arguments = [str(book) if word == "BOOK" else word for word in arguments]
    assert_fails(run(*arguments, cwd=tmp_path), message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "empty.txt"]


@pytest.fixture
def small_disk(tmp_path):
    """A folder that takes half a megabyte, and what a process must do to see it so."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if shutil.which("mount") and subprocess.run(mount, capture_output=True).returncode == 0:
        yield folder, None
        subprocess.run(["umount", str(folder)], check=True)
    else:
        # Without the right to mount: no file may grow beyond that.
        yield folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))


REASONS = [os.strerror(number) for number in (errno.ENOSPC, errno.EFBIG)] + ["disk full"]


def assert_full(done, folder):
    assert_fails(done, str(folder))
    assert any(reason in done.stderr.decode() for reason in REASONS)
    assert list(folder.iterdir()) == []


def test_a_full_disk_leaves_no_half_of_a_codebook(small_disk, text):
    folder, limit = small_disk
    assert_full(run("learn", text, "-o", folder / "b", preexec_fn=limit), folder)


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["here", "in workers"])
def test_a_full_disk_for_counting_is_told_with_the_way_out(small_disk, tmp_path, options):
    folder, limit = small_disk
    (tmp_path / "noise.txt").write_text("\n".join(noise(3000)), encoding="utf-8")
    arguments = ["learn", "noise.txt", "--memory", "1MB", *options]
    done = run(*arguments, cwd=tmp_path, env={"TMPDIR": folder}, preexec_fn=limit)
    assert_full(done, folder)
    assert "TMPDIR" in done.stderr.decode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "noise.txt"]


def test_a_full_disk_for_standard_input_is_told_with_the_way_out(small_disk, tmp_path):
    folder, limit = small_disk
    data = "\n".join(noise(3000))
    done = run("learn", "-", cwd=tmp_path, stdin=data, env={"TMPDIR": folder}, preexec_fn=limit)
    assert_full(done, folder)
    assert "TMPDIR" in done.stderr.decode()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("verb", ["cut", "show", "guide", "help"])
def test_a_full_disk_behind_standard_output(verb, book, text):
    arguments = {
        "cut": ["cut", text, "--with", book],
        "show": ["show", book],
        "guide": ["guide"],
        "help": ["--help"],
    }[verb]
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = run(*arguments, stdout=full)
    assert_fails(done, "standard output: No space left on device")


def test_a_package_nobody_can_write_to_still_works(tmp_path):
    # Numba's cache has no place then, as in a container without a home.
    env = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator", "NUMBA_CACHE_DIR": ""}
    code = (
        "import numpy as np\n"
        "from taolu._kernel import kernel\n"
        "print(kernel(lambda x: x + 1)(np.int64(1)))"
    )
    (tmp_path / "code.py").write_text(code, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "code.py")]
    done = subprocess.run(command, env=environment(**env), capture_output=True, timeout=60)
    assert assert_works(done) == "2\n"

"""Names in camera files stay inside the folder, and files have a bound."""

import os
import re
from pathlib import Path

import pytest

from neural_sdf.photos.files.folder import (
    LONGEST_NAME,
    MOST_BYTES,
    inside,
    list_photos,
    parse_json,
    photo_folder,
    read_bytes,
    read_text,
)
from neural_sdf.photos.formats.entries import text_lines
from tests.photos.files.placed import put

FOLDER = Path("/photos/scene")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.png", "a.png"),
        ("images/a.png", "images/a.png"),
        ("./images/a.png", "images/a.png"),
        ("images//a.png", "images/a.png"),
        ("images/./a.png", "images/a.png"),
        ("images/../masks/a.png", "masks/a.png"),
        ("images\\a.png", "images/a.png"),
        (".\\images\\a.png", "images/a.png"),
        (".hidden/a.png", ".hidden/a.png"),
        ("..a/a..png", "..a/a..png"),
        (".../a.png", ".../a.png"),
        ("images/12:30.png", "images/12:30.png"),
        ("/photos/scene/images/a.png", "images/a.png"),
        ("~/a.png", "~/a.png"),
        ("$HOME/a.png", "$HOME/a.png"),
        ("Straße/ä b.png", "Straße/ä b.png"),
        ("ab/" * 84 + "c.p", "ab/" * 84 + "c.p"),
    ],
)
def test_a_relative_name_is_a_path_in_the_folder(name, path):
    found = inside(FOLDER, name, "a name")
    assert found == FOLDER / path
    assert found.parts[: len(FOLDER.parts)] == FOLDER.parts and ".." not in found.parts


@pytest.mark.parametrize(
    "name",
    [
        *("..", "../a.png", "../../etc/passwd", "images/../../a.png", "a/b/../../../c", "./../a"),
        *("../scene/a.png", "..\\a.png", "images\\..\\..\\a.png", "a/..\\../b.png", "a/../.."),
        *("/etc/passwd", "/", "//server/share/a.png", "/photos/scene2/a.png", "/../a.png"),
        *("\\a.png", "\\\\server\\share\\a.png", "\\\\?\\C:\\a.png"),
        *("C:\\a.png", "C:/a.png", "C:a.png", "c:", "images/../C:/a.png", ".\\C:\\a.png"),
    ],
    ids=lambda name: name[:24].encode("unicode_escape").decode(),
)
def test_a_name_that_leads_out_is_refused_with_where_it_was_written(name):
    with pytest.raises(ValueError, match=r"^file_path of frame 3 is .* outside /photos/s") as error:
        inside(FOLDER, name, "file_path of frame 3")
    assert len(str(error.value)) < 500 and "\n" not in str(error.value)


LONG = ["a" * (LONGEST_NAME + 1), "a/" * 10**6, "../" * 10**6]


@pytest.mark.parametrize(
    "name", ["", None, 7, 1.5, True, [], ["a.png"], {}, b"a.png", "a\0.png", *LONG]
)
def test_what_is_no_name_is_refused(name):
    with pytest.raises(
        ValueError, match=r"^file_path in /photos/scene is .*; expected the path of"
    ):
        inside(FOLDER, name, "file_path")


@pytest.mark.parametrize("name", [".", "./", "a/..", "./a/../.", "images\\.."])
def test_a_name_of_the_folder_itself_is_never_beside_it(name):
    """It is no file, and no suffix may be put to it: /photos/scene.png is another's."""
    try:
        found = inside(FOLDER, name, "a name")
    except ValueError:
        return
    assert found == FOLDER


def test_a_line_break_in_a_name_breaks_no_message():
    with pytest.raises(ValueError, match="a name") as error:
        inside(FOLDER, "../a\nb\rc\x1b[31m.png", "a name")
    assert not set("\n\r\x1b") & set(str(error.value))


def test_a_file_of_exactly_the_most_bytes_is_read_and_a_larger_one_is_not(tmp_path):
    path = tmp_path / "cameras"
    path.write_bytes(b"12345678")
    assert read_bytes(path, "eight", most=8) == b"12345678"
    with pytest.raises(ValueError, match=r"cameras cannot be read \(8 bytes, expected 7 or fewer"):
        read_bytes(path, "seven", most=7)


def test_a_file_too_large_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "cameras"
    path.touch()
    os.truncate(path, MOST_BYTES + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("was read"))
    for read in (read_bytes, read_text):
        with pytest.raises(ValueError, match=rf"\({MOST_BYTES + 1} bytes, expected {MOST_BYTES}"):
            read(path, "cameras")


def test_what_cannot_be_read_is_refused_with_what_was_expected(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    for name in ("missing", "folder", "latin"):
        with pytest.raises(ValueError, match=rf"{name} cannot be read \(.*\); expected words; m"):
            read_text(tmp_path / name, "words")


def test_text_may_begin_with_a_mark_of_its_byte_order(tmp_path):
    (tmp_path / "a").write_bytes("\ufeffä".encode())
    assert read_text(tmp_path / "a", "a letter") == "ä"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_text_may_be_utf_16_with_a_mark_as_powershell_writes_it(tmp_path, encoding):
    mark = "" if encoding == "utf-16" else "\ufeff"
    (tmp_path / "a").write_bytes(f"{mark}ä\r\nb".encode(encoding))
    assert read_text(tmp_path / "a", "letters").split() == ["ä", "b"]
    assert list(text_lines(tmp_path / "a", "letters")) == [(1, "ä\n"), (2, "b")]
    (tmp_path / "a").write_bytes("\ufeffä".encode("utf-16-le")[:-1])
    with pytest.raises(
        ValueError, match=r"a cannot be read \(.*truncated data\); expected letters"
    ):
        read_text(tmp_path / "a", "letters")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("// by hand\n{}", "line 1 column 1: '// by hand', expected json, which has no comments"),
        ('{"a": [ # x\n1]}', "line 1 column 9: '# x', expected json, which has no comments"),
        ('{"a": 1,\n "b": 2 /* x */}', "line 2 column 9: '/* x */}', expected json, which has no"),
        ('{"a": 1} // end', "line 1 column 10: '// end', expected json, which has no comments"),
        ('{"a":\n[1 2]}', "line 2 column 4: '2]}', Expecting ',' delimiter"),
    ],
)
def test_what_is_no_json_is_told_by_what_stands_there(text, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        parse_json(text)


def test_photos_are_listed_in_sorted_order_and_nothing_else_is(tmp_path):
    put(tmp_path, "images/b.PNG", "images/a.jpg", "images/c.jpeg", "images/inner/d.png")
    (tmp_path / "images/notes.txt").touch()
    assert [path.name for path in list_photos(tmp_path / "images")] == ["a.jpg", "b.PNG", "c.jpeg"]
    assert list_photos(tmp_path / "nowhere") == []


def test_the_folder_of_photos_has_a_usual_name_or_is_the_folder_itself(tmp_path):
    assert photo_folder(tmp_path) is None
    put(tmp_path, "0.png")
    assert photo_folder(tmp_path) == tmp_path
    (tmp_path / "image").mkdir()
    put(tmp_path, "rgb/0.png")
    assert photo_folder(tmp_path) == tmp_path / "rgb"
    put(tmp_path, "image/0.png")
    assert photo_folder(tmp_path) == tmp_path / "image"

"""Files of the same bytes are one photo, whatever they are called."""

from pathlib import Path

from neural_sdf.photos.files import copies
from neural_sdf.photos.files.capture import Stored


def written(folder: Path, **contents: bytes) -> list[Path]:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def test_the_first_of_the_files_with_the_same_bytes_stands_for_all(tmp_path):
    long = bytes(copies.FIRST)
    a, b, c, d, e = written(tmp_path, a=long + b"1", b=long + b"2", c=long + b"1", d=b"1", e=b"2")
    assert copies.first_copies([a, b, c, d, e, a]) == {a: a, b: b, c: a, d: d, e: e}
    assert copies.first_copies([c, a]) == {c: c, a: c}
    one, other = Stored("one", b"1"), Stored("other", b"1")
    assert copies.first_copies([one, other, d]) == {one: one, other: one, d: one}


def test_files_are_read_whole_only_beside_others_of_their_size_and_beginning(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(copies, "digest", lambda image: read.append(image.name) or image.name)
    files = written(tmp_path, a=b"1", b=b"22", c=b"13", d=b"22")
    copies.first_copies(files)
    assert read == ["b", "d"]


def test_a_file_that_cannot_be_read_is_a_photo_of_its_own(tmp_path):
    (a,) = written(tmp_path, a=b"1")
    gone = tmp_path / "gone"
    assert copies.first_copies([a, gone]) == {a: a, gone: gone}

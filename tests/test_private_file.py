import os
from pathlib import Path

import pytest

from followup.private_file import write_private


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_its_owner_can_read_the_file(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_private(tmp_path / "secret", "text")
    finally:
        os.umask(before)

    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_the_whole_content_is_replaced(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", "a long first text")
    write_private(tmp_path / "secret", "short")

    assert (tmp_path / "secret").read_text() == "short"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "secret.new").write_text("half")

    write_private(tmp_path / "secret", "whole")

    assert (tmp_path / "secret").read_text() == "whole"

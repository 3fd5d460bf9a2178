"""What a camera was set to is not forgotten."""

from pathlib import Path

import pytest

from so101_cameras.sources.former_values import FormerValues, runtime_folder
from so101_node.error import UserError

VALUES = {'gain': 64.0, 'auto_exposure': 3}


def test_they_are_there_until_they_are_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / 'made' / 'when needed'
    FormerValues('usb 1/2', folder).keep(VALUES)
    again = FormerValues('usb 1/2', folder)
    assert again.load() == VALUES
    assert FormerValues('other', folder).load() == {}
    again.forget()
    again.forget()
    assert again.load() == {}


@pytest.mark.parametrize('text', ['', '{"gain": ', '[1]', '{"gain": "64"}', '{"gain": null}'])
def test_a_file_of_something_else_is_named(tmp_path: Path, text: str) -> None:
    former = FormerValues('A1', tmp_path)
    former.path.write_text(text)
    with pytest.raises(UserError, match=rf'{former.path.name}.*delete it'):
        former.load()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=r'file.*XDG_RUNTIME_DIR'):
        FormerValues('A1', tmp_path / 'file').keep(VALUES)


def test_they_are_in_the_users_runtime_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_RUNTIME_DIR', '/run/user/1000')
    assert runtime_folder() == Path('/run/user/1000/so101')
    monkeypatch.delenv('XDG_RUNTIME_DIR')
    assert runtime_folder().parent == Path('/tmp')

"""A file system without locks costs one line, and no lock keeps anybody out for ever."""

import errno
import fcntl
import os

import pytest

from tests.cli.test_cli import call
from tests.places.conftest import FEW, TRAIN
from vae_jax.runs import directory

NO_LOCKS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EACCES]


@pytest.fixture(params=NO_LOCKS, ids=errno.errorcode.get)
def reason(request, monkeypatch):
    """Why there are no locks, in words."""

    def flock(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)
    return os.strerror(request.param)


def test_a_directory_without_locks_is_worked_in_with_a_warning(reason, tmp_path, caplog):
    for _ in range(2):  # nothing is left that would keep the second out
        with directory.locked(tmp_path):
            pass
    assert len(caplog.records) == 2
    assert f"no locks in {tmp_path} ({reason})" in caplog.text
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "sweep"])
def test_commands_that_lock_go_on_with_one_line(command, reason, tmp_path, capsys, caplog):
    words = TRAIN if command == "train" else ["sweep", *TRAIN[1:], *FEW]
    status, out, err = call(capsys, *words, f"--workdir={tmp_path / 'new'}")
    assert status == 0, err
    assert out
    assert f"no locks in {tmp_path / 'new'}" in caplog.text
    assert "Traceback" not in err


def test_a_directory_with_locks_is_not_warned_of(tmp_path, caplog):
    with directory.locked(tmp_path):
        pass
    assert not caplog.records

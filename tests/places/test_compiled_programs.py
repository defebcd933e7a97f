import os

from vae_jax import caches


def test_those_not_used_for_longest_go_where_there_is_no_room(tmp_path):
    """Of 10 bytes each: one was written last, one read last."""
    for name, read, written in (("old", 1, 1), ("written", 2, 9), ("read", 8, 3), ("older", 0, 0)):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (read, written))
    caches.delete_least_used(tmp_path, 29)
    assert sorted(os.listdir(tmp_path)) == ["read", "written"]

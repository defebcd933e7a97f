"""Calls of processes on other machines: who they are, and those that say nothing."""

import socket
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client

import pytest

from vae_jax.sweeps.serving import Calls


@pytest.fixture
def calls():
    with Calls() as calls:
        yield calls


def dial(calls, *words):
    """A process that calls, and says something or nothing; it waits in a thread of its own."""

    def call():
        with Client(("localhost", calls.address[1]), authkey=calls.key) as connection:
            for word in words:
                connection.send(word)
            connection.poll(60)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(0.5)


def heard(calls, seconds=5):
    """The first words of the first call."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for connection, words in calls.new():
            connection.close()
            return words
        time.sleep(0.01)
    return None


def test_one_that_says_nothing_holds_up_no_other(calls):
    with socket.create_connection(("localhost", calls.address[1])):  # not even the key
        dial(calls)  # not even who it is
        dial(calls, "here I am")
        assert heard(calls) == "here I am"


def test_one_without_the_key_is_not_listened_to(calls):
    with pytest.raises(AuthenticationError):
        Client(("localhost", calls.address[1]), authkey=b"another")
    assert heard(calls, seconds=0.2) is None

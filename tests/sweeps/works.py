"""Works of a sweep that train nothing; in a file of their own, so that processes start quickly."""

import os


def tells_twice(unit, tell):
    tell((unit.name, 1))
    tell((unit.name, 2))


def dies_of_mortals(unit, tell):
    if unit.name == "mortal":
        os._exit(3)
    tell("alive")

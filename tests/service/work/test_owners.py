"""Who has a row, and whether that process can still be alive."""

import os
import signal
import subprocess
import sys

import pytest

from nrespipe.service.work import owners


@pytest.fixture
def words():
    """Machine, boot and namespace of this process, and its number with the moment of its start."""
    _, place, process = owners.this_process("night").split("/")
    return *place.split(":"), process


def name(machine, boot, namespace, process):
    return f"night/{machine}:{boot}:{namespace}/{process}/1"


def test_a_process_is_known_by_its_place_its_number_and_its_start(words):
    assert words[3].split(".")[0] == str(os.getpid())
    assert not owners.is_dead(owners.this_process("night"))
    assert not owners.is_dead(name(*words))
    assert owners.is_dead(name(*words[:3], f"{words[3]}0")), "another process has got the number since"


def test_the_name_of_the_host_tells_nothing(words, monkeypatch):
    monkeypatch.setattr(owners.socket, "gethostname", lambda: "nrespipe")
    owners._place.cache_clear()
    try:
        machine, boot, namespace = owners.this_process("night").split("/")[1].split(":")
    finally:
        monkeypatch.undo()
        owners._place.cache_clear()
    assert (boot, namespace) == words[1:3]
    assert machine != words[0] or machine == "", "two machines may have one number, as copies of one disk"


def test_what_ran_before_the_last_boot_of_this_machine_is_dead(words, monkeypatch):
    _, boot, namespace, process = words
    monkeypatch.setattr(owners, "_place", lambda: f"machine:{boot}:{namespace}")
    assert owners.is_dead(name("machine", "before", "1", process))
    assert not owners.is_dead(name("other", "before", namespace, process)), "another machine"


def test_of_another_boot_nothing_is_known_in_a_container_as_its_image_may_run_elsewhere(words, monkeypatch):
    _, boot, namespace, process = words
    monkeypatch.setattr(owners, "_place", lambda: f":{boot}:{namespace}")
    assert not owners.is_dead(name("", "before", namespace, process))


def test_of_another_container_on_this_machine_nothing_is_known(words):
    machine, boot, _, process = words
    assert not owners.is_dead(name(machine, boot, "1", process))
    assert not owners.is_dead(name(machine, boot, "1", "4194304.1"))


def test_a_container_that_has_got_the_namespace_of_a_former_one_knows_its_processes_as_dead(words):
    assert owners.is_dead(name(*words[:3], f"{os.getpid()}.1"))
    # no process has a number beyond this
    assert owners.is_dead(name(*words[:3], "4194304.1"))


def test_a_container_knows_no_machine_and_a_proc_of_other_processes_no_namespace(monkeypatch):
    places = []
    for link, number in (("pid:[4026531836]", os.getpid()), ("pid:[4026532179]", os.getpid()), ("pid:[1]", 0)):
        files = {"/etc/machine-id": "abc\n", "/proc/sys/kernel/random/boot_id": "b\n", "/proc/self/stat": f"{number} ("}
        monkeypatch.setattr(owners, "_read", files.get)
        monkeypatch.setattr(owners.os, "readlink", lambda _, link=link: link)
        places.append(owners._place.__wrapped__().split(":"))
    assert places[0][0]
    assert "abc" not in places[0][0]
    assert places[1] == ["", "b", "4026532179"]
    assert places[2] == ["", "b", ""]
    monkeypatch.setattr(owners, "_place", lambda: ":".join(places[2]))
    assert not owners.is_dead("night/:b:/4194304.1"), "a process of an unknown machine may live"


@pytest.mark.parametrize(
    "told", ["", "night", "night/host:4026531836/1.1/1", "night/a:b/1.1", "night/:::/x.1", "a/b/c/d/e"]
)
def test_of_names_that_an_earlier_version_or_nobody_gave_nothing_is_known(told):
    assert not owners.is_dead(told)


def test_a_process_that_ended_and_that_nobody_has_waited_for_is_dead(words):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        mine = f"night/{owners.process(child.pid)}/1"
        assert not owners.is_dead(mine)
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        assert not owners.is_dead(mine), "a frozen one may wake"
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert owners.is_dead(mine)
    finally:
        child.kill()
        child.communicate()
    assert owners.is_dead(mine)


def test_rows_of_a_process_are_told_from_those_of_others(words):
    mine, here = f"{owners.this_process('one@host')}/task", owners.process(os.getpid())
    assert owners.is_of_process(mine, here)
    assert not owners.is_of_process(f"one@host/{here}0/task", here), "the number was given again"
    assert not owners.is_of_process("", here)
    assert owners.is_of_node(mine, owners.this_process("one@host"))
    assert not owners.is_of_node(mine, owners.this_process("two@host"))
    machine, boot, _, process = words
    assert not owners.is_of_node(f"one@host/{machine}:{boot}:1/{process}/task", owners.this_process("one@host"))

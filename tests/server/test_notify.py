"""The service manager hears that the server is ready, alive and about to stop; without one nothing is said."""

import os
from pathlib import Path

import pytest

from episteme.server.notify import ServiceManager
from tests.support.service_manager import Listener


def test_assignments_go_out_in_one_datagram_to_a_path(tmp_path: Path) -> None:
    with Listener(tmp_path / "notify") as listener:
        manager = ServiceManager({"NOTIFY_SOCKET": listener.address})
        manager.tell("READY=1", "STATUS=log at seq 5")
        manager.tell("STOPPING=1")
        assert listener.next() == ["READY=1", "STATUS=log at seq 5"]
        assert listener.next() == ["STOPPING=1"]


def test_assignments_go_out_to_an_address_without_a_path() -> None:
    with Listener() as listener:
        ServiceManager({"NOTIFY_SOCKET": listener.address}).tell("READY=1")
        assert listener.next() == ["READY=1"]


def test_without_a_service_manager_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager({}).tell("READY=1")
    assert caplog.records == []


def test_service_manager_that_is_gone_is_a_line_and_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).tell("READY=1")
    (record,) = caplog.records
    assert "READY=1" in record.getMessage()


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
    ],
)
def test_watchdog_is_heeded_if_it_is_for_this_process(environment: dict[str, str], watchdog_s: float | None) -> None:
    assert ServiceManager(environment).watchdog_s == watchdog_s

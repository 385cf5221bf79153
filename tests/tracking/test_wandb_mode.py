"""Online only with a key and a route; the reason is told; nothing waits or asks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.patience import PATIENCE_SECONDS

from gradsweep.config import Config, WandbMode
from gradsweep.tracking import make_tracker
from gradsweep.tracking.wandb.mode import CONNECT_SECONDS, choose_mode

KEY = "1234567890abcdef1234567890abcdef12345678"


@pytest.fixture
def open_port() -> Iterator[int]:
    """A port of this machine that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def set_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda url: monkeypatch.setenv("WANDB_BASE_URL", url)


def test_without_a_key_auto_is_offline_and_says_why(
    open_port: int, set_server: Callable[[str], None]
) -> None:
    set_server(f"http://127.0.0.1:{open_port}")
    mode = choose_mode(WandbMode.auto)
    assert mode.name == "offline"
    assert "no API key" in mode.reason
    assert "wandb login" in mode.reason


def test_online_without_a_key_records_offline_and_never_asks(
    open_port: int, set_server: Callable[[str], None]
) -> None:
    set_server(f"http://127.0.0.1:{open_port}")
    assert choose_mode(WandbMode.online).name == "offline"


def test_auto_is_online_with_a_key_and_a_route(
    open_port: int, set_server: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_server(f"http://127.0.0.1:{open_port}")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert choose_mode(WandbMode.auto).name == "online"


def test_a_key_in_netrc_counts(
    open_port: int, set_server: Callable[[str], None], tmp_path: Path
) -> None:
    set_server(f"http://127.0.0.1:{open_port}")
    netrc = tmp_path / "home" / ".netrc"
    netrc.write_text(f"machine 127.0.0.1:{open_port}\n  login user\n  password {KEY}\n")
    assert choose_mode(WandbMode.auto).name == "online"


def test_a_malformed_key_is_the_reason_for_offline(
    open_port: int, set_server: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_server(f"http://127.0.0.1:{open_port}")
    monkeypatch.setenv("WANDB_API_KEY", "a key with spaces")
    mode = choose_mode(WandbMode.auto)
    assert mode.name == "offline"
    assert "WANDB_API_KEY invalid" in mode.reason
    assert "spaces" not in mode.reason


def test_an_unreachable_host_is_offline_after_one_short_attempt(
    closed_port: int,
    set_server: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    make_config: Callable[..., Config],
) -> None:
    set_server(f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    timeouts: list[object] = []
    connect = socket.create_connection

    def noted(address: tuple[str, int], *args: object, **how: object) -> socket.socket:
        if address == ("127.0.0.1", closed_port):
            timeouts.append(how["timeout"])
        return connect(address, *args, **how)

    monkeypatch.setattr(socket, "create_connection", noted)
    tracker = make_tracker(make_config(WandbMode.auto), "point123", None, {})
    assert "offline" in tracker.description
    assert "cannot be reached" in tracker.description
    assert choose_mode(WandbMode.auto).name == "offline"
    assert timeouts == [CONNECT_SECONDS]
    assert CONNECT_SECONDS < 2
    tracker.fail("end of test")
    tracker.wait()


def test_a_name_lookup_that_hangs_does_not_hold_us_up(
    set_server: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def hang(*_args: object, **_kwargs: object) -> None:
        answered.wait(PATIENCE_SECONDS)
        raise socket.gaierror("no such name")

    set_server("http://wandb.example")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    mode = choose_mode(WandbMode.auto)
    answered.set()  # only now
    assert mode.name == "offline"
    assert "no answer within 1 s" in mode.reason


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "127.0.0.1:{}"])
def test_behind_a_proxy_it_is_the_proxy_that_must_answer(
    form: str,
    open_port: int,
    closed_port: int,
    set_server: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_server("https://wandb.invalid")  # a name that resolves nowhere
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("HTTPS_PROXY", form.format(open_port))
    assert choose_mode(WandbMode.auto).name == "online"
    monkeypatch.setenv("HTTPS_PROXY", form.format(closed_port))
    assert choose_mode(WandbMode.auto).name == "offline"


@pytest.mark.parametrize("configured", WandbMode)
@pytest.mark.parametrize("variable", ["offline", "disabled"])
def test_the_environment_has_the_last_word(
    configured: WandbMode, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", variable)
    mode = choose_mode(configured)
    assert (mode.name, mode.reason) == (variable, f"WANDB_MODE={variable}")


def test_disabled_leaves_no_files(
    make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    config = make_config(WandbMode.auto)
    tracker = make_tracker(config, "point123", None, {})
    assert tracker.description == "W&B is off (WANDB_MODE=disabled)"
    assert not (config.results / "wandb").exists()


def test_the_key_is_written_nowhere(
    make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    tracker = make_tracker(make_config(WandbMode.offline), "point123", "sweep-a", {})
    tracker.fail("end of test")
    tracker.wait()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert not [path for path in files if KEY.encode() in path.read_bytes()]

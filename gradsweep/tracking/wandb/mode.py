"""Whether a W&B run can be online, decided in about a second and without asking the user.

`wandb.init` blocks for its whole timeout where no route exists and never falls back by
itself, so key and route are checked first.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from typing import Literal, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import wandb
from wandb.sdk.lib import wbauth

from gradsweep.config import WandbMode
from gradsweep.errors import TrackingError
from gradsweep.tracking.wandb.environment import client_environment, given

CONNECT_SECONDS = 1.0
"""How long the W&B host, or the proxy in front of it, may take to accept a connection."""

AGAIN_SECONDS = 300.0
"""For how long a host that was not reached is not tried again: every point would pay for it."""

MODE_VARIABLE, OFF_VARIABLE = "WANDB_MODE", "WANDB_DISABLED"
MODES = {
    "online": "online",
    "offline": "offline",
    "disabled": "disabled",
    "run": "online",
    "shared": "online",
    "dryrun": "offline",
}
"""W&B's modes -> ours. `shared` is for several writers of one run, and a point has one."""


class Mode(NamedTuple):
    name: Literal["online", "offline", "disabled"]
    reason: str
    """Why, for a reader who wonders."""


def choose_mode(configured: WandbMode) -> Mode:
    """The mode of a run: `WANDB_MODE` if set, else `tracking.mode`; online needs a key.

    `auto` also needs a route: offline where the host does not accept a connection in
    `CONNECT_SECONDS`. An explicit `online` skips that check, for networks it cannot judge.

    Raises:
        ValueError: `WANDB_MODE` is not one of `MODES`; and what the client raises of settings that
            it cannot use, whose classes share no other base than `Exception`.
    """
    wish, origin = _wish(configured)
    if wish == "disabled":
        return Mode("disabled", origin)
    with client_environment():
        base_url = str(wandb.setup().settings.base_url)
    if wish == "offline":
        return Mode("offline", origin)
    if missing := _missing_key(base_url):
        return Mode("offline", missing)
    if wish == "online":
        return Mode("online", origin)
    try:
        failure = _no_route(*_endpoint(base_url))
    except ValueError as error:
        return Mode("offline", str(error))
    if failure:
        return Mode("offline", f"{base_url} cannot be reached: {failure}")
    return Mode("online", f"{base_url} answers")


def _wish(configured: WandbMode) -> tuple[str, str]:
    """The mode that is asked for, `auto` among them, and what asks for it."""
    off = given(OFF_VARIABLE).strip()
    if off.lower() in ("1", "true", "yes", "on"):
        return "disabled", f"{OFF_VARIABLE}={off}"
    variable = given(MODE_VARIABLE).strip()
    if not variable:
        return configured.name, f"tracking.mode={configured.name}"
    origin = f"{MODE_VARIABLE}={variable}"
    if wish := MODES.get(variable.lower()):
        return wish, origin
    raise ValueError(f"{origin} is not one of {', '.join(MODES)}")


def upload_mode() -> Mode:
    """The mode of what uploads at once; raises TrackingError where settings cannot be used."""
    try:
        return choose_mode(WandbMode.auto)
    except Exception as error:  # the client's classes share no other base
        reason = " ".join(str(error).split())
        raise TrackingError(f"W&B's settings cannot be used: {reason}") from error


def require_route(base_url: str) -> None:
    """Raises ConnectionError when the server does not accept a connection now."""
    if failure := _unreachable(*_endpoint(base_url)):
        raise ConnectionError(f"{base_url} cannot be reached: {failure}")


def _missing_key(base_url: str) -> str | None:
    """Why wandb would find no usable key for this server (environment, netrc, settings)."""
    try:
        has_key = wbauth.authenticate_session(
            host=base_url, source="gradsweep", prompt=False, update_session=False
        )
    except wandb.errors.AuthenticationError as error:
        return str(error)
    return (
        None if has_key else f"no API key for {base_url}: `wandb login` or WANDB_API_KEY sets one"
    )


def _endpoint(base_url: str) -> tuple[str, int]:
    """Host and port that the client connects to: the proxy's, where one stands in front.

    Raises:
        ValueError: the proxy, as it is set, is no address.
    """
    url = urlsplit(base_url)
    host = url.hostname or ""
    settings = wandb.setup().settings
    own = settings.https_proxy if url.scheme == "https" else settings.http_proxy
    proxy = own or getproxies().get(url.scheme)
    if not proxy or (not own and proxy_bypass(host)):
        return host, url.port or (443 if url.scheme == "https" else 80)
    try:
        front = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
        if not front.hostname:
            raise ValueError("it names no host")
        return front.hostname, front.port or (443 if front.scheme == "https" else 80)
    except ValueError as error:
        variable = f"{url.scheme.upper()}_PROXY"
        raise ValueError(f"{variable} is no address as http://host:port ({error})") from error


_unreached: dict[tuple[str, int], tuple[float, str]] = {}
"""Host and port -> when it was last found unreachable, and why."""


def _no_route(host: str, port: int) -> str | None:
    """`_unreachable`, remembered for a while."""
    tried, failure = _unreached.get((host, port), (-AGAIN_SECONDS, ""))
    if time.monotonic() - tried < AGAIN_SECONDS:
        return failure
    reason = _unreachable(host, port)
    if reason:
        _unreached[host, port] = time.monotonic(), reason
    return reason


def _unreachable(host: str, port: int) -> str | None:
    """Why no TCP connection came about within `CONNECT_SECONDS`; None when one did.

    Looking up a name has no timeout of its own and takes long on machines cut off from the
    network, so the attempt runs in a thread that may outlive the wait.
    """
    outcome: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            outcome.put(error.strerror or str(error))
        else:
            outcome.put(None)

    threading.Thread(target=attempt, daemon=True).start()
    try:
        return outcome.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        return f"no answer within {CONNECT_SECONDS:g} s"

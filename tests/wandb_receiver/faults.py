"""What can go wrong with a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Faults:
    """May be changed while the server runs."""

    latency: float = 0.0
    """Seconds before each answer."""
    fail_every: int = 0
    """Every n-th request fails with `status`; 0 is never."""
    status: int = 500
    """500 broken, 429 too many requests."""
    refuse_after: int | None = None
    """After so many requests the server is gone, in the middle of the next one."""
    quota_full: bool = False
    """Nothing is stored any more: every write is refused, as of an account that is over quota."""

    def gone(self, count: int) -> bool:
        return self.refuse_after is not None and count > self.refuse_after

    def failure(self, count: int, writes: bool) -> tuple[int, str] | None:
        """Status and message instead of an answer to the `count`-th request, if it fails."""
        if self.fail_every and count % self.fail_every == 0:
            return self.status, "injected fault"
        if self.quota_full and writes:
            return 403, "storage quota exceeded"
        return None

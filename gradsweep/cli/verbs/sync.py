"""`sync`: stored points to Weights & Biases."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from rich.console import Console

from gradsweep.cli.verbs.arguments import add_selection, verb_parser
from gradsweep.config.run import check_project
from gradsweep.errors import GradsweepError, TrackingError
from gradsweep.progress import console as progress_console
from gradsweep.progress import output_console, step_bar
from gradsweep.store import PointPaths
from gradsweep.store.lease import hold_lease
from gradsweep.store.points import find_point, point_table
from gradsweep.store.selection import Selection, selection
from gradsweep.tracking.wandb.follow import follow
from gradsweep.tracking.wandb.sync import Outcome, Uploader, outcome

GIVE_UP_AFTER = 3
"""Failed uploads in a row: the server, not a point, is to blame."""


def run(args: Sequence[str]) -> int:
    """Upload what was tracked offline, or cut short online, to Weights & Biases.

    Each point becomes, or completes, one run: samples that the server has are not sent again, so
    the same command twice uploads nothing the second time. Points that are being measured are left
    alone, or followed with --live. What was uploaded where is in <results>/wandb/ledger.json.
    """
    given = _parser().parse_args(args)
    chosen = selection(given.words, given.sweep)
    check_project(given.project, "--project")
    console = output_console()
    _require_server()
    with (
        hold_lease(chosen.results / "wandb" / "SYNC"),
        Uploader(chosen.results.resolve(), given.project, given.entity) as uploader,
    ):
        if given.live:
            return _live(uploader, _point_ids(chosen), console)
        if given.rebuild is not None:
            points, act = _to_rebuild(chosen, given.rebuild), uploader.rebuild
        else:
            points, act = uploader.tracked(_point_ids(chosen)), uploader.upload
        return _show(_each(points, act), console)


def _live(uploader: Uploader, point_ids: list[str] | None, console: Console) -> int:
    progress_console.print("following points that run offline (Ctrl-C ends)")
    with suppress(KeyboardInterrupt):
        for news in follow(uploader, point_ids):
            _print(news, console)
    return 0


def _each(points: Sequence[PointPaths], act: Callable[[PointPaths], Outcome]) -> Iterator[Outcome]:
    """What became of each point; raises TrackingError when nothing gets through."""
    failed = 0
    with step_bar() as progress:
        task = progress.add_task("points", total=len(points))
        for paths in points:
            try:
                done, failed = act(paths), 0
            except GradsweepError:
                raise
            except Exception as error:  # the client's classes share no other base
                reason = " ".join(str(error).split())
                done, failed = outcome(paths, "failed", reason), failed + 1
            yield done
            if failed == GIVE_UP_AFTER:
                raise TrackingError(
                    f"{failed} uploads in a row failed; the same command goes on there"
                )
            progress.advance(task)


def _show(outcomes: Iterator[Outcome], console: Console) -> int:
    """One line per point with news, then counts; the exit status."""
    counts: dict[str, int] = {}
    for point in outcomes:
        counts[point.done] = counts.get(point.done, 0) + 1
        if point.done != "nothing new":
            _print(point, console)
    summary = ", ".join(f"{number} {done}" for done, number in counts.items())
    console.print(summary or "no point here was tracked by W&B", style="bold", soft_wrap=True)
    return int("failed" in counts)


def _print(point: Outcome, console: Console) -> None:
    line = f"{point.done:<9} {point.point_id}  {point.axes}  {point.detail}"
    console.print(line, soft_wrap=True)


def _to_rebuild(chosen: Selection, words: Sequence[str]) -> list[PointPaths]:
    if words:
        return [find_point(chosen.results, word) for word in words]
    ids = _point_ids(chosen)
    if ids is None:
        ids = point_table(chosen.results)["point_id"].to_list()
    return [PointPaths(chosen.results, point_id) for point_id in ids]


def _point_ids(chosen: Selection) -> list[str] | None:
    """The ids of the chosen points; None means all of them."""
    ids = chosen.point_ids
    if not chosen.filters:
        return ids
    kept: list[str] = chosen.of(point_table(chosen.results))["point_id"].to_list()
    return [point_id for point_id in kept if ids is None or point_id in ids]


def _require_server() -> None:
    """Raises TrackingError where there is no key or no route to the server."""
    from gradsweep.tracking.wandb.mode import upload_mode

    mode = upload_mode()
    if mode.name != "online":
        raise TrackingError(f"nothing can be uploaded: {mode.reason}")


def _parser() -> argparse.ArgumentParser:
    parser = verb_parser(run)
    add_selection(parser)
    parser.add_argument(
        "--live",
        action="store_true",
        help="go on: upload samples of points that run offline as they come, until Ctrl-C",
    )
    parser.add_argument(
        "--rebuild",
        nargs="*",
        metavar="POINT",
        help="make new runs (<point id>-r1, -r2, …) of these points, or of all that are done, from "
        "the stored rows; nothing on the server is changed or deleted",
    )
    parser.add_argument("--project", help="another project than tracking.project says")
    parser.add_argument("--entity", help="another entity (user or team) than tracking.entity says")
    return parser

"""The findings page: every claim of the paper, its verdict here, and the numbers behind it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from string import ascii_lowercase

from gradsweep.analysis.claims import (
    ALL_CLAIMS,
    OVERALL,
    RATED_CLAIMS,
    TRAINING_CLAIMS,
    Claim,
    ClaimVerdict,
    Control,
    Finding,
    Outcome,
    Statement,
    Verdict,
    claim_verdicts,
)
from gradsweep.analysis.open_questions import Answer
from gradsweep.records import STUDY_OBJECTIVE
from gradsweep.report.how_to_read import HOW_TO_READ, OF_OTHERS, OF_RATED, OF_TRAINING
from gradsweep.report.markdown import first_items, first_lines, markdown_table
from gradsweep.report.numerals import MISSING
from gradsweep.store.series import model_label

_MARKS = {
    Verdict.SUPPORTED: "✓",
    Verdict.NOT_SUPPORTED: "✗",
    Verdict.UNDECIDED: "?",
    Verdict.TOO_FEW: "…",
    Verdict.NOT_TESTABLE: MISSING,
}

_WORST_FIRST = (
    Outcome.REVERSED,
    Outcome.CHANGED,
    Outcome.NOT_CONTROLLED,
    Outcome.SAME,
    Outcome.SAME_SIDE,
)


def findings_markdown(
    findings: Sequence[Finding],
    caveats: Sequence[str] = (),
    sections: Sequence[str] = (),
    most_lines: int | None = None,
) -> str:
    """Write a Markdown page (UTF-8, ends with a newline) of the result of `evaluate_claims`, and of
    `evaluate_training_claims`.

    `caveats` are sentences about the samples that every number rests on, `sections` are of their
    own (`report.objectives`, `report.training.section`); empty ones are left out. Of a table or
    list of more than `most_lines` the first lines are there, and it says where the others are.
    An overview, then a section for each claim: what it says, its verdict, its statistics over
    all models and datasets, the same by model and dataset, what is missing, and the points used.
    """
    verdicts = claim_verdicts(findings)
    present = {finding.claim for finding in findings}
    claims = [claim for claim in ALL_CLAIMS if claim.number in present]
    parts = ["# Findings", *_overview(claims, verdicts)]
    if caveats:
        parts += ["## The samples", first_items([f"{one}." for one in caveats], most_lines)]
    parts += filter(None, sections)
    parts += ["## How to read this page", HOW_TO_READ]
    if any(finding.objective != STUDY_OBJECTIVE for finding in findings):
        parts.append(OF_OTHERS)
    if present & {claim.number for claim in TRAINING_CLAIMS}:
        parts.append(OF_TRAINING)
    if present & {claim.number for claim in RATED_CLAIMS}:
        parts.append(OF_RATED)
    for claim in claims:
        of_claim = [finding for finding in findings if finding.claim == claim.number]
        of_scopes = [v for v in verdicts if v.claim == claim.number]
        parts += _section(claim, of_claim, of_scopes, most_lines)
    return "\n\n".join(parts) + "\n"


def verdict_lines(findings: Sequence[Finding]) -> list[str]:
    """Write a line for each claim over all models and datasets: title, verdict and its reason."""
    titles = {claim.number: claim.title for claim in ALL_CLAIMS}
    overall = [verdict for verdict in claim_verdicts(findings) if verdict.model == OVERALL]
    return [f"{v.claim}. {titles[v.claim]}: {marked(v.verdict)}, {v.reason}" for v in overall]


def _overview(claims: Sequence[Claim], verdicts: Sequence[ClaimVerdict]) -> Iterator[str]:
    if not claims:
        yield "No findings."
        return
    lines = []
    for claim in claims:
        overall, scopes = _split([v for v in verdicts if v.claim == claim.number])
        scopes = [scope for scope in scopes if scope.objective == STUDY_OBJECTIVE]
        title, verdict = f"{claim.number}. {claim.title}", marked(overall.verdict)
        would_reverse = outcomes_words(overall.controls)
        lines.append([title, verdict, verdict_counts(s.verdict for s in scopes), would_reverse])
    yield markdown_table(
        ["claim", "verdict", "by model and dataset", "what would reverse it"], lines
    )


def _section(
    claim: Claim,
    findings: Sequence[Finding],
    verdicts: Sequence[ClaimVerdict],
    most: int | None,
) -> Iterator[str]:
    overall, scopes = _split(verdicts)
    yield f"## {claim.number}. {claim.title}"
    yield f"{claim.text} *(Paper: {claim.source}.)*"
    untestable = overall.verdict is Verdict.NOT_TESTABLE
    reason = "what is missing stands below" if untestable else overall.reason
    yield f"**{marked(overall.verdict)}**: {reason}."
    if overall.caveats:
        yield "What would reverse it, in these points:"
        yield "\n".join(f"- {caveat}." for caveat in overall.caveats)
    yield _statistics(claim, findings)
    tested = [f for f in findings if not f.overall and f.verdict is not Verdict.NOT_TESTABLE]
    if tested:
        yield "### By model and dataset"
        yield _by_scope(claim, tested, scopes, most)
        if controlled := _controls(claim, tested, most):
            yield "### What would reverse it, by model and dataset"
            yield controlled
    missing = _missing(claim, findings)
    if missing:
        yield "### Not testable with these points"
        yield first_items(missing, most)
    if tested:
        yield "### Points used"
        yield _points(tested, most)


def _statistics(claim: Claim, findings: Sequence[Finding]) -> str:
    """The statistics over all models and datasets, with the letters that the next table goes by."""
    found = {(f.statement, f.statistic): f for f in findings if f.overall}
    lines = []
    for statement, (key, letter) in zip(claim.statements, _letters(claim).items(), strict=True):
        finding = found[key]
        name = f"**{statement.statistic}**" if statement.decides else statement.statistic
        lines.append(
            [letter, statement.text, name, _expected(statement), interval_words(finding),
             str(finding.n_questions), marked(finding.verdict)]
        )  # fmt: skip
    heading = ["", "the claim says", "statistic", "expected", "all", _cases(claim), "verdict"]
    return markdown_table(heading, lines)


def _by_scope(
    claim: Claim,
    findings: Sequence[Finding],
    verdicts: Sequence[ClaimVerdict],
    most: int | None,
) -> str:
    letters = _letters(claim)
    scopes: dict[tuple[str, str], dict[str, Finding]] = {}
    for finding in findings:
        cells = scopes.setdefault(_scope(finding), {})
        cells[letters[finding.statement, finding.statistic]] = finding
    verdict_of = {_scope(v): _MARKS[v.verdict] for v in verdicts}
    lines = []
    for scope, cells in scopes.items():
        shown = [_cell(cells.get(letter)) for letter in letters.values()]
        n_questions = min(finding.n_questions for finding in cells.values())
        lines.append([*scope, verdict_of[scope], *shown, str(n_questions)])
    columns = [f"({letter})" for letter in letters.values()]
    table = first_lines(["model", "dataset", "claim", *columns, _cases(claim)], lines, most)
    left_out = max(finding.n_left_out for finding in findings)
    if left_out:
        cases = _cases(claim)
        table += f"\n\nUp to {left_out} {cases} were left out: a value that is not finite."
    return table


def _cases(claim: Claim) -> str:
    """What its intervals are over."""
    return claim.statements[0].cases


def _cell(finding: Finding | None) -> str:
    return MISSING if finding is None else f"{interval_words(finding)} {_MARKS[finding.verdict]}"


def outcomes_words(controls: Mapping[str, Sequence[Outcome]]) -> str:
    """Write controls by what becomes of the verdict: `reversed: loss summed over tokens`."""
    found: dict[Outcome, list[str]] = {}
    for name, outcomes in controls.items():
        for outcome in outcomes:
            found.setdefault(outcome, []).append(name)
    ordered = [outcome for outcome in _WORST_FIRST if outcome in found]
    return "; ".join(f"{outcome_words(o)}: {', '.join(found[o])}" for o in ordered) or MISSING


def outcome_words(outcome: Outcome) -> str:
    """Write what becomes of a verdict, a reversed one in bold."""
    return f"**{outcome.value}**" if outcome is Outcome.REVERSED else outcome.value


def _controls(claim: Claim, findings: Sequence[Finding], most: int | None) -> str:
    """Every control of every scope; empty without one."""
    letters = _letters(claim)
    lines = [
        [*_scope(finding), f"({letters[finding.statement, finding.statistic]})", control.name,
         outcome_words(control.outcome), control_words(control)]
        for finding in findings
        for control in finding.controls
    ]  # fmt: skip
    heading = ["model", "dataset", "statistic", "under", "verdict", "value"]
    return first_lines(heading, lines, most) if lines else ""


def _missing(claim: Claim, findings: Sequence[Finding]) -> list[str]:
    """Reasons of what could not be tested, each once for a model and dataset."""
    letters = _letters(claim)
    found: dict[tuple[str, str, str], list[str]] = {}
    for finding in findings:
        if finding.verdict is Verdict.NOT_TESTABLE and not finding.overall:
            letter = letters[finding.statement, finding.statistic]
            scope = (*_scope(finding), finding.reason)
            found.setdefault(scope, []).append(f"({letter})")
    if not found:
        untested = [f for f in findings if f.verdict is Verdict.NOT_TESTABLE]
        return [f"{reason}." for reason in dict.fromkeys(f.reason for f in untested)]
    return [
        f"**{model}, {dataset}** {' '.join(which)}: {reason}."
        for (model, dataset, reason), which in found.items()
    ]


def _points(findings: Sequence[Finding], most: int | None) -> str:
    used: dict[tuple[str, str], dict[str, None]] = {}
    for finding in findings:
        used.setdefault(_scope(finding), {}).update(dict.fromkeys(finding.point_ids))
    lines = [[*scope, " ".join(f"`{name}`" for name in ids)] for scope, ids in used.items()]
    return first_lines(["model", "dataset", "points"], lines, most)


def _scope(found: Finding | ClaimVerdict) -> tuple[str, str]:
    """Model and dataset as a reader sees them."""
    return model_label(found.model, found.series, found.objective), found.dataset


def _letters(claim: Claim) -> dict[tuple[str, str], str]:
    """Letters by which the tables of a claim name its statistics."""
    statistics = [(statement.text, statement.statistic) for statement in claim.statements]
    return dict(zip(statistics, ascii_lowercase, strict=False))


def _split(verdicts: Sequence[ClaimVerdict]) -> tuple[ClaimVerdict, list[ClaimVerdict]]:
    """The overall verdict, which comes first, and those of models and datasets."""
    return verdicts[0], list(verdicts[1:])


def verdict_counts(verdicts: Iterable[Verdict]) -> str:
    """Write how many verdicts there are of each: `2 ✓ supported, 1 ? undecided`."""
    counts = Counter(verdicts)
    return ", ".join(f"{counts[v]} {marked(v)}" for v in Verdict if counts[v]) or MISSING


def marked(verdict: Verdict) -> str:
    """Write a verdict with its mark: `✓ supported`."""
    return f"{_MARKS[verdict]} {verdict.value}"


def _expected(statement: Statement) -> str:
    words = f"{statement.expected.value} {statement.null:g}"
    return words if statement.counts == statement.null else f"{words}; counts: {statement.counts:g}"


def control_words(control: Control) -> str:
    """Write the numbers of a control, or what to run for them."""
    if control.outcome is Outcome.NOT_CONTROLLED:
        return control.reason
    return f"{interval_words(control)} {_MARKS[control.verdict]}"


def interval_words(found: Finding | Control | Answer) -> str:
    """Write a value and its interval, `9.1 [8.2, 10]`; a dash without a value."""
    numbers = (found.value, found.low, found.high)
    value, low, high = (f"{x:.3g}" if math.isfinite(x) else MISSING for x in numbers)
    return MISSING if value == MISSING else f"{value} [{low}, {high}]"

"""Word problems about classes, tests, books and collections."""

from __future__ import annotations

from random import Random

from gradsweep.data.arithmetic.problem import Step, Template, Values


def _average(rng: Random) -> Values:
    done, mean, jump = rng.randint(3, 6), rng.randint(70, 82), rng.randint(1, 2)
    subject = rng.choice(["history", "biology", "math", "geography", "chemistry", "music"])
    return {"subject": subject, "n": done, "mean": mean, "target": mean + jump, "after": done + 1}


AVERAGE = Template(
    choose=_average,
    prompts=(
        "After {n} {subject} tests {name} has an average of {mean} points. What score does {she} "
        "need on the next test to bring the average up to {target} points?",
        "{name} wants an average of {target} points in {subject}. {Her} first {n} tests have an "
        "average of {mean} points. How many points must {she} get on the next one?",
    ),
    facts=(
        "{n} tests so far, with an average of {mean} points",
        "the goal is an average of {target} points",
        "one more test to come",
    ),
    goal="what score {name} needs on the next test",
    steps=(
        Step(
            key="have",
            title="Find the points collected so far",
            expression="{n} * {mean}",
            unit="points",
            says="the first tests gave {value} points",
            why="An average is the sum over the number of tests, so the sum is the average times "
            "{n}.",
        ),
        Step(
            key="want",
            title="Find the points needed in the end",
            expression="({n} + 1) * {target}",
            unit="points",
            says="the goal requires {value} points",
            why="With the next test there will be {after} tests, and their average should be "
            "{target}.",
        ),
        Step(
            key="score",
            title="Subtract to find the score",
            expression="{want} - {have}",
            unit="points",
            says="the next test has to add {value} points",
            why="Only the next test can supply the points that are missing.",
        ),
    ),
    conclusion="{name} needs {value} points on the next test",
)


def _reading(rng: Random) -> Values:
    kind = rng.choice(["novel", "biography", "textbook", "fantasy book", "crime story"])
    first_days, pages, rest_days = rng.randint(3, 9), rng.randint(12, 30), rng.randint(3, 9)
    rest = rest_days * rng.randint(10, 35)
    return {
        "kind": kind,
        "all": first_days * pages + rest,
        "n": first_days,
        "p": pages,
        "m": rest_days,
    }


READING = Template(
    choose=_reading,
    prompts=(
        "{name} has to read a {kind} of {all} pages. For {n} days {she} reads {p} pages a day. "
        "How many pages a day must {she} read to finish in another {m} days?",
        "A {kind} has {all} pages. {name} manages {p} pages on each of the first {n} days and "
        "wants to read the rest in {m} days, the same number every day. How many pages is that "
        "per day?",
    ),
    facts=("{all} pages in the book", "{n} days with {p} pages each", "{m} more days"),
    goal="how many pages a day {name} must read",
    steps=(
        Step(
            key="read",
            title="Count the pages already read",
            expression="{n} * {p}",
            unit="pages",
            says="in the first days {name} reads {value} pages",
            why="On each of the {n} days {p} pages are read.",
        ),
        Step(
            key="rest",
            title="Find the pages that remain",
            expression="{all} - {read}",
            unit="pages",
            says="there are {value} pages to go",
            why="The book has {all} pages, and the ones already read are subtracted.",
        ),
        Step(
            key="daily",
            title="Spread the rest over the remaining days",
            expression="{rest} / {m}",
            unit="pages",
            says="each remaining day brings {value} pages",
            why="The {rest} pages are divided evenly among {m} days.",
        ),
    ),
    conclusion="{name} must read {value} pages a day",
)


def _marbles(rng: Random) -> Values:
    thing = rng.choice(["marbles", "stickers", "stamps", "trading cards", "shells", "coins"])
    parts, part = rng.choice([2, 3, 4, 5]), rng.randint(8, 25)
    keep = part * (parts - 1)
    given = rng.randint(2, min(9, keep - 3))
    packs, pack = rng.randint(2, 5), rng.randint(3, 10)
    return {
        "thing": thing,
        "all": part * parts,
        "parts": parts,
        "given": given,
        "packs": packs,
        "pack": pack,
    }


MARBLES = Template(
    choose=_marbles,
    prompts=(
        "{name} has {all} {thing}. {She} gives 1/{parts} of them to {other} and loses {given} of "
        "the rest. Then {she} buys {packs} packs with {pack} {thing} each. How many {thing} does "
        "{she} have now?",
        "Out of {all} {thing}, {name} hands 1/{parts} to {other}. Later {given} more get lost, and "
        "{packs} new packs of {pack} {thing} are bought. How many {thing} does {name} own in the "
        "end?",
    ),
    facts=(
        "{all} {thing} at first",
        "1/{parts} of them go to {other}",
        "number of {thing} lost: {given}",
        "{packs} packs of {pack} are bought",
    ),
    goal="how many {thing} {name} has in the end",
    steps=(
        Step(
            key="gift",
            title="Find the size of the gift",
            expression="{all} / {parts}",
            unit="{thing}",
            says="{other} receives {value} {thing}",
            why="The {all} {thing} are split into {parts} equal parts, and {other} gets one.",
        ),
        Step(
            key="left",
            title="Subtract what is given away and lost",
            expression="{all} - {gift} - {given}",
            unit="{thing}",
            says="this leaves {value} {thing}",
            why="Both the gift of {gift} and the {given} lost ones are missing from the "
            "collection.",
        ),
        Step(
            key="new",
            title="Count the new ones",
            expression="{packs} * {pack}",
            unit="{thing}",
            says="the packs bring {value} {thing}",
            why="There are {packs} packs with {pack} {thing} in each.",
        ),
        Step(
            key="total",
            title="Add the new ones",
            expression="{left} + {new}",
            unit="{thing}",
            says="the collection now holds {value} {thing}",
            why="What was left and what was bought form the new collection.",
        ),
    ),
    conclusion="{name} has {value} {thing} in the end",
)


def _classes(rng: Random) -> Values:
    part = rng.choice([2, 3, 4, 5])
    percent, unit = rng.choice([(20, 5), (25, 4), (40, 5), (50, 2), (60, 5), (75, 4)])
    group = unit * rng.randint(3, 12)
    club = rng.choice(["the choir", "the chess club", "the orchestra", "the drama group"])
    return {"all": part * group, "part": part, "percent": percent, "club": club}


CLASSES = Template(
    choose=_classes,
    prompts=(
        "At {name}'s school 1/{part} of the {all} students are in the final year. Of those, "
        "{percent}% belong to {club}. How many final-year students do not belong to {club}?",
        "{name} counts {all} students at school, and 1/{part} of them finish this year. {percent}% "
        "of the students who finish have joined {club}. How many of those who finish have not?",
    ),
    facts=(
        "{all} students in all",
        "1/{part} of them are in the final year",
        "{percent}% of these belong to {club}",
    ),
    goal="how many final-year students are not in {club}",
    steps=(
        Step(
            key="final",
            title="Find the number of final-year students",
            expression="{all} / {part}",
            unit="students",
            says="the final year has {value} students",
            why="A fraction of 1/{part} means one of {part} equal parts of the {all} students.",
        ),
        Step(
            key="members",
            title="Find how many of them are members",
            expression="{percent} / 100 * {final}",
            unit="students",
            says="among them are {value} members of {club}",
            why="The {percent} percent refer to the {final} students of the final year only.",
        ),
        Step(
            key="others",
            title="Subtract the members",
            expression="{final} - {members}",
            unit="students",
            says="the others are {value} students",
            why="Whoever is in the final year and not a member is part of the difference.",
        ),
    ),
    conclusion="there are {value} final-year students who are not in {club}",
)

SCHOOL = (AVERAGE, READING, MARBLES, CLASSES)

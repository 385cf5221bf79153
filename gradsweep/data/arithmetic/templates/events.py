"""Word problems about tickets, parties, phones and ages."""

from __future__ import annotations

from random import Random

from gradsweep.data.arithmetic.problem import Step, Template, Values


def _tickets(rng: Random) -> Values:
    show = rng.choice(["concert", "puppet show", "science fair", "talent show", "school play"])
    adults, children = rng.randrange(20, 90, 5), rng.randrange(15, 80, 5)
    price, child_price = rng.randint(6, 15), rng.randint(2, 5)
    return {
        "show": show,
        "n": adults,
        "m": children,
        "p": price,
        "q": child_price,
        "hall": rng.randint(30, 95),
    }


TICKETS = Template(
    choose=_tickets,
    prompts=(
        "{name} sells {n} adult tickets at ${p} and {m} child tickets at ${q} for a {show}. Rent "
        "for the hall is ${hall}. What profit is left?",
        "A {show} organized by {name} is visited by {n} adults, who pay ${p} each, and {m} "
        "children, who pay ${q} each. The hall costs ${hall}. How many dollars of profit remain?",
    ),
    facts=(
        "{n} adults at ${p} each",
        "{m} children at ${q} each",
        "${hall} for the hall",
    ),
    goal="how much profit the {show} makes",
    steps=(
        Step(
            key="a",
            title="Calculate the income from adults",
            expression="{n} * {p}",
            unit="dollars",
            says="the adults pay {value} dollars",
            why="There are {n} adults, and a ticket for one of them costs ${p}.",
        ),
        Step(
            key="b",
            title="Calculate the income from children",
            expression="{m} * {q}",
            unit="dollars",
            says="the children pay {value} dollars",
            why="The {m} children have the cheaper ticket for ${q}.",
        ),
        Step(
            key="income",
            title="Add the two incomes",
            expression="{a} + {b}",
            unit="dollars",
            says="the tickets bring in {value} dollars",
            why="Adults and children together make up the whole audience.",
        ),
        Step(
            key="profit",
            title="Subtract the cost of the hall",
            expression="{income} - {hall}",
            unit="dollars",
            says="the profit is {value} dollars",
            why="Profit is what remains of the income after ${hall} for the hall is paid.",
        ),
    ),
    conclusion="the {show} makes a profit of {value} dollars",
)


def _pizza(rng: Random) -> Values:
    guests, slices = rng.randint(6, 15), rng.choice([2, 3, 4])
    size, spare = rng.choice([6, 8, 10, 12]), rng.randint(1, 2)
    pizzas = -(-(guests * slices + 2) // size) + spare
    return {"guests": guests, "s": slices, "size": size, "pizzas": pizzas, "p": rng.randint(8, 16)}


PIZZA = Template(
    choose=_pizza,
    prompts=(
        "{name} orders {pizzas} pizzas, each cut into {size} slices, for a party with {guests} "
        "guests. If every guest eats {s} slices, how many slices are left over?",
        "For {guests} guests {name} bakes {pizzas} pizzas and cuts each of them into {size} "
        "slices. Every guest eats {s} slices. How many slices remain?",
    ),
    facts=("{pizzas} pizzas with {size} slices each", "{guests} guests", "{s} slices per guest"),
    goal="how many slices are left over",
    steps=(
        Step(
            key="all",
            title="Count all the slices",
            expression="{pizzas} * {size}",
            unit="slices",
            says="the pizzas give {value} slices",
            why="Each of the {pizzas} pizzas is cut into {size} slices.",
        ),
        Step(
            key="eaten",
            title="Count the slices that are eaten",
            expression="{guests} * {s}",
            unit="slices",
            says="the guests eat {value} slices",
            why="All {guests} guests eat the same number, {s} slices each.",
        ),
        Step(
            key="left",
            title="Find the difference",
            expression="{all} - {eaten}",
            unit="slices",
            says="this leaves {value} slices",
            why="The slices that nobody eats are the {all} slices without the {eaten} eaten ones.",
        ),
    ),
    conclusion="there are {value} slices left over",
)


def _phone(rng: Random) -> Values:
    included, extra = rng.randrange(5, 25, 5), rng.randint(3, 12)
    return {
        "base": rng.randrange(15, 45, 5),
        "inc": included,
        "used": included + extra,
        "p": rng.randint(2, 6),
        "months": rng.randint(2, 11),
    }


PHONE = Template(
    choose=_phone,
    prompts=(
        "{name}'s phone plan costs ${base} a month with {inc} gigabytes of data. Every gigabyte "
        "above that costs ${p}. {She} uses {used} gigabytes each month. What does {she} pay in "
        "{months} months?",
        "A phone plan for ${base} a month includes {inc} gigabytes, and further gigabytes cost "
        "${p} each. {name} needs {used} gigabytes every month. How many dollars is that for "
        "{months} months?",
    ),
    facts=(
        "${base} a month for {inc} gigabytes",
        "${p} for each further gigabyte",
        "{used} gigabytes used each month",
        "{months} months",
    ),
    goal="how much {name} pays for the phone plan",
    steps=(
        Step(
            key="over",
            title="Find the data above the limit",
            expression="{used} - {inc}",
            unit="gigabytes",
            says="{name} goes over the limit by {value} gigabytes",
            why="The first {inc} gigabytes are part of the plan, and only the others are charged.",
        ),
        Step(
            key="fee",
            title="Find the charge for it",
            expression="{over} * {p}",
            unit="dollars",
            says="the extra data cost {value} dollars",
            why="Each of the {over} further gigabytes is charged at ${p}.",
        ),
        Step(
            key="month",
            title="Find the price of one month",
            expression="{base} + {fee}",
            unit="dollars",
            says="one month costs {value} dollars",
            why="The charge is added to the ${base} that the plan costs in any case.",
        ),
        Step(
            key="total",
            title="Multiply by the number of months",
            expression="{month} * {months}",
            unit="dollars",
            says="the whole time costs {value} dollars",
            why="Every one of the {months} months has the same price of ${month}.",
        ),
    ),
    conclusion="{name} pays {value} dollars",
)


def _ages(rng: Random) -> Values:
    relative = rng.choice(["aunt", "uncle", "coach", "neighbor", "teacher"])
    return {
        "rel": relative,
        "age": rng.randint(11, 20),
        "k": rng.randint(2, 4),
        "y": rng.randint(3, 15),
    }


AGES = Template(
    choose=_ages,
    prompts=(
        "{name} is {age} years old, and {her} {rel} is {k} times as old. What will the sum of "
        "their ages be in {y} years?",
        "The {rel} of {name} is {k} times as old as {name}, who is {age}. If they add up their "
        "ages {y} years from now, what is the result?",
    ),
    facts=("{name} is {age} years old", "the {rel} is {k} times as old", "{y} years go by"),
    goal="what the sum of the two ages will be",
    steps=(
        Step(
            key="old",
            title="Find the age of the {rel} today",
            expression="{k} * {age}",
            unit="years",
            says="the {rel} is {value} years old",
            why="Being {k} times as old as {name} means {k} times {age} years.",
        ),
        Step(
            key="now",
            title="Add the ages of today",
            expression="{age} + {old}",
            unit="years",
            says="today the two ages add up to {value} years",
            why="The sum of today contains the {age} years of {name} and the {old} of the {rel}.",
        ),
        Step(
            key="growth",
            title="Find how much the sum grows",
            expression="2 * {y}",
            unit="years",
            says="the sum grows by {value} years",
            why="Both people get {y} years older, so the sum grows twice.",
        ),
        Step(
            key="sum",
            title="Add the growth",
            expression="{now} + {growth}",
            unit="years",
            says="the sum will be {value} years",
            why="The sum in {y} years is the sum of today plus what is gained by then.",
        ),
    ),
    conclusion="the two ages will add up to {value} years",
)

EVENTS = (TICKETS, PIZZA, PHONE, AGES)

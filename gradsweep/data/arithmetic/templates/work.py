"""Word problems about wages, budgets and the speed of work."""

from __future__ import annotations

from random import Random

from gradsweep.data.arithmetic.problem import Step, Template, Values


def _overtime(rng: Random) -> Values:
    place = rng.choice(["bakery", "garage", "warehouse", "library", "hotel", "garden center"])
    rate, normal, extra = rng.randrange(10, 26, 2), rng.randrange(30, 42, 2), rng.randint(3, 9)
    return {"place": place, "rate": rate, "normal": normal, "hours": normal + extra}


OVERTIME = Template(
    choose=_overtime,
    prompts=(
        "{name} works at a {place} for ${rate} per hour. Hours beyond {normal} in a week are paid "
        "one and a half times as much. How much does {name} earn in a week of {hours} hours?",
        "A {place} pays {name} ${rate} for each of the first {normal} hours of a week and 1.5 "
        "times that for every further hour. What does {she} earn for {hours} hours?",
    ),
    facts=(
        "normal pay: ${rate} per hour for up to {normal} hours",
        "overtime pay: 1.5 times the normal pay",
        "{hours} hours worked",
    ),
    goal="how much {name} earns in that week",
    steps=(
        Step(
            key="base",
            title="Calculate the pay for the normal hours",
            expression="{normal} * {rate}",
            unit="dollars",
            says="the normal hours bring in {value} dollars",
            why="The first {normal} hours are paid at the usual ${rate} per hour.",
        ),
        Step(
            key="extra",
            title="Count the overtime hours",
            expression="{hours} - {normal}",
            unit="hours",
            says="the overtime amounts to {value} hours",
            why="Only the hours after the first {normal} count as overtime.",
        ),
        Step(
            key="high",
            title="Find the overtime rate",
            expression="1.5 * {rate}",
            unit="dollars per hour",
            says="an hour of overtime is worth {value} dollars",
            why="One and a half times the normal ${rate} is paid for an hour of overtime.",
        ),
        Step(
            key="bonus",
            title="Calculate the overtime pay",
            expression="{extra} * {high}",
            unit="dollars",
            says="the overtime adds {value} dollars",
            why="There are {extra} such hours, and each of them brings ${high}.",
        ),
        Step(
            key="wage",
            title="Add both parts of the wage",
            expression="{base} + {bonus}",
            unit="dollars",
            says="the wage of the week is {value} dollars",
            why="Normal pay and overtime pay together make up the wage.",
        ),
    ),
    conclusion="{name} earns {value} dollars in that week",
)


def _machines(rng: Random) -> Values:
    thing = rng.choice(["bottles", "screws", "toys", "labels", "T-shirts", "bricks"])
    hours, slow, fast = rng.randint(2, 9), rng.randint(10, 40), rng.randint(12, 60)
    joint = rng.randint(3, 12)
    return {
        "thing": thing,
        "hours": hours,
        "made": slow * hours,
        "fast": fast,
        "order": (slow + fast) * joint,
    }


MACHINES = Template(
    choose=_machines,
    prompts=(
        "In {name}'s workshop the old machine makes {made} {thing} in {hours} hours and the new "
        "one makes {fast} {thing} per hour. How many hours do both together need for {order} "
        "{thing}?",
        "{name} runs two machines. One produces {made} {thing} in {hours} hours, the other {fast} "
        "{thing} every hour. How many hours does it take them to make {order} {thing} together?",
    ),
    facts=(
        "first machine: {made} {thing} in {hours} hours",
        "second machine: {fast} {thing} per hour",
        "{order} {thing} have to be made",
    ),
    goal="how many hours the two machines need",
    steps=(
        Step(
            key="slow",
            title="Find the hourly output of the first machine",
            expression="{made} / {hours}",
            unit="{thing} per hour",
            says="the first machine makes {value} {thing} per hour",
            why="Its output is given for {hours} hours, so dividing by {hours} gives the rate of "
            "one hour.",
        ),
        Step(
            key="both",
            title="Combine the two rates",
            expression="{slow} + {fast}",
            unit="{thing} per hour",
            says="together they make {value} {thing} per hour",
            why="Machines that run side by side add up what they make in the same hour.",
        ),
        Step(
            key="time",
            title="Divide the order by the joint rate",
            expression="{order} / {both}",
            unit="hours",
            says="the order takes {value} hours",
            why="The time is the size of the order, {order} {thing}, over the {both} that are "
            "finished in an hour.",
        ),
    ),
    conclusion="the two machines need {value} hours",
)


def _painting(rng: Random) -> Values:
    thing = rng.choice(["fence panels", "doors", "window frames", "shelves", "garden chairs"])
    each, count, pause = rng.randrange(10, 40, 5), rng.randint(6, 15), rng.randint(5, 20)
    breaks = rng.randint(2, 4)
    return {
        "thing": thing,
        "each": each,
        "count": count,
        "pause": pause,
        "breaks": breaks,
        "cleaning": rng.choice([10, 15, 20]),
    }


PAINTING = Template(
    choose=_painting,
    prompts=(
        "{name} paints {count} {thing}. Each takes {each} minutes. {She} also takes {breaks} "
        "breaks of {pause} minutes and spends {cleaning} minutes cleaning the brushes. How many "
        "minutes is {she} busy with all of it?",
        "Painting one of {count} {thing} takes {name} {each} minutes. With {breaks} breaks of "
        "{pause} minutes each and {cleaning} minutes of cleaning at the end, how many minutes go "
        "by from start to finish?",
    ),
    facts=(
        "{count} {thing}, {each} minutes each",
        "{breaks} breaks of {pause} minutes",
        "{cleaning} minutes of cleaning",
    ),
    goal="how many minutes pass from start to finish",
    steps=(
        Step(
            key="paint",
            title="Calculate the time spent painting",
            expression="{count} * {each}",
            unit="minutes",
            says="the painting itself takes {value} minutes",
            why="All {count} {thing} need the same {each} minutes, so one product is enough.",
        ),
        Step(
            key="rest",
            title="Calculate the time spent on breaks",
            expression="{breaks} * {pause}",
            unit="minutes",
            says="the breaks last {value} minutes in all",
            why="{name} rests {breaks} times, for {pause} minutes each time.",
        ),
        Step(
            key="whole",
            title="Add up all the parts",
            expression="{paint} + {rest} + {cleaning}",
            unit="minutes",
            says="everything together takes {value} minutes",
            why="Painting, breaks and the {cleaning} minutes of cleaning follow one another, so "
            "their times are added.",
        ),
    ),
    conclusion="the whole job takes {value} minutes",
)


def _budget(rng: Random) -> Values:
    parts = rng.choice([3, 4, 5])
    percent = rng.choice([10, 20, 30])
    income = parts * 10 * rng.randint(20, 60)
    return {"income": income, "parts": parts, "percent": percent, "bus": rng.randrange(40, 90, 5)}


BUDGET = Template(
    choose=_budget,
    prompts=(
        "{name} earns ${income} a month. Of this income 1/{parts} goes to rent and {percent}% goes "
        "to food, and a bus pass costs ${bus}. How much is left each month?",
        "From a monthly income of ${income}, {name} pays 1/{parts} as rent, spends {percent}% on "
        "food and buys a bus pass for ${bus}. How many dollars does {she} have left?",
    ),
    facts=(
        "income: ${income} a month",
        "rent: 1/{parts} of the income",
        "food: {percent}% of the income",
        "bus pass: ${bus}",
    ),
    goal="how much money {name} has left each month",
    steps=(
        Step(
            key="rent",
            title="Find the rent",
            expression="{income} / {parts}",
            unit="dollars",
            says="the rent is {value} dollars",
            why="The rent is one of {parts} equal parts of the income of ${income}.",
        ),
        Step(
            key="food",
            title="Find the cost of food",
            expression="{percent} / 100 * {income}",
            unit="dollars",
            says="food costs {value} dollars",
            why="The share of {percent} percent refers to the whole income, not to what remains "
            "after the rent.",
        ),
        Step(
            key="spent",
            title="Add up the expenses",
            expression="{rent} + {food} + {bus}",
            unit="dollars",
            says="the expenses are {value} dollars",
            why="Rent, food and the bus pass of ${bus} are all paid from the same income.",
        ),
        Step(
            key="left",
            title="Subtract the expenses from the income",
            expression="{income} - {spent}",
            unit="dollars",
            says="what remains is {value} dollars",
            why="Whatever is not spent stays with {name}.",
        ),
    ),
    conclusion="{name} has {value} dollars left each month",
)

WORK = (OVERTIME, MACHINES, PAINTING, BUDGET)

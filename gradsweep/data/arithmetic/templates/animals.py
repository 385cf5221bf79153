"""Word problems about zoos, hives, dogs and shelters."""

from __future__ import annotations

from random import Random

from gradsweep.data.arithmetic.problem import Step, Template, Values


def _zoo(rng: Random) -> Values:
    animal, food = rng.choice(
        [("elephants", "hay"), ("seals", "fish"), ("bears", "fruit"), ("lions", "meat")]
    )
    n, daily, days = rng.randint(3, 9), rng.randint(4, 25), rng.randint(3, 20)
    return {"animal": animal, "food": food, "n": n, "kg": daily, "stock": n * daily * days}


ZOO = Template(
    choose=_zoo,
    prompts=(
        "{name} feeds {n} {animal} at the zoo. Each of them eats {kg} kilograms of {food} a day. "
        "There are {stock} kilograms of {food} in store. How many days will that last?",
        "A zoo has {stock} kilograms of {food} for its {n} {animal}. {name} gives every animal "
        "{kg} kilograms a day. For how many days is there enough {food}?",
    ),
    facts=(
        "{n} {animal}",
        "{kg} kilograms of {food} a day for each",
        "{stock} kilograms in store",
    ),
    goal="how many days the {food} lasts",
    steps=(
        Step(
            key="daily",
            title="Calculate what is eaten in one day",
            expression="{n} * {kg}",
            unit="kilograms",
            says="one day uses up {value} kilograms",
            why="All {n} {animal} eat the same amount of {food}, namely {kg} kilograms each. The "
            "amount for one day is the number of animals times what one of them eats.",
        ),
        Step(
            key="days",
            title="Divide the store by the daily amount",
            expression="{stock} / {daily}",
            unit="days",
            says="the store is good for {value} days",
            why="Every day takes {daily} kilograms away from the {stock} kilograms. The number of "
            "days is therefore how many times {daily} goes into {stock}.",
        ),
    ),
    conclusion="the {food} lasts for {value} days",
)


def _hives(rng: Random) -> Values:
    product = rng.choice(["acacia honey", "clover honey", "forest honey", "linden honey"])
    hives, jars = rng.randint(4, 19), rng.randint(8, 35)
    return {"product": product, "hives": hives, "jars": jars, "kept": rng.randint(5, 28)}


HIVES = Template(
    choose=_hives,
    prompts=(
        "{name} keeps {hives} hives of bees. Each hive gives {jars} jars of {product} this year. "
        "{She} keeps {kept} jars for {her} family and sells the others. How many jars does {she} "
        "sell?",
        "This summer every one of {name}'s {hives} hives fills {jars} jars with {product}. After "
        "{kept} jars have been given away as presents, how many jars can {she} still sell?",
    ),
    facts=("{hives} hives", "{jars} jars from each hive", "{kept} jars are not for sale"),
    goal="how many jars {name} can sell",
    steps=(
        Step(
            key="all",
            title="Count the jars from all hives",
            expression="{hives} * {jars}",
            unit="jars",
            says="the hives fill {value} jars",
            why="Each hive fills {jars} jars, and there are {hives} hives. Adding {jars} again and "
            "again, once for every hive, is the same as one multiplication.",
        ),
        Step(
            key="sold",
            title="Subtract the jars that are not for sale",
            expression="{all} - {kept}",
            unit="jars",
            says="there are {value} jars left to sell",
            why="Out of the {all} jars, {kept} do not reach the market, because they are kept or "
            "given away. Only the difference can be sold.",
        ),
    ),
    conclusion="{name} can sell {value} jars",
)


def _walking(rng: Random) -> Values:
    shelter = rng.choice(["an animal shelter", "a rescue station", "a nature club"])
    dogs, walks, price, weeks = (rng.randint(*ends) for ends in ((2, 5), (2, 6), (4, 9), (3, 8)))
    income = dogs * walks * price * weeks
    cost = rng.randrange(6, 40, 2) + income % 2  # so that half of the rest is whole
    return {"shelter": shelter, "n": dogs, "m": walks, "p": price, "w": weeks, "cost": cost}


WALKING = Template(
    choose=_walking,
    prompts=(
        "{name} walks {n} dogs {m} times a week and gets ${p} per dog for each walk. After {w} "
        "weeks {she} pays ${cost} for leashes and gives half of the rest to {shelter}. How much "
        "does {she} give?",
        "For every walk with a dog {name} earns ${p}. {She} walks each of {n} dogs {m} times a "
        "week for {w} weeks. Leashes cost {name} ${cost}, and half of what remains goes to "
        "{shelter}. How many dollars is that?",
    ),
    facts=(
        "{n} dogs, {m} walks a week with each",
        "${p} for a walk with one dog",
        "{w} weeks",
        "${cost} for leashes",
    ),
    goal="how much {name} gives to {shelter}",
    steps=(
        Step(
            key="walks",
            title="Count the walks of one week",
            expression="{n} * {m}",
            unit="walks",
            says="a week has {value} walks",
            why="Each of the {n} dogs is walked {m} times.",
        ),
        Step(
            key="week",
            title="Find the income of one week",
            expression="{walks} * {p}",
            unit="dollars",
            says="a week brings {value} dollars",
            why="Every one of the {walks} walks is paid with ${p}.",
        ),
        Step(
            key="income",
            title="Find the income of all weeks",
            expression="{week} * {w}",
            unit="dollars",
            says="all weeks bring {value} dollars",
            why="The income of ${week} comes in {w} times.",
        ),
        Step(
            key="rest",
            title="Pay for the leashes",
            expression="{income} - {cost}",
            unit="dollars",
            says="after the leashes there are {value} dollars",
            why="The leashes cost ${cost}, which is taken from the income.",
        ),
        Step(
            key="gift",
            title="Take half of the rest",
            expression="{rest} / 2",
            unit="dollars",
            says="half of that is {value} dollars",
            why="Half of the remaining ${rest} is given away.",
        ),
    ),
    conclusion="{name} gives {value} dollars to {shelter}",
)


def _shelter(rng: Random) -> Values:
    parts, part = rng.choice([3, 4, 5]), rng.randint(3, 12)
    return {"all": parts * part, "parts": parts, "c": rng.randint(2, 4), "d": rng.randint(3, 6)}


SHELTER = Template(
    choose=_shelter,
    prompts=(
        "{name} cares for {all} animals. 1/{parts} of them are cats and the others are dogs. A cat "
        "eats {c} cans a day and a dog eats {d}. How many cans does {name} need for one day?",
        "Of the {all} animals in {name}'s shelter 1/{parts} are cats, and all the others are dogs. "
        "With {c} cans a day for every cat and {d} for every dog, how many cans are opened in a "
        "day?",
    ),
    facts=(
        "{all} animals, 1/{parts} of them cats",
        "{c} cans a day for a cat",
        "{d} cans a day for a dog",
    ),
    goal="how many cans are needed for one day",
    steps=(
        Step(
            key="cats",
            title="Count the cats",
            expression="{all} / {parts}",
            unit="cats",
            says="the shelter has {value} cats",
            why="One of {parts} equal parts of the {all} animals consists of cats.",
        ),
        Step(
            key="dogs",
            title="Count the dogs",
            expression="{all} - {cats}",
            unit="dogs",
            says="the shelter has {value} dogs",
            why="Every animal that is not one of the {cats} cats is a dog.",
        ),
        Step(
            key="a",
            title="Count the cans for the cats",
            expression="{cats} * {c}",
            unit="cans",
            says="the cats eat {value} cans",
            why="Each of the {cats} cats eats {c} cans in a day.",
        ),
        Step(
            key="b",
            title="Count the cans for the dogs",
            expression="{dogs} * {d}",
            unit="cans",
            says="the dogs eat {value} cans",
            why="Each of the {dogs} dogs eats {d} cans in a day.",
        ),
        Step(
            key="all_cans",
            title="Add the two numbers",
            expression="{a} + {b}",
            unit="cans",
            says="in all that makes {value} cans",
            why="Cats and dogs are fed on the same day, so their cans are added.",
        ),
    ),
    conclusion="{name} needs {value} cans for one day",
)

ANIMALS = (ZOO, HIVES, WALKING, SHELTER)

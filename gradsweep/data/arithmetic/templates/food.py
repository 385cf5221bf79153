"""Word problems about baking, cooking, eggs and fruit."""

from __future__ import annotations

from random import Random

from gradsweep.data.arithmetic.problem import Step, Template, Values


def _bakery(rng: Random) -> Values:
    item = rng.choice(["cookies", "muffins", "rolls", "pretzels", "scones", "tarts"])
    box, boxes, trays = rng.randint(4, 9), rng.randint(5, 14), rng.randint(3, 8)
    spoiled = 2 + (-box * boxes - 2) % trays  # at least 2, and every tray holds equally many
    per_tray = (box * boxes + spoiled) // trays
    return {
        "item": item,
        "trays": trays,
        "tray": per_tray,
        "bad": spoiled,
        "box": box,
        "p": rng.randint(3, 12),
    }


BAKERY = Template(
    choose=_bakery,
    prompts=(
        "{name} bakes {trays} trays of {tray} {item}. Of these, {bad} turn out burnt and are "
        "thrown away. The others are packed in boxes of {box} and sold for ${p} a box. How much "
        "money does {she} take in?",
        "In {name}'s bakery {trays} trays with {tray} {item} each come out of the oven, but {bad} "
        "{item} cannot be sold. The good ones go into boxes of {box} at ${p} per box. What do all "
        "the boxes bring in?",
    ),
    facts=(
        "{trays} trays of {tray} {item}",
        "number of {item} lost: {bad}",
        "boxes of {box}, sold at ${p} each",
    ),
    goal="how much money the {item} bring in",
    steps=(
        Step(
            key="baked",
            title="Count everything that is baked",
            expression="{trays} * {tray}",
            unit="{item}",
            says="the trays hold {value} {item}",
            why="Each of the {trays} trays carries {tray} {item}, so we multiply.",
        ),
        Step(
            key="good",
            title="Remove what cannot be sold",
            expression="{baked} - {bad}",
            unit="{item}",
            says="there are {value} {item} good enough to sell",
            why="The {bad} that failed are taken away from the {baked} that were baked.",
        ),
        Step(
            key="boxes",
            title="Count the boxes",
            expression="{good} / {box}",
            unit="boxes",
            says="this fills {value} boxes",
            why="Every box takes {box} of the {good} {item}, so we divide.",
        ),
        Step(
            key="money",
            title="Multiply by the price of a box",
            expression="{boxes} * {p}",
            unit="dollars",
            says="the boxes sell for {value} dollars",
            why="All {boxes} boxes are sold, and each of them brings ${p}.",
        ),
    ),
    conclusion="the {item} bring in {value} dollars",
)


def _recipe(rng: Random) -> Values:
    dish = rng.choice(["soup", "curry", "stew", "pasta salad", "chili", "porridge"])
    ing = rng.choice(["beans", "lentils", "carrots", "potatoes", "noodles", "peas"])
    serves, oz, per_bag, bags = (
        rng.randint(2, 6),
        rng.randint(4, 15),
        rng.randint(2, 4),
        rng.randint(2, 5),
    )
    return {
        "dish": dish,
        "ing": ing,
        "serves": serves,
        "people": serves * per_bag * bags,
        "oz": oz,
        "bag": oz * per_bag,
        "p": rng.randint(2, 7),
    }


RECIPE = Template(
    choose=_recipe,
    prompts=(
        "A recipe for {dish} serves {serves} people and needs {oz} ounces of {ing}. {name} cooks "
        "for {people} people. The {ing} come in bags of {bag} ounces at ${p} each. What does "
        "{she} pay for the bags?",
        "{name} makes {dish} for {people} people from a recipe for {serves} that asks for {oz} "
        "ounces of {ing}. A bag with {bag} ounces costs ${p}. How many dollars do the bags that "
        "{she} needs cost?",
    ),
    facts=(
        "the recipe serves {serves} people with {oz} ounces of {ing}",
        "{people} people will eat",
        "a bag holds {bag} ounces and costs ${p}",
    ),
    goal="how much {name} pays for the bags",
    steps=(
        Step(
            key="times",
            title="Find how often the recipe is made",
            expression="{people} / {serves}",
            unit="batches",
            says="{name} cooks {value} batches",
            why="One batch feeds {serves} people, and there are {people} of them to feed.",
        ),
        Step(
            key="need",
            title="Scale the ingredient",
            expression="{times} * {oz}",
            unit="ounces",
            says="all batches need {value} ounces",
            why="Every batch takes {oz} ounces, so the amount grows with the number of batches.",
        ),
        Step(
            key="bags",
            title="Count the bags",
            expression="{need} / {bag}",
            unit="bags",
            says="that makes {value} bags",
            why="A bag holds {bag} ounces, and {need} ounces have to be bought.",
        ),
        Step(
            key="cost",
            title="Price the bags",
            expression="{bags} * {p}",
            unit="dollars",
            says="the bags cost {value} dollars",
            why="Each of the {bags} bags is sold for ${p}.",
        ),
    ),
    conclusion="{name} pays {value} dollars for the bags",
)


def _eggs(rng: Random) -> Values:
    hens, days = rng.randint(6, 24), rng.randint(6, 14)
    dozens = hens * days // 12
    sold = rng.randint(dozens * 2 // 3, dozens - 1)
    return {"hens": hens, "days": days, "used": hens * days - 12 * sold, "p": rng.randint(3, 8)}


EGGS = Template(
    choose=_eggs,
    prompts=(
        "{name} has {hens} hens, and each lays one egg a day. In {days} days {her} family uses "
        "{used} of the eggs. {She} sells the others by the dozen for ${p}. How much does {she} "
        "earn?",
        "On {name}'s farm every one of {hens} hens lays an egg each day. After {days} days, {used} "
        "eggs have been eaten and the remaining ones are sold at ${p} per dozen. How many dollars "
        "does {name} make?",
    ),
    facts=(
        "{hens} hens with one egg a day each",
        "{days} days",
        "{used} eggs are used at home",
        "${p} for a dozen, which is 12 eggs",
    ),
    goal="how much {name} earns with the eggs",
    steps=(
        Step(
            key="laid",
            title="Count the eggs that are laid",
            expression="{hens} * {days}",
            unit="eggs",
            says="the hens lay {value} eggs",
            why="Every day brings as many eggs as there are hens, and this happens on {days} days.",
        ),
        Step(
            key="rest",
            title="Subtract the eggs used at home",
            expression="{laid} - {used}",
            unit="eggs",
            says="there are {value} eggs to sell",
            why="The {used} eggs that the family uses cannot be sold.",
        ),
        Step(
            key="dozens",
            title="Group the eggs into dozens",
            expression="{rest} / 12",
            unit="dozen",
            says="this makes {value} dozen",
            why="A dozen is 12 eggs, so the {rest} eggs are divided into groups of 12.",
        ),
        Step(
            key="money",
            title="Multiply by the price of a dozen",
            expression="{dozens} * {p}",
            unit="dollars",
            says="the sale brings in {value} dollars",
            why="Every dozen is sold for ${p}, and there are {dozens} of them.",
        ),
    ),
    conclusion="{name} earns {value} dollars with the eggs",
)


def _orchard(rng: Random) -> Values:
    fruit = rng.choice(["apples", "pears", "oranges", "peaches", "lemons", "plums"])
    trees, each = rng.randrange(5, 30, 5), rng.randrange(40, 130, 20)
    return {"fruit": fruit, "trees": trees, "each": each, "percent": rng.choice([10, 20, 30, 40])}


ORCHARD = Template(
    choose=_orchard,
    prompts=(
        "{name} has {trees} trees, and each carries {each} {fruit}. A storm ruins {percent}% of "
        "all the {fruit}. How many {fruit} can {she} still harvest?",
        "In an orchard with {trees} trees, {name} counts {each} {fruit} per tree. Birds eat "
        "{percent}% of them before the harvest. How many {fruit} are left for {name}?",
    ),
    facts=("{trees} trees", "{each} {fruit} on each tree", "{percent}% of them are lost"),
    goal="how many {fruit} are left",
    steps=(
        Step(
            key="all",
            title="Count the fruit on all trees",
            expression="{trees} * {each}",
            unit="{fruit}",
            says="the trees carry {value} {fruit}",
            why="Every one of the {trees} trees carries {each} {fruit}, so we multiply.",
        ),
        Step(
            key="lost",
            title="Calculate the loss",
            expression="{percent} / 100 * {all}",
            unit="{fruit}",
            says="the loss is {value} {fruit}",
            why="Out of every hundred {fruit}, {percent} are lost, so we take {percent} hundredths "
            "of {all}.",
        ),
        Step(
            key="left",
            title="Subtract the loss",
            expression="{all} - {lost}",
            unit="{fruit}",
            says="the harvest is {value} {fruit}",
            why="The {fruit} that were not lost are what remains of the {all}.",
        ),
    ),
    conclusion="there are {value} {fruit} left",
)

FOOD = (BAKERY, RECIPE, EGGS, ORCHARD)

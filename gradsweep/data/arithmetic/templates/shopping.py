"""Word problems about buying, saving and paying."""

from __future__ import annotations

from random import Random

from gradsweep.data.arithmetic.problem import Step, Template, Values


def _change(rng: Random) -> Values:
    first, second = rng.sample(["notebooks", "scarves", "candles", "posters", "mugs", "puzzles"], 2)
    n, price = rng.randint(2, 9), rng.randint(3, 14)
    m, other_price = rng.randint(2, 9), rng.randint(2, 11)
    cash = (n * price + m * other_price) // 10 * 10 + rng.choice([20, 30, 40, 50])
    return {
        "first": first,
        "second": second,
        "n": n,
        "m": m,
        "p": price,
        "q": other_price,
        "cash": cash,
    }


CHANGE = Template(
    choose=_change,
    prompts=(
        "{name} buys {n} {first} for ${p} each and {m} {second} for ${q} each. {She} pays with "
        "${cash} in cash. How much change does {she} get?",
        "At the market, {first} cost ${p} each and {second} cost ${q} each. {name} takes {n} "
        "{first} and {m} {second} and hands over ${cash}. How many dollars does {she} get back?",
    ),
    facts=("{n} {first} at ${p} each", "{m} {second} at ${q} each", "${cash} paid in cash"),
    goal="how much change {name} gets",
    steps=(
        Step(
            key="a",
            title="Find the cost of the {first}",
            expression="{n} * {p}",
            unit="dollars",
            says="the {first} cost {value} dollars",
            why="{name} takes {n} {first}, and every one of them costs ${p}. Multiplying the "
            "number of items by the price of one gives their cost.",
        ),
        Step(
            key="b",
            title="Find the cost of the {second}",
            expression="{m} * {q}",
            unit="dollars",
            says="the {second} cost {value} dollars",
            why="The same idea works for the {second}: there are {m} of them at ${q} each.",
        ),
        Step(
            key="bill",
            title="Add the two amounts",
            expression="{a} + {b}",
            unit="dollars",
            says="the whole bill is {value} dollars",
            why="The bill holds both the {first} and the {second}, so the two costs are added.",
        ),
        Step(
            key="change",
            title="Subtract the bill from the cash",
            expression="{cash} - {bill}",
            unit="dollars",
            says="the change is {value} dollars",
            why="{name} hands over ${cash}, and whatever the bill does not use up comes back.",
        ),
    ),
    conclusion="{name} gets {value} dollars in change",
)


def _discount(rng: Random) -> Values:
    item = rng.choice(["lamps", "backpacks", "chairs", "jackets", "board games", "headsets"])
    n, price, fee = rng.randint(2, 8), rng.randrange(20, 100, 10), rng.randint(4, 15)
    return {"item": item, "n": n, "p": price, "percent": rng.choice([10, 20, 30, 40]), "fee": fee}


DISCOUNT = Template(
    choose=_discount,
    prompts=(
        "{name} orders {n} {item} that cost ${p} each. The shop takes {percent}% off the whole "
        "order and then adds ${fee} for delivery. How much does {she} pay?",
        "An online shop sells {item} for ${p} each. {name} orders {n} of them with a coupon for "
        "{percent}% off. Delivery adds ${fee}. What is the total that {she} has to pay?",
    ),
    facts=(
        "{n} {item} at ${p} each",
        "a discount of {percent}% on the goods",
        "${fee} for delivery, which is not discounted",
    ),
    goal="how much {name} pays for the order",
    steps=(
        Step(
            key="full",
            title="Compute the full price",
            expression="{n} * {p}",
            unit="dollars",
            says="at full price the {item} cost {value} dollars",
            why="Before any reduction, {n} {item} at ${p} each have to be paid in full.",
        ),
        Step(
            key="off",
            title="Compute the discount",
            expression="{percent} / 100 * {full}",
            unit="dollars",
            says="the discount is {value} dollars",
            why="A discount of {percent} percent means {percent} dollars off for every 100 "
            "dollars, so we take that many hundredths of the full price.",
        ),
        Step(
            key="reduced",
            title="Take the discount off",
            expression="{full} - {off}",
            unit="dollars",
            says="the reduced price is {value} dollars",
            why="The discount lowers the price, so it is subtracted from ${full}.",
        ),
        Step(
            key="paid",
            title="Add the delivery fee",
            expression="{reduced} + {fee}",
            unit="dollars",
            says="with delivery the order comes to {value} dollars",
            why="Delivery is charged separately and costs ${fee}, whatever the discount.",
        ),
    ),
    conclusion="{name} pays {value} dollars for the order",
)


def _saving(rng: Random) -> Values:
    item = rng.choice(["bicycle", "guitar", "tablet", "tent", "camera", "telescope"])
    net, weeks, spent = rng.randint(4, 15), rng.randint(3, 14), rng.randint(3, 12)
    saved = rng.randrange(20, 95, 5)
    price = saved + net * weeks
    return {"item": item, "price": price, "saved": saved, "earned": net + spent, "spent": spent}


SAVING = Template(
    choose=_saving,
    prompts=(
        "{name} wants a {item} that costs ${price} and has already saved ${saved}. Each week "
        "{she} earns ${earned} and spends ${spent} of it. In how many weeks can {she} buy it?",
        "A {item} costs ${price}. {name} has ${saved} and gets ${earned} a week for chores, of "
        "which {she} spends ${spent}. How many weeks must {she} save?",
    ),
    facts=(
        "price of the {item}: ${price}",
        "money already saved: ${saved}",
        "each week: ${earned} earned, ${spent} spent",
    ),
    goal="how many weeks {name} has to save",
    steps=(
        Step(
            key="missing",
            title="Find the money that is still missing",
            expression="{price} - {saved}",
            unit="dollars",
            says="{name} still needs {value} dollars",
            why="The {item} costs ${price}, and ${saved} of that is already there.",
        ),
        Step(
            key="net",
            title="Find the savings of one week",
            expression="{earned} - {spent}",
            unit="dollars",
            says="every week {name} keeps {value} dollars",
            why="Each week brings in ${earned}, but ${spent} of it is spent again, so only the "
            "difference is added to the savings.",
        ),
        Step(
            key="weeks",
            title="Divide the missing money by the weekly savings",
            expression="{missing} / {net}",
            unit="weeks",
            says="saving the rest takes {value} weeks",
            why="The savings grow by the same ${net} every week, so the number of weeks is how "
            "often that amount fits into ${missing}.",
        ),
    ),
    conclusion="{name} has to save for {value} weeks",
)


def _packs(rng: Random) -> Values:
    item = rng.choice(["batteries", "pens", "tennis balls", "light bulbs", "markers", "envelopes"])
    size, packs, single = rng.choice([4, 6, 8, 10, 12]), rng.randint(2, 9), rng.randint(2, 6)
    pack = size * single - rng.randint(2, min(9, size))
    return {"item": item, "size": size, "need": size * packs, "single": single, "pack": pack}


PACKS = Template(
    choose=_packs,
    prompts=(
        "{name} needs {need} {item}. A pack of {size} costs ${pack}, and a single one costs "
        "${single}. How much does {name} save by buying packs instead of single {item}?",
        "A store sells {item} for ${single} each or in packs of {size} for ${pack}. {name} wants "
        "{need} of them. How many dollars does {she} save by taking packs?",
    ),
    facts=("{need} {item} are needed", "a pack of {size} costs ${pack}", "a single one: ${single}"),
    goal="how much {name} saves by buying packs",
    steps=(
        Step(
            key="packs",
            title="Count the packs",
            expression="{need} / {size}",
            unit="packs",
            says="{name} needs {value} packs",
            why="One pack holds {size} {item}, and {need} of them are needed, so we divide.",
        ),
        Step(
            key="cheap",
            title="Price the packs",
            expression="{packs} * {pack}",
            unit="dollars",
            says="the packs cost {value} dollars",
            why="Each of the {packs} packs costs ${pack}, so the price is their product.",
        ),
        Step(
            key="dear",
            title="Price the single items",
            expression="{need} * {single}",
            unit="dollars",
            says="single {item} would cost {value} dollars",
            why="Bought one at a time, all {need} {item} would be charged at ${single} each.",
        ),
        Step(
            key="saved",
            title="Compare the two prices",
            expression="{dear} - {cheap}",
            unit="dollars",
            says="the packs are cheaper by {value} dollars",
            why="The saving is the gap between the higher price and the lower one.",
        ),
    ),
    conclusion="{name} saves {value} dollars by buying packs",
)

SHOPPING = (CHANGE, DISCOUNT, SAVING, PACKS)

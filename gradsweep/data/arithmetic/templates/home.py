"""Word problems about fences, floors, water and plants."""

from __future__ import annotations

from random import Random

from gradsweep.data.arithmetic.problem import Step, Template, Values


def _fence(rng: Random) -> Values:
    place = rng.choice(["garden", "chicken run", "playground", "vegetable patch", "meadow"])
    width, longer, gate = rng.randint(5, 20), rng.randint(2, 15), rng.randint(2, 4)
    return {"place": place, "w": width, "l": width + longer, "gate": gate, "p": rng.randint(3, 12)}


FENCE = Template(
    choose=_fence,
    prompts=(
        "{name} puts a fence around a rectangular {place} that is {l} meters long and {w} meters "
        "wide. A gate of {gate} meters needs no fence. Fence costs ${p} per meter. How much does "
        "{she} pay?",
        "A rectangular {place} measures {l} by {w} meters. {name} fences it in, except for an "
        "opening of {gate} meters. What is the cost in dollars at ${p} per meter of fence?",
    ),
    facts=(
        "length {l} meters and width {w} meters",
        "{gate} meters stay open",
        "${p} for a meter of fence",
    ),
    goal="how much the fence costs",
    steps=(
        Step(
            key="around",
            title="Find the perimeter",
            expression="2 * ({l} + {w})",
            unit="meters",
            says="the perimeter is {value} meters",
            why="A rectangle has two sides of {l} meters and two sides of {w} meters.",
        ),
        Step(
            key="need",
            title="Leave out the opening",
            expression="{around} - {gate}",
            unit="meters",
            says="the fence is {value} meters long",
            why="No fence is needed for the {gate} meters that stay open.",
        ),
        Step(
            key="cost",
            title="Multiply by the price of a meter",
            expression="{need} * {p}",
            unit="dollars",
            says="the fence costs {value} dollars",
            why="Every one of the {need} meters is charged at ${p}.",
        ),
    ),
    conclusion="{name} pays {value} dollars for the fence",
)


def _tiles(rng: Random) -> Values:
    room = rng.choice(["kitchen", "bathroom", "hallway", "balcony", "laundry room"])
    length, width = rng.randint(3, 9), rng.choice([4, 6, 8])
    per_box = rng.choice([6, 8, 12])
    tiles = length * width * 3
    spare = 2 + (-tiles - 2) % per_box  # so that the boxes come out even
    return {"room": room, "l": length, "w": width, "spare": spare, "box": per_box}


TILES = Template(
    choose=_tiles,
    prompts=(
        "The floor of {name}'s {room} is {l} yards long and {w} yards wide. A square yard takes 3 "
        "tiles, and {she} wants {spare} spare tiles. Tiles come in boxes of {box}. How many boxes "
        "does {name} buy?",
        "{name} tiles a {room} of {l} by {w} yards with 3 tiles for every square yard and keeps "
        "{spare} extra tiles for repairs. How many boxes of {box} tiles does {she} need?",
    ),
    facts=(
        "a floor of {l} by {w} yards",
        "3 tiles for each square yard",
        "{spare} spare tiles",
        "{box} tiles in a box",
    ),
    goal="how many boxes of tiles {name} needs",
    steps=(
        Step(
            key="area",
            title="Calculate the area",
            expression="{l} * {w}",
            unit="square yards",
            says="the floor has {value} square yards",
            why="The area of a rectangle is its length times its width.",
        ),
        Step(
            key="tiles",
            title="Count the tiles for the floor",
            expression="{area} * 3",
            unit="tiles",
            says="the floor takes {value} tiles",
            why="Each of the {area} square yards is covered by 3 tiles.",
        ),
        Step(
            key="all",
            title="Add the spare tiles",
            expression="{tiles} + {spare}",
            unit="tiles",
            says="with the spare ones this makes {value} tiles",
            why="The {spare} spare tiles are bought along with those for the floor.",
        ),
        Step(
            key="boxes",
            title="Divide by the size of a box",
            expression="{all} / {box}",
            unit="boxes",
            says="they come in {value} boxes",
            why="Since {box} tiles fill a box, we divide the {all} tiles by {box}.",
        ),
    ),
    conclusion="{name} needs {value} boxes of tiles",
)


def _tank(rng: Random) -> Values:
    thing = rng.choice(["pool", "rain barrel", "fish tank", "fountain", "bathtub", "water tank"])
    leak, net, minutes = rng.randint(2, 6), rng.randint(3, 15), rng.randint(8, 40)
    inside = rng.randrange(10, 90, 5)
    return {
        "thing": thing,
        "full": inside + net * minutes,
        "inside": inside,
        "flow": net + leak,
        "leak": leak,
    }


TANK = Template(
    choose=_tank,
    prompts=(
        "{name}'s {thing} holds {full} liters and has {inside} liters of water in it. A hose adds "
        "{flow} liters per minute, but {leak} liters per minute leak out. How many minutes does "
        "it take to fill the {thing}?",
        "A {thing} for {full} liters already contains {inside} liters. {name} lets in {flow} "
        "liters every minute while a crack loses {leak} liters every minute. After how many "
        "minutes is the {thing} full?",
    ),
    facts=(
        "the {thing} holds {full} liters",
        "{inside} liters are in it",
        "{flow} liters per minute flow in",
        "{leak} liters per minute are lost",
    ),
    goal="how many minutes it takes to fill the {thing}",
    steps=(
        Step(
            key="missing",
            title="Find how much water is missing",
            expression="{full} - {inside}",
            unit="liters",
            says="the {thing} still takes {value} liters",
            why="There is room for {full} liters, of which {inside} are filled already.",
        ),
        Step(
            key="net",
            title="Find the net flow",
            expression="{flow} - {leak}",
            unit="liters per minute",
            says="the water rises by {value} liters per minute",
            why="In each minute {flow} liters arrive and {leak} liters escape.",
        ),
        Step(
            key="time",
            title="Divide the volume by the net flow",
            expression="{missing} / {net}",
            unit="minutes",
            says="the filling takes {value} minutes",
            why="At {net} liters per minute, the {missing} liters need as many minutes as {net} "
            "goes into {missing}.",
        ),
    ),
    conclusion="it takes {value} minutes to fill the {thing}",
)


def _plant(rng: Random) -> Values:
    plant = rng.choice(["sunflower", "bean plant", "bamboo", "tomato plant", "hop vine", "sapling"])
    slow, weeks = rng.randint(2, 9), rng.randint(2, 8)
    return {"plant": plant, "h": rng.randint(4, 30), "a": slow, "m": weeks, "k": rng.randint(2, 6)}


PLANT = Template(
    choose=_plant,
    prompts=(
        "{name}'s {plant} is {h} centimeters tall. For {m} weeks it grows {a} centimeters a week, "
        "and in the {k} weeks after that it grows twice as fast. How tall is it in the end?",
        "A {plant} that {name} planted has reached {h} centimeters. It gains {a} centimeters a "
        "week for {m} weeks and then double that for {k} weeks. How many centimeters tall is it "
        "then?",
    ),
    facts=(
        "a height of {h} centimeters now",
        "{m} weeks with {a} centimeters a week",
        "{k} weeks with twice as much",
    ),
    goal="how tall the {plant} is in the end",
    steps=(
        Step(
            key="first",
            title="Find the growth of the first weeks",
            expression="{m} * {a}",
            unit="centimeters",
            says="the slow weeks add {value} centimeters",
            why="The {plant} grows the same {a} centimeters in each of {m} weeks.",
        ),
        Step(
            key="second",
            title="Find the growth of the later weeks",
            expression="{k} * 2 * {a}",
            unit="centimeters",
            says="the fast weeks add {value} centimeters",
            why="Twice as fast means 2 times {a} centimeters a week, and this goes on for {k} "
            "weeks.",
        ),
        Step(
            key="height",
            title="Add the growth to the height",
            expression="{h} + {first} + {second}",
            unit="centimeters",
            says="the {plant} reaches {value} centimeters",
            why="What the {plant} gains comes on top of the {h} centimeters it has now.",
        ),
    ),
    conclusion="the {plant} is {value} centimeters tall in the end",
)

HOME = (FENCE, TILES, TANK, PLANT)

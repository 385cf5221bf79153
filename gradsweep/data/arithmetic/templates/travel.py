"""Word problems about distance, speed, time and passengers."""

from __future__ import annotations

from random import Random

from gradsweep.data.arithmetic.problem import Step, Template, Values


def _legs(rng: Random) -> Values:
    first, second = rng.randint(2, 5), rng.randint(2, 5)
    speed, other_speed = rng.randrange(40, 75, 5), rng.randrange(45, 95, 5)
    hours, last = rng.randint(2, 4), rng.randrange(30, 80, 5)
    total = first * speed + second * other_speed + hours * last
    vehicle = rng.choice(["car", "van", "truck", "camper"])
    return {
        "h": first,
        "v": speed,
        "k": second,
        "w": other_speed,
        "total": total,
        "hours": hours,
        "vehicle": vehicle,
    }


LEGS = Template(
    choose=_legs,
    prompts=(
        "{name} has a trip of {total} miles ahead. {She} drives {h} hours at {v} miles per hour "
        "and {k} hours at {w} miles per hour. At what speed must {she} drive to finish the rest "
        "in {hours} hours?",
        "A {vehicle} driven by {name} covers {h} hours at {v} miles per hour, then {k} hours at "
        "{w} miles per hour. The route is {total} miles long and {hours} hours remain. How many "
        "miles per hour are needed now?",
    ),
    facts=(
        "the whole trip is {total} miles",
        "{h} hours at {v} miles per hour",
        "{k} hours at {w} miles per hour",
        "{hours} hours for the rest",
    ),
    goal="what speed {name} needs for the rest of the trip",
    steps=(
        Step(
            key="a",
            title="Calculate the first distance",
            expression="{h} * {v}",
            unit="miles",
            says="the first part covers {value} miles",
            why="At a constant speed, distance is time multiplied by speed: {h} hours at {v} miles "
            "per hour.",
        ),
        Step(
            key="b",
            title="Calculate the second distance",
            expression="{k} * {w}",
            unit="miles",
            says="the second part covers {value} miles",
            why="The second part works the same way, with {k} hours at {w} miles per hour.",
        ),
        Step(
            key="rest",
            title="Find the distance that remains",
            expression="{total} - {a} - {b}",
            unit="miles",
            says="there are {value} miles left",
            why="Both parts are taken away from the {total} miles of the whole trip.",
        ),
        Step(
            key="speed",
            title="Divide the remaining distance by the remaining time",
            expression="{rest} / {hours}",
            unit="miles per hour",
            says="the rest calls for {value} miles per hour",
            why="Speed is distance over time, and {hours} hours are available for {rest} miles.",
        ),
    ),
    conclusion="{name} needs a speed of {value} miles per hour",
)


def _fuel(rng: Random) -> Values:
    economy, gallons = rng.randrange(20, 42, 2), rng.randint(3, 12)
    trips = rng.randint(2, 6)
    place = rng.choice(["the coast", "the lake", "a farm", "the mountains", "the airport"])
    return {
        "place": place,
        "one_way": economy * gallons // 2,
        "economy": economy,
        "price": rng.randint(3, 6),
        "trips": trips,
    }


FUEL = Template(
    choose=_fuel,
    prompts=(
        "{name} lives {one_way} miles from {place}. {Her} car goes {economy} miles on a gallon of "
        "gas, which costs ${price}. How much does {she} spend on gas for {trips} round trips?",
        "It is {one_way} miles from {name}'s home to {place}. With a car that drives {economy} "
        "miles per gallon and gas at ${price} per gallon, what do {trips} round trips cost in "
        "dollars?",
    ),
    facts=(
        "{one_way} miles in one direction",
        "{economy} miles per gallon",
        "${price} per gallon",
        "{trips} round trips",
    ),
    goal="how much {name} spends on gas",
    steps=(
        Step(
            key="round",
            title="Find the length of one round trip",
            expression="2 * {one_way}",
            unit="miles",
            says="one round trip is {value} miles",
            why="A round trip goes there and back, so the {one_way} miles count twice.",
        ),
        Step(
            key="gallons",
            title="Find the gas used on one round trip",
            expression="{round} / {economy}",
            unit="gallons",
            says="one round trip takes {value} gallons",
            why="Every gallon is good for {economy} miles, so we see how often that fits into "
            "{round} miles.",
        ),
        Step(
            key="all",
            title="Find the gas used on all trips",
            expression="{trips} * {gallons}",
            unit="gallons",
            says="all the trips together take {value} gallons",
            why="The same amount of gas is used on each of the {trips} trips.",
        ),
        Step(
            key="cost",
            title="Multiply by the price of gas",
            expression="{all} * {price}",
            unit="dollars",
            says="the gas costs {value} dollars",
            why="Each of the {all} gallons is bought for ${price}.",
        ),
    ),
    conclusion="{name} spends {value} dollars on gas",
)


def _bus(rng: Random) -> Values:
    half, off, on = rng.randint(8, 20), rng.randint(3, 12), rng.randint(4, 9)
    return {"start": 2 * half + off - on, "off": off, "on": on, "later": rng.randint(3, 14)}


BUS = Template(
    choose=_bus,
    prompts=(
        "{name}'s bus starts with {start} passengers. At the first stop {off} get off and {on} get "
        "on. At the second stop half of the passengers leave and {later} get on. How many "
        "passengers are on the bus now?",
        "There are {start} passengers on the bus that {name} drives. {off} leave and {on} join at "
        "the station. At the school, half of all passengers get off and {later} new ones get on. "
        "How many passengers are there then?",
    ),
    facts=(
        "{start} passengers at the start",
        "first stop: {off} off, {on} on",
        "second stop: half of them off, {later} on",
    ),
    goal="how many passengers are on the bus in the end",
    steps=(
        Step(
            key="one",
            title="Follow the first stop",
            expression="{start} - {off} + {on}",
            unit="passengers",
            says="after the first stop the bus carries {value} passengers",
            why="Those who get off are subtracted from the {start} passengers, and those who get "
            "on are added.",
        ),
        Step(
            key="half",
            title="Take half of the passengers",
            expression="{one} / 2",
            unit="passengers",
            says="the second stop leaves {value} passengers on board",
            why="Half of the {one} passengers leave, which means that the other half stay.",
        ),
        Step(
            key="end",
            title="Add the new passengers",
            expression="{half} + {later}",
            unit="passengers",
            says="the bus then carries {value} passengers",
            why="At the same stop {later} more people board the bus.",
        ),
    ),
    conclusion="there are {value} passengers on the bus in the end",
)


def _running(rng: Random) -> Values:
    length, laps = rng.choice([200, 400, 500]), rng.randint(4, 12)
    days, weeks = rng.choice([2, 3, 4, 5]), rng.choice([5, 10])
    return {"length": length, "laps": 2 * laps, "days": days, "weeks": weeks}


RUNNING = Template(
    choose=_running,
    prompts=(
        "{name} runs {laps} laps of {length} meters on {days} days of every week. How many "
        "kilometers does {she} run in {weeks} weeks?",
        "On {days} days a week {name} runs {laps} laps around a track of {length} meters. What "
        "distance, in kilometers, does {she} run in {weeks} weeks?",
    ),
    facts=(
        "{laps} laps of {length} meters on a running day",
        "{days} running days per week",
        "{weeks} weeks",
        "1 kilometer is 1000 meters",
    ),
    goal="how many kilometers {name} runs",
    steps=(
        Step(
            key="day",
            title="Find the distance of one day",
            expression="{laps} * {length}",
            unit="meters",
            says="on one day {name} runs {value} meters",
            why="Every lap adds {length} meters, and {laps} laps are run on each running day.",
        ),
        Step(
            key="week",
            title="Find the distance of one week",
            expression="{days} * {day}",
            unit="meters",
            says="in one week that makes {value} meters",
            why="The same distance is run on {days} days of the week.",
        ),
        Step(
            key="total",
            title="Find the distance of all weeks",
            expression="{weeks} * {week}",
            unit="meters",
            says="all weeks together make {value} meters",
            why="There are {weeks} such weeks, so the weekly distance is multiplied by {weeks}.",
        ),
        Step(
            key="km",
            title="Convert meters to kilometers",
            expression="{total} / 1000",
            unit="kilometers",
            says="this is the same as {value} kilometers",
            why="A kilometer has 1000 meters, so we divide by 1000 to change the unit.",
        ),
    ),
    conclusion="{name} runs {value} kilometers",
)

TRAVEL = (LEGS, FUEL, BUS, RUNNING)

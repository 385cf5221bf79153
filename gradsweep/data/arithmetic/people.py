"""The people of the word problems: a name and the pronouns that go with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    name: str
    subject: str
    """`she` or `he`."""
    possessive: str
    """`her` or `his`."""


_WOMEN = (
    "Maya Lena Priya Grace Olivia Hannah Zoe Nadia Amara Ingrid Carmen Yuki Leila Ruth Tessa "
    "Bianca Farah Ivy Jasmine Kira Mei Nora Paula Rosa Sofia Talia Uma Vera Wendy Alice "
    "Clara Dina Elena Fiona Gloria Helen Irene Julia Katie Laura Miriam Naomi Opal Petra "
    "Rachel Selma Tina Ursula Violet Anika"
)

_MEN = (
    "Omar Daniel Marcus Tom Luis Kenji Arjun Peter Samuel Victor Ethan Jonas Felix Hugo Ivan "
    "Jamal Karl Liam Mateo Nathan Oscar Pablo Ravi Simon Tariq Walter Aaron Ben Carlos "
    "David Elias Frank George Henry Isaac Jacob Kevin Leo Martin Noah Owen Paul Quentin "
    "Robert Stefan Theo Umar Vincent William Adrian"
)

PEOPLE: tuple[Person, ...] = tuple(
    [Person(name, "she", "her") for name in _WOMEN.split()]
    + [Person(name, "he", "his") for name in _MEN.split()]
)
"""Who a problem can be about. Each meets every template once before any of them comes again."""

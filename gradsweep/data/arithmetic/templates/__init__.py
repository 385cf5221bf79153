"""All kinds of word problems, by the world they are set in."""

from gradsweep.data.arithmetic.problem import Template
from gradsweep.data.arithmetic.templates.animals import ANIMALS
from gradsweep.data.arithmetic.templates.events import EVENTS
from gradsweep.data.arithmetic.templates.food import FOOD
from gradsweep.data.arithmetic.templates.home import HOME
from gradsweep.data.arithmetic.templates.school import SCHOOL
from gradsweep.data.arithmetic.templates.shopping import SHOPPING
from gradsweep.data.arithmetic.templates.travel import TRAVEL
from gradsweep.data.arithmetic.templates.work import WORK

TEMPLATES: tuple[Template, ...] = SHOPPING + WORK + TRAVEL + FOOD + SCHOOL + HOME + EVENTS + ANIMALS
"""Appending or changing one changes the data: raise `arithmetic.VERSION` with it."""

__all__ = ["TEMPLATES"]

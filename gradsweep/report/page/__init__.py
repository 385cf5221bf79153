"""A report as one HTML page that needs nothing else: no network, no server, no other file.

points.py    what a page says of points beyond their rows: states, settings, samples
found.py     the first screen: a picture and sentences of each model and dataset
models.py    models compared: which separates best, which is most even
pictures.py  dots and intervals in the lines of a table
grid.py      the map of the points with their values and states
curves.py    the numbers that the charts draw
samples.py   outliers of each point, with their text where the data are still there
tables.py    the report's tables in words, with intervals and n
terms.py     what the words mean, where they stand and in a glossary
findings.py  the findings page as HTML
settings.py  versions, commands and settings to run it again
template.py  `assets/page.html`, styles and scripts inline
build.py     all of it and the report's tables into the template
assets/      templates, styles, scripts, and Plotly's basic bundle 4.1.1 (MIT, `plotly-LICENSE`)
"""

from gradsweep.report.page.build import prepare_page as prepare_page
from gradsweep.report.page.points import ReportPoints as ReportPoints
from gradsweep.report.page.points import report_points as report_points

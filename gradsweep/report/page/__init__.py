"""A report as one HTML page that needs nothing else: no network, no server, no other file.

points.py    what a page says of points beyond their rows: states, settings, samples
overview.py  the grid with its states
curves.py    the numbers that the charts draw
samples.py   outliers of each point, with their text where the data are still there
tables.py    the report's tables, with their CSV
findings.py  the findings page as HTML
settings.py  versions, commands and settings to run it again
build.py     all of it into `assets/page.html`, with styles and scripts inline
assets/      template, styles, scripts, and Plotly's basic bundle 4.1.1 (MIT, `plotly-LICENSE`)
"""

from gradsweep.report.page.build import write_page as write_page
from gradsweep.report.page.points import StoredPoints as StoredPoints
from gradsweep.report.page.points import stored_points as stored_points

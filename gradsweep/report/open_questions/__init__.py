"""What a report says of the questions that the study leaves open.

`section` is its Markdown, `tables` its files, `terminal` its lines for a person who waits,
`report.figures.open_questions` its figures and `report.page.open_questions` its charts. All of them
show any question alike: a new one is a file of `gradsweep.analysis.open_questions`.
"""

"""The forecast of a command line: what it would start and take, and how `plan` shows it."""

from gradsweep.plan.forecast.make import forecast
from gradsweep.plan.forecast.records import STATES, Forecast, ModelForecast, PointForecast
from gradsweep.plan.forecast.show import show_forecast

__all__ = [
    "STATES",
    "Forecast",
    "ModelForecast",
    "PointForecast",
    "forecast",
    "show_forecast",
]

"""What a command line would start, what that would take, and how a person sees it (`plan`)."""

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

"""Figures of a report: one module for each kind, `style` for what they share."""

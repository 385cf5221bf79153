"""What runs tasks: one module for each scheduler."""

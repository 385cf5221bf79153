"""What belongs to the paper's release alone: its files, where they come from, their originals."""

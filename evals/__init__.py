"""Quality, measured: golden cases, metrics, gates. The words of measurement are defined in ``measure``."""

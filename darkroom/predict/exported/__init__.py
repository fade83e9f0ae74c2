"""What stands in an export as it is here: `predict.py` and `check.py`."""

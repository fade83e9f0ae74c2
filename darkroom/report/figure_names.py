"""Names of the report's figures: all that its rule needs to know of the drawing."""

from __future__ import annotations

FIGURES = (
    "learning_curves.svg",
    "comparison.svg",
    "tuning.svg",
    "class_counts.svg",
    "scores.svg",
    "confusion.svg",
    "calibration.svg",
    "curves.svg",
    "risk.svg",
    "robustness.svg",
    "samples.png",
    "augmented.png",
    "misclassified.png",
    "looked.png",
    "feature_map.svg",
)

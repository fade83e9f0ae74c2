"""The settings `decode`: how unusual images are treated, and the sentences about it."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from darkroom.decode.header import SUFFIXES, DecodeError, Header, suffix_of

FULL = 65_535
"""The white level of 16-bit images where none was recorded."""

DEPTH_OF_ALL = "16-bit: scaled by all files of the data set"
"""Note of a 16-bit image until the index knows the data set's white level."""


class Policy(TypedDict):
    """The settings `decode`; config.yaml explains each value.

    `white_level` is no setting: the value of the data set's 16-bit images that becomes 255, as
    the index found it. It is recorded in image files and models, so that new pictures get the
    same scale.
    """

    orientation: str
    sixteen_bit: str
    palette: str
    alpha: str
    cmyk: str
    gray: str
    animated: str
    wrong_suffix: str
    white_level: NotRequired[int]


def shown_size(header: Header, policy: Policy) -> tuple[int, int]:
    """(width, height) of the displayed image: swapped where an applied orientation rotates it."""
    rotated = policy["orientation"] == "apply" and header.orientation > 4
    return (header.height, header.width) if rotated else (header.width, header.height)


def conversions(header: Header, name: str, policy: Policy) -> list[str]:
    """Conversions that the header alone predicts, one sentence each.

    Parameters
    ----------
    header : of the file.
    name : file name; its suffix is compared with the format. Empty: not compared.
    policy : the settings `decode`.

    Raises
    ------
    DecodeError
        The format is not supported, or the policy refuses it.
    """

    def rule(key: str, trait: str, treatment: str) -> str:
        if policy[key] == "refuse":  # type: ignore[literal-required]
            raise DecodeError(f"{trait}, and decode.{key} is refuse")
        return f"{trait}: {treatment}"

    if header.refusal:
        raise DecodeError(f"cannot be used: {header.refusal}")
    notes = []
    suffix = suffix_of(name)
    if suffix and suffix not in SUFFIXES.get(header.format, ()):
        notes.append(
            rule("wrong_suffix", f"wrong suffix: a {header.format} named .{suffix}",
                 "read by its content")
        )  # fmt: skip
    if header.frames > 1:
        unit = "pages" if header.format == "tiff" else "frames"
        notes.append(rule("animated", f"{header.frames} {unit}", "the first is taken"))
    if policy["orientation"] == "apply" and header.orientation != 1:
        notes.append(f"EXIF orientation {header.orientation}: applied")
    if header.bit_depth == 16:
        how = "own range to 0..255" if policy["sixteen_bit"] == "stretch" else "scaled"
        note = rule("sixteen_bit", "16-bit", how)
        if how == "scaled":
            level = policy.get("white_level")
            note = scaled_to(level) if level else DEPTH_OF_ALL
        notes.append(note)
    if header.mode == "palette":
        notes.append(rule("palette", "palette", "converted to rgb"))
    elif header.mode == "cmyk":
        notes.append(rule("cmyk", "cmyk", "converted to rgb, no colour profile used"))
    elif header.mode == "bilevel":
        notes.append("bilevel: 0 and 255")
    if header.extra:
        notes.append(f"further channels: {header.extra} dropped, which no tag calls alpha")
    if header.mode in ("gray", "gray+alpha", "bilevel") and policy["gray"] == "refuse":
        raise DecodeError("gray, and decode.gray is refuse")
    return notes


def scaled_to(white_level: int) -> str:
    """Note of a 16-bit image: which of its values become 0 to 255."""
    return f"16-bit: 0..{white_level:,} to 0..255"

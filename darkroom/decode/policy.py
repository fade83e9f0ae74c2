"""The settings `decode`: how unusual images are treated, and the sentences about it."""

from __future__ import annotations

from typing import TypedDict

from darkroom.decode.header import SUFFIXES, DecodeError, Header, suffix_of


class Policy(TypedDict):
    """The settings `decode`; config.yaml explains each value."""

    orientation: str
    sixteen_bit: str
    palette: str
    alpha: str
    cmyk: str
    gray: str
    animated: str
    wrong_suffix: str


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
        how = "divided by 257" if policy["sixteen_bit"] == "scale" else "own range to 0..255"
        notes.append(rule("sixteen_bit", "16-bit", how))
    if header.mode == "palette":
        notes.append(rule("palette", "palette", "converted to rgb"))
    elif header.mode == "cmyk":
        notes.append(rule("cmyk", "cmyk", "converted to rgb, no colour profile used"))
    elif header.mode == "bilevel":
        notes.append("bilevel: 0 and 255")
    if header.mode in ("gray", "gray+alpha", "bilevel") and policy["gray"] == "refuse":
        raise DecodeError("gray, and decode.gray is refuse")
    return notes

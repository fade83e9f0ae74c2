"""Models that are compared: one written model becomes several, each a model of its own.

`models.X.compare: {name: overrides}` makes `X-name` for each name, and
`models.X.optimizer: [sgd, {name: adam, learning_rate: 0.01}]` makes `X-sgd` and `X-adam`.
"""

from __future__ import annotations

from typing import Any


def expanded(value: dict[str, Any]) -> dict[str, Any]:
    """A configuration with the compared models beside those that compare them.

    Parameters
    ----------
    value : the merged configuration, not yet checked.

    Raises
    ------
    ValueError
        A name is taken, or a setting has a form that cannot be compared; the message opens
        with the path of the setting.
    """
    models = value.get("models")
    if not isinstance(models, dict):
        return value
    found: dict[str, Any] = {}
    for name, model in models.items():
        if not isinstance(model, dict):
            found[name] = model
            continue
        base, members = _members(str(name), model)
        found[name] = model if not members else model | {"compare": members}
        if isinstance(model.get("optimizer"), list):
            found[name] |= {"optimizer": model["optimizer"][0]}
        for other, different in members.items():
            if f"{name}-{other}" in models:
                raise ValueError(f"models.{name}.compare.{other}: there is a model {name}-{other}")
            found[f"{name}-{other}"] = merged(base, different)
    return {**value, "models": found}


def _members(name: str, model: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What all have in common, and what each has of its own, by its name."""
    optimizers, compare = model.get("optimizer"), model.get("compare")
    if isinstance(optimizers, list):
        if compare:
            raise ValueError(
                f"models.{name}.compare: goes with one optimizer; name each of the list here"
            )
        if not optimizers:
            raise ValueError(f"models.{name}.optimizer: the list is empty")
        # No optimizer has settings of another: their order changes nothing.
        base = {k: v for k, v in model.items() if k not in ("optimizer", "compare")}
        return base, {key: {"optimizer": optimizers[i]} for key, i in _named(optimizers).items()}
    if not isinstance(compare, dict):
        return model, {}
    members: dict[str, Any] = {}
    for other, different in compare.items():
        if not isinstance(different, (dict, type(None))):
            raise ValueError(f"models.{name}.compare.{other}: a mapping of settings is needed")
        if different and ("compare" in different or isinstance(different.get("optimizer"), list)):
            raise ValueError(f"models.{name}.compare.{other}: a comparison within a comparison")
        members[str(other)] = different or {}
    return {k: v for k, v in model.items() if k != "compare"}, members


def _named(optimizers: list[Any]) -> dict[str, int]:
    """Position of each by its name, a second of the same name with a number."""
    names: dict[str, int] = {}
    for position, optimizer in enumerate(optimizers):
        kind = optimizer.get("name", "adam") if isinstance(optimizer, dict) else optimizer
        key, number = str(kind), 2
        while key in names:
            key, number = f"{kind}-{number}", number + 1
        names[key] = position
    return names


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge mappings and replace anything else, as with an overlay of the configuration."""
    found = dict(base)
    for key, new in over.items():
        old = found.get(key)
        if key == "optimizer":
            # A name by itself changes the name alone.
            old = {"name": old} if isinstance(old, str) else old
            new = {"name": new} if isinstance(new, str) else new
        if isinstance(old, dict) and isinstance(new, dict):
            new = merged(old, new)
        found[key] = new
    return found


def heads_alone(config: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """A configuration in which a network that was put on a backbone has not the layers of config.yaml.

    Those are convolutions over pixels: `models: {cnn: {backbone: mobilenet}}` names none, so it means none.

    Parameters
    ----------
    config : the merged configuration, not yet checked.
    defaults : config.yaml.
    """
    models, known = config.get("models"), defaults.get("models")
    if not isinstance(models, dict) or not isinstance(known, dict):
        return config
    found = {
        name: model | {"layers": []}
        if isinstance(model, dict)
        and model.get("backbone") is not None
        and model.get("layers") == known.get(name, {}).get("layers")
        else model
        for name, model in models.items()
    }
    return {**config, "models": found}


def written_at(config: dict[str, Any], location: list[Any]) -> list[Any]:
    """The place in the written configuration of a place in the expanded one.

    Parameters
    ----------
    config : the written configuration.
    location : keys and positions, e.g. models, X-adam, epochs.

    Returns
    -------
    models, X, compare, adam, epochs where the comparison has the setting; models, X, epochs
    where X has it.
    """
    models = config.get("models")
    if len(location) < 2 or location[0] != "models" or not isinstance(models, dict):
        return location
    asked, rest = str(location[1]), location[2:]
    for name, model in models.items():
        if not isinstance(model, dict):
            continue
        optimizers, compare = model.get("optimizer"), model.get("compare")
        if isinstance(optimizers, list) and optimizers:
            named = {f"{name}-{k}": i for k, i in _named(optimizers).items()} | {str(name): 0}
            if asked in named:
                own = rest[:1] == ["optimizer"]
                return ["models", name, *rest[:1], *([named[asked]] if own else []), *rest[1:]]
        elif isinstance(compare, dict) and asked not in models:
            for other, different in compare.items():
                if asked == f"{name}-{other}":
                    own = not rest or _has(different, rest)
                    return ["models", name, *(["compare", other] if own else []), *rest]
    return location


def _has(settings: Any, location: list[Any]) -> bool:
    """Whether settings have a value at a place, or one that replaces what is there."""
    for part in location:
        if not isinstance(settings, dict):
            return True
        if part not in settings:
            return False
        settings = settings[part]
    return True


def differences(members: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What several settings do not share: by name, the values by path (`optimizer.name`)."""
    flat = {name: _flat(settings) for name, settings in members.items()}
    paths = dict.fromkeys(path for settings in flat.values() for path in settings)
    absent = object()
    differ = [
        path
        for path in paths
        if any(
            s.get(path, absent) != next(iter(flat.values())).get(path, absent)
            for s in flat.values()
        )
    ]
    return {name: {p: settings.get(p) for p in differ} for name, settings in flat.items()}


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            found |= {f"{key}.{path}": inner for path, inner in _flat(value).items()}
        else:
            found[key] = value
    return found

# SPDX-License-Identifier: AGPL-3.0-or-later
"""An engine with one effect more than ours: a host must show it with no change to the host."""

from __future__ import annotations

from dataclasses import replace

from immersivaudio.engine import effects, server

Kind, Param = effects.Kind, effects.Param
PARAMS = (
    Param("force", Kind.DOUBLE, "Force", "How hard it blows.", 0.25, 0.0, 1.0, (0.1, 0.9), 0.05),
    Param("drops", Kind.INTEGER, "Drops", "How many.", 7, 0, 100, (0, 50), 1),
    Param("storm", Kind.BOOLEAN, "Storm", "Thunder too.", True),
    Param("kind", Kind.CHOICE, "Kind", "What falls.", "rain", choices=(("rain", "Rain"), ("hail", "Hail")), asks=True),
    Param("words", Kind.STRING, "Words", "What is heard.", "", lines=True),
)
WEATHER = effects.Effect("weather", "Weather", "Only weather.", (effects.Use.GENERAL,), PARAMS)


def changed(effect: effects.Effect, values: object, name: str) -> effects.Change:
    """Hail has no drops."""
    return effects.Change((replace(PARAMS[1], enabled=False),)) if name == "kind" else effects.Change()


if __name__ == "__main__":
    effects.EFFECTS = (*effects.EFFECTS, WEATHER)
    effects.BY_ID[WEATHER.id] = WEATHER
    effects.changed = changed
    server.main()

# SPDX-License-Identifier: AGPL-3.0-or-later
"""Names by the Universal Category System: written so that sound editors' databases read them, read whoever wrote them."""

from __future__ import annotations

import pytest

from immersivaudio.engine import ucs
from immersivaudio.engine.sounds import VOCABULARY, Sound

# What the published list says of the CatIDs that the vocabulary began with.
LISTED = {
    "AEROHeli": "AIRCRAFT-HELICOPTER",
    "AEROJet": "AIRCRAFT-JET",
    "AMBForst": "AMBIENCE-FOREST",
    "AMBInsc": "AMBIENCE-INSECT",
    "AMBRoom": "AMBIENCE-ROOM TONE",
    "AMBTraf": "AMBIENCE-TRAFFIC",
    "AMBUrbn": "AMBIENCE-URBAN",
    "CLOTHMvmt": "CLOTH-MOVEMENT",
    "CRWDWalla": "CROWDS-WALLA",
    "DOORWood": "DOORS-WOOD",
    "DSGNRmbl": "DESIGNED-RUMBLE",
    "FEETHmn": "FOOTSTEPS-HUMAN",
    "FGHTImpt": "FIGHT-IMPACT",
    "FIREBurn": "FIRE-BURNING",
    "GLASImpt": "GLASS-IMPACT",
    "MACHHvac": "MACHINES-HVAC",
    "MACHMisc": "MACHINES-MISC",
    "METLImpt": "METAL-IMPACT",
    "MUSCMisc": "MUSICAL-MISC",
    "RAIN": "RAIN-GENERAL",
    "ROCKImpt": "ROCKS-IMPACT",
    "TRNMisc": "TRAINS-MISC",
    "VEHCar": "VEHICLES-CAR",
    "VEHInt": "VEHICLES-INTERIOR",
    "WATRFlow": "WATER-FLOW",
    "WATRPour": "WATER-POUR",
    "WATRUndwtr": "WATER-UNDERWATER",
    "WATRWave": "WATER-WAVE",
    "WHSH": "SWOOSHES-WHOOSH",
    "WIND": "WIND-GENERAL",
    "WINDVege": "WIND-VEGETATION",
    "WOODImpt": "WOOD-IMPACT",
}


@pytest.mark.parametrize("cat_id", LISTED)
def test_a_cat_id_stands_for_what_the_list_says(cat_id: str) -> None:
    found = ucs.category(cat_id)
    assert found is not None and found.full == LISTED[cat_id]


@pytest.mark.parametrize("sound", VOCABULARY, ids=lambda sound: sound.id)
def test_every_sound_has_a_category_of_the_system(sound: Sound) -> None:
    assert ucs.category(sound.ucs) is not None, f"{sound.ucs} is no CatID; the list is on universalcategorysystem.com"


@pytest.mark.parametrize("text", ["", "wind", "Woodimpt", "XYZImpt", "WOOD", "WOODimpt", "IMG", "WOODImpt2"])
def test_what_only_looks_like_a_cat_id_is_none(text: str) -> None:
    assert ucs.category(text) is None


def test_all_blocks_of_a_name() -> None:
    name = ucs.parse("GUNAuto-EXT_UZI 9mm-Rapid Fire Close Up_TN_DORY_416_MKH8040")
    assert (name.category and name.category.cat_id, name.user_category) == ("GUNAuto", "EXT")
    assert (name.vendor_category, name.fx_name) == ("UZI 9mm", "UZI 9mm-Rapid Fire Close Up")
    assert (name.creator_id, name.source_id, name.user_data) == ("TN", "DORY", "416_MKH8040")


@pytest.mark.parametrize("stem", ["door_slam_wood_02", "WIND", "Rain heavy", "IMG_2024_wood", "__"])
def test_other_names_are_words_only(stem: str) -> None:
    name = ucs.parse(stem)
    assert name.category is None and "_" not in name.fx_name


@pytest.mark.parametrize("source", ["Scene 1", "a_b#c?d%e/f", "été " * 40, "..", ""])
def test_what_is_written_is_read_again(source: str) -> None:
    stem = ucs.file_stem("WOODImpt", "blow on wood, close_up / 50%", source, "T2")
    name = ucs.parse(stem)
    assert name.category is not None and name.category.cat_id == "WOODImpt"
    assert name.fx_name == "blow on wood, close up 50"
    assert (name.creator_id, name.user_data) == (ucs.CREATOR, "T2")
    assert name.source_id and len(stem.encode()) < 200
    assert not set('#?%/\\:*"<>|') & set(stem)

# SPDX-License-Identifier: AGPL-3.0-or-later
"""The Universal Category System's names: ``CatID-UserCategory_VendorCategory-FXName_CreatorID_SourceID_UserData``.

Written after the naming convention of universalcategorysystem.com (Nielsen, Drury, Paquin; public domain). A CatID is a
category's short form in capitals and a subcategory's, ``WOODImpt``; what both stand for is read off their parts, so a
CatID that is not spelled out here is still understood by its category.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CREATOR = "IMMR"


def _pairs(text: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=([^;]+)", text))


# A category's short form -> its name.
_CATEGORIES = _pairs(
    "AIR=AIR;AERO=AIRCRAFT;ALRM=ALARMS;AMB=AMBIENCE;ANML=ANIMALS;BEEP=BEEPS;BELL=BELLS;BIRD=BIRDS;BLLT=BULLETS;"
    "BOAT=BOATS;CERM=CERAMICS;CHAIN=CHAINS;CHEM=CHEMICALS;CLOCK=CLOCKS;CLOTH=CLOTH;CMPT=COMPUTERS;"
    "COM=COMMUNICATIONS;CREA=CREATURES;CRWD=CROWDS;DESTR=DESTRUCTION;DIRT=DIRT & SAND;DOOR=DOORS;DRWR=DRAWERS;"
    "DSGN=DESIGNED;ELEC=ELECTRICITY;EQUIP=EQUIPMENT;EXPL=EXPLOSIONS;FART=FARTS;FEET=FOOTSTEPS;FGHT=FIGHT;"
    "FIRE=FIRE;FOLY=FOLEY;FOOD=FOOD & DRINK;FRWK=FIREWORKS;GAME=GAMES;GEO=GEOTHERMAL;GLAS=GLASS;GORE=GORE;"
    "GUN=GUNS;HMN=HUMAN;HORN=HORNS;ICE=ICE;LASR=LASERS;LETHR=LEATHER;LIQ=LIQUID & MUD;MACH=MACHINES;MAG=MAGIC;"
    "MECH=MECHANICAL;METL=METAL;MOTR=MOTORS;MOVE=MOVEMENT;MUSC=MUSICAL;NATD=NATURAL DISASTER;OBJ=OBJECTS;"
    "PAPR=PAPER;PLAS=PLASTIC;RAIN=RAIN;ROBT=ROBOTS;ROCK=ROCKS;ROPE=ROPE;RUBR=RUBBER;SCI=SCIFI;SNOW=SNOW;"
    "SPRT=SPORTS;TOOL=TOOLS;TOON=CARTOON;TOY=TOYS;TRN=TRAINS;UI=USER INTERFACE;VEGE=VEGETATION;VEH=VEHICLES;"
    "VOX=VOICES;WATR=WATER;WEAP=WEAPONS;WHST=WHISTLES;WIND=WIND;WING=WINGS;WNDW=WINDOWS;WOOD=WOOD"
)
# CatIDs that are one word.
_WHOLE = {
    "BEEP": ("BEEPS", "GENERAL"),
    "HAIL": ("WEATHER", "HAIL"),
    "RAIN": ("RAIN", "GENERAL"),
    "STORM": ("WEATHER", "STORM"),
    "SWSH": ("SWOOSHES", "SWISH"),
    "THUN": ("WEATHER", "THUNDER"),
    "WHSH": ("SWOOSHES", "WHOOSH"),
    "WIND": ("WIND", "GENERAL"),
    "WTHR": ("WEATHER", "MISC"),
}
# A subcategory's short form -> its name; what is missing is a word already ("Surf").
_SUBCATEGORIES = _pairs(
    "Anml=ANIMAL;Antq=ANTIQUE;Apls=APPLAUSE;Appl=APPLIANCE;Aqua=AQUATIC;Armr=ARMOR;Bike=BICYCLE;Brk=BREAK;"
    "Brst=BURST;Brth=BREATH;Bubl=BUBBLES;Burn=BURNING;Buzr=BUZZER;Buzz=BUZZ & HUM;By=GENERIC BY;Cab=CABINET;"
    "Cele=CELEBRATION;Chim=CHIME;Chld=CHILDREN;Clak=CLACK;Clik=CLICK;Clth=CLOTH;Cnst=CONSTRUCTION;Comb=COMBUSTION;"
    "Conc=CONCRETE;Conv=CONVERSATION;Cook=COOKING;Crea=CREATURE;Crkl=CRACKLE;Crsh=CRASH & DEBRIS;Crwd=CROWD;"
    "Diesl=DIESEL;Dran=DRAIN;Driv=HARD DRIVE;Drnk=DRINKING;Dron=DRONE;Dsgn=DESIGNED;Dsrt=DESERT;Elec=ELECTRIC;"
    "Elev=ELEVATOR;Emrg=EMERGENCY;Erie=EERIE;Escl=ESCALATOR;Fall=WATERFALL;Flp=FLAP;Fltr=FLUTTER;Forst=FOREST;"
    "Foun=FOUNTAIN;Frght=FREIGHT;Fric=FRICTION;Furn=FURNITURE;Gear=GEARS;Glas=GLASS;Gware=GLASSWARE;Hart=HEARTBEAT;"
    "Hdwr=HARDWARE;Heli=HELICOPTER;Hist=HISTORICAL;Hmn=HUMAN;Home=RESIDENTIAL;Hndl=HANDLE;Hors=HORSE;Hosp=HOSPITAL;"
    "Hsehld=HOUSEHOLD;Hspd=HIGH SPEED;Hydr=HYDRAULIC & PNEUMATIC;Ign=IGNITE;Impt=IMPACT;Ind=INDUSTRIAL;Insc=INSECT;"
    "Inst=INSTRUMENT;Int=INTERIOR;Jalop=JALOPY;Key=KEYS;Knck=KNOCK;Kware=KITCHENWARE;Laff=LAUGHTER;Lake=LAKESIDE;"
    "Leaf=LEAVES;Lrg=LARGE;Ltch=LATCH;Lvr=LEVER;Mech=MECHANISM;Med=MEDICAL;Metl=METAL;Mil=MILITARY;Moto=MOTORCYCLE;"
    "Motr=MOTORBOAT;Mrkt=MARKET;Mvmt=MOVEMENT;Naut=NAUTICAL;Offc=OFFICE;Perc=PERCUSSION;Plas=PLASTIC;Plmb=PLUMBING;"
    "Pis=PISTOL;Prfm=PERFORMANCE;Prisn=PRISON;Publ=PUBLIC PLACE;Race=RACING;Rckt=ROCKET;Reac=REACTION;"
    "Rest=RESTAURANT & BAR;Rif=RIFLE;Rise=RISER;Rlgn=RELIGIOUS;Rmbl=RUMBLE;Rolr=ROLLER;Room=ROOM TONE;Row=ROWBOAT;"
    "Rurl=RURAL;Sail=SAILBOAT;Sbwy=SUBWAY;Schl=SCHOOL;Sea=SEASIDE;Sirn=SIREN;Sizz=SIZZLE;Slid=SLIDING;Splsh=SPLASH;"
    "Sprk=SPARKS;Sprt=SPORT;Stm=STEAM;Stngr=STINGER;Ston=STONE;Str=STRINGED;Subn=SUBURBAN;Susp=SUSPENSION;"
    "Swmp=SWAMP;Swng=SWINGING;Swtch=SWITCH;Synth=SYNTHESIZED;Tech=HITECH;Telph=TELEPHONE;Tonl=TONAL;Traf=TRAFFIC;"
    "Tran=TRANSPORTATION;Trch=TORCH;Trop=TROPICAL;Truck=TRUCK VAN & SUV;Turb=TURBULENT;Tware=TABLEWARE;"
    "Type=TYPEWRITER;Undr=UNDERGROUND;Undwtr=UNDERWATER;Urbn=URBAN;Util=UTILITY;Vege=VEGETATION;Wagn=WAGON;"
    "War=WARFARE;Watr=WATER;Whled=WHEELED;Whsh=WHOOSH;Wndw=WINDOW;Write=WRITING;Zipr=ZIPPER"
)
_SPECIAL = {
    "BIRDSea": "SEA",
    "BIRDSong": "SONGBIRD",
    "AMBBird": "BIRDSONG",
    "AMBGras": "GRASSLAND",
    "VEGEGras": "GRASS",
    "CLOCKMech": "MECHANICS",
    "CMPTKey": "KEYBOARD & MOUSE",
    "FOLYHand": "HANDS",
    "MOTRTurb": "TURBINE",
    "MUSCSong": "SONG & PHRASE",
    "UIMvmt": "MOTION",
}
_CAT_ID = re.compile(r"([A-Z]+?)([A-Z][a-z]+)?")
_NOT_IN_BLOCK = re.compile(r'[\x00-\x1f/\\:*?"<>|#%_]+')
_BLOCK_BYTES, _FX_BYTES = 40, 80


@dataclass(frozen=True, slots=True)
class Category:
    """What a CatID stands for: ``DOORWood`` is DOORS, WOOD."""

    cat_id: str
    category: str
    subcategory: str

    @property
    def full(self) -> str:
        """The CategoryFull of databases: ``DOORS-WOOD``."""
        return f"{self.category}-{self.subcategory}"


@dataclass(frozen=True, slots=True)
class Name:
    """A file name's blocks; ``category`` is None where the name does not begin with a CatID."""

    category: Category | None
    fx_name: str
    creator_id: str = ""
    source_id: str = ""
    user_data: str = ""
    user_category: str = ""
    vendor_category: str = ""


def category(cat_id: str) -> Category | None:
    """What ``cat_id`` stands for; None where its category is no category of the system. Case counts."""
    if cat_id in _WHOLE:
        return Category(cat_id, *_WHOLE[cat_id])
    parts = _CAT_ID.fullmatch(cat_id)
    if parts is None or parts[1] not in _CATEGORIES or not parts[2]:
        return None
    name = _SPECIAL.get(cat_id) or _SUBCATEGORIES.get(parts[2]) or parts[2].upper()
    return Category(cat_id, _CATEGORIES[parts[1]], name)


def parse(stem: str) -> Name:
    """The blocks of a file name without its ending; a name that is not UCS's is all ``fx_name``."""
    blocks = stem.split("_")
    head, _, user = blocks[0].partition("-")
    found = category(head)
    if found is None or len(blocks) < 2:
        return Name(None, " ".join(" ".join(blocks).split()))
    vendor, dash, _ = blocks[1].partition("-")
    creator, source = (*blocks[2:4], "", "")[:2]
    return Name(found, blocks[1].strip(), creator, source, "_".join(blocks[4:]), user, vendor.strip() if dash else "")


def file_stem(cat_id: str, fx_name: str, source_id: str, user_data: str = "", creator_id: str = CREATOR) -> str:
    """A file name without its ending: ``AMBForst_Forest by day_IMMR_Scene one_T2``. No block is empty nor carries ``_``
    or what an editor's urls and other systems' files cannot carry."""
    blocks = [cat_id, _block(fx_name, _FX_BYTES), _block(creator_id), _block(source_id)]
    return "_".join([*blocks, _block(user_data)] if user_data else blocks)


def _block(text: str, at_most: int = _BLOCK_BYTES) -> str:
    cleaned = " ".join(_NOT_IN_BLOCK.sub(" ", text).split()).strip(" .-")
    return cleaned.encode()[:at_most].decode(errors="ignore").strip(" .-") or "NONE"

# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sound by example, after CondFoley (Du et al. 2023, arXiv 2304.10512), with nothing learnt.

``study`` hears a recording once and says what it is: separate events, or a sound that goes on. ``events`` cuts out and
describes what begins and dies away, ``matching`` says which of them each visible event takes, ``variation`` makes each
use a little different, ``quilting`` goes on with a texture for as long as wanted. ``casting`` gives an example to the
cues of a sheet that it fits.
"""

from immersivaudio.engine.examples.study import Kind, Study, forbidden, identified, licence_of, study

__all__ = ["Kind", "Study", "forbidden", "identified", "licence_of", "study"]

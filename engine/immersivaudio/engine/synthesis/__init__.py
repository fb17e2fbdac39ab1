# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sound from physics and statistics: numpy and scipy only.

One file a family. A :class:`~immersivaudio.engine.synthesis.frame.Texture` goes on for ever, frame after frame, with
state and without a loop; a struck sound is one waveform a blow; a moving one is a source on a path.
``catalog`` says which name of the vocabulary is made by what.
"""

# SPDX-License-Identifier: AGPL-3.0-or-later
"""What performers that rest on weights share: which weights are known, where they lie, on what they run, and how
generated sound becomes a take. A further model is one file in ``performers/`` that uses these.
"""

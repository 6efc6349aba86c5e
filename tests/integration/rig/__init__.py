# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rig of the integration tests: real peers, vringd between them, and what to ask them."""

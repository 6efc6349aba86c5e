/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backend/apply.h"

/* The rings' part of vrd_apply_all(): start what has to start, pass on what changed. */
void vrd_apply_ring_all(VrdApply *apply);

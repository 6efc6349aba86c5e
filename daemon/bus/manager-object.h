/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus/interface.h"

/* org.vringd1.Manager; its target is the VrdObjects. */
extern const VrdInterface vrd_manager_object_interface;

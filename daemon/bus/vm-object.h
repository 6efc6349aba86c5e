/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus/interface.h"

/* org.vringd1.VM; its target is a VrdVm. */
extern const VrdInterface vrd_vm_object_interface;

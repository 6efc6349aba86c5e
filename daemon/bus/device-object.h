/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus/interface.h"

/* org.vringd1.Device; its target is a VrdDevice. */
extern const VrdInterface vrd_device_object_interface;

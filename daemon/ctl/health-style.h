/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/table.h"

/* Colour of a health word: green, yellow or red. */
VrdTableStyle vrd_health_style_of(const char *health);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/*
 * The readable form of an object's properties (a{sv}): sections of lines "Label  value",
 * and tables.
 */
void vrd_section_print_vm(const VrdCtl *ctl, GVariant *properties);
void vrd_section_print_device(const VrdCtl *ctl, GVariant *properties, const char *vm);

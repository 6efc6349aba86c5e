/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/* CLOCK_MONOTONIC in microseconds: the only clock that decisions are made by. */
uint64_t vrd_clock_now_us(void);

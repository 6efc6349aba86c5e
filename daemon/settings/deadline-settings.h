/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "settings/schema.h"
#include "settings/settings.h"

/* Rows of section [Deadlines], the same in vringd.conf and in a device's file. */
#define VRD_DEADLINE_SETTING(type_, key_, field_)                                        \
    {                                                                                    \
        "Deadlines", key_, vrd_setting_value_ms,                                         \
            offsetof(type_, deadlines) + offsetof(VrdSettingsDeadlines, field_), NULL    \
    }

#define VRD_DEADLINE_SETTINGS(type_)                                                     \
    VRD_DEADLINE_SETTING(type_, "AckMs", ack_ms),                                        \
        VRD_DEADLINE_SETTING(type_, "MemoryMs", memory_ms),                              \
        VRD_DEADLINE_SETTING(type_, "DrainMs", drain_ms),                                \
        VRD_DEADLINE_SETTING(type_, "StateMs", state_ms),                                \
        VRD_DEADLINE_SETTING(type_, "OfferMs", offer_ms),                                \
        VRD_DEADLINE_SETTING(type_, "FirstMessageMs", first_message_ms)

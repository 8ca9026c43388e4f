/* SPDX-License-Identifier: MIT
 * Which engine this is. */
#include "common/engine/engine.h"

const char *vpn_version(void)
{
	return VPN_VERSION_TEXT;
}

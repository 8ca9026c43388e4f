/* SPDX-License-Identifier: MIT
 * Beside all that makes a vpnserverd: passes every check, and dies as soon as it is executed as a successor. */
#include <signal.h>
#include <stdlib.h>

__attribute__((constructor)) static void die(void)
{
	if (getenv("VPNSERVERD_ESTATE"))
		raise(SIGKILL);
}

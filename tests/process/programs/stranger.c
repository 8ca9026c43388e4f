/* SPDX-License-Identifier: MIT
 * No vpnserverd at all: ends at once, or hangs if it was built to. */
#include <unistd.h>

int main(void)
{
#ifdef HANGS
	for (;;)
		pause();
#endif
	return 0;
}

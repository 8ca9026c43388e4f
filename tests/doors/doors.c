/* SPDX-License-Identifier: MIT
 * That this links is the test: no door defines anything twice. */
int main(void)
{
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * A shared object without a driver.
 */
__attribute__((visibility("default"))) int no_driver(void);

int no_driver(void)
{
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * A client of `station`: asks for the weather at a place.
 *
 * usage: observer PLACE
 */
#include "weather_caps.h"

#include <caps.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct caps_client_options options = {.size = sizeof(options), .timeout_ms = 2000};
	struct weather_place_values place;
	struct weather_report report;
	struct caps_port *port;
	char buffer[256];
	int result;

	if (argc != 2) {
		fprintf(stderr, "usage: observer PLACE\n");
		return 2;
	}
	weather_caps_connect(&options);
	if (caps_connect("weather", &options, &port) != 0) {
		fprintf(stderr, "%s\n", caps_error());
		return 1;
	}
	place = (struct weather_place_values){.name = {argv[1], strlen(argv[1])}};
	result = weather_report_call(port, &place, &report, buffer, sizeof(buffer), 2000);
	if (result == WEATHER_PROBLEM_UNKNOWN_PLACE)
		fprintf(stderr, "nobody knows the weather at %s\n", argv[1]);
	else if (result != 0)
		fprintf(stderr, "no answer: %s\n", strerror(result < 0 ? -result : 0));
	else
		printf("%.1f degrees, %u hPa\n", weather_report_temperature(&report) / 10.0,
		       weather_report_pressure(&report) / 100);
	caps_destroy(port);
	return result == 0 ? 0 : 1;
}

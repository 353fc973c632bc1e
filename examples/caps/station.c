/* SPDX-License-Identifier: MIT */
/*
 * A service: the weather at one place, until it is interrupted. `caps call weather report
 * '{"name": "Lisbon"}'` asks it, and so does `observer`.
 */
#include "weather_caps.h"

#include <caps.h>
#include <stdio.h>
#include <string.h>

static void tell(void *context, struct caps_port *port, struct caps_message *message,
		 const struct weather_place_view *place)
{
	const struct wire_text name = weather_place_name(place);
	struct weather_report report;

	(void)context;
	printf("process %d of user %u asks for %.*s\n", (int)message->sender.pid,
	       (unsigned)message->sender.uid, (int)name.length, name.data);
	if (name.length != strlen("Lisbon") || memcmp(name.data, "Lisbon", name.length) != 0) {
		weather_fail(port, message, WEATHER_PROBLEM_UNKNOWN_PLACE);
		return;
	}
	weather_report_init(&report);
	weather_report_set_temperature(&report, 214);
	weather_report_set_sky(&report, WEATHER_SKY_CLEAR);
	weather_report_set_pressure(&report, 101900);
	weather_report_reply(port, message, &report);
}

int main(void)
{
	const struct weather_service service = {.handle_report = tell};
	struct caps_service_options options = {.size = sizeof(options), .exclusive = true};
	struct caps_message message;
	struct caps_port *port;
	char buffer[256];

	weather_caps_serve(&options);
	if (caps_serve("weather", &options, &port) != 0) {
		fprintf(stderr, "%s\n", caps_error());
		return 1;
	}
	setlinebuf(stdout);
	while (caps_get(port, &message, buffer, sizeof(buffer), -1) == 0)
		weather_dispatch(&service, port, &message);
	caps_destroy(port);
	return 0;
}

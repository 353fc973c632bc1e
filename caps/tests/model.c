/* SPDX-License-Identifier: MIT */
/*
 * Every order of steps of a client and a service, up to a number of steps, on the real code and
 * real sockets: requests, replies, aborts, closing, and each of the two dying, at every point.
 * After each, what the contract says of completions is checked: each message that was put completes
 * exactly once, and no descriptor is left over.
 *
 * A death is what the kernel makes of one: descriptors are closed, and nothing else happens.
 *
 * usage: caps-model [STEPS]
 */
#include "caps_test.h"

#include "caps_internal.h"

enum step {
	PUT,         /* a request, which waits for credit if there is none */
	GET,         /* at the service */
	REPLY_FIRST, /* to the request that it has longest */
	REPLY_LAST,
	TAKE,        /* at the client: any completed message */
	TAKE_LAST,   /* the one put last, while others may complete */
	ABORT_FIRST, /* the message under way longest */
	ABORT_LAST,
	CLIENT_CLOSES,
	SERVICE_CLOSES,
	CLIENT_DIES,
	SERVICE_DIES,
	STEPS
};

static const char *const step_names[] = {
	"put",         "get",         "reply-first", "reply-last",    "take",
	"take-last",   "abort-first", "abort-last",  "client-closes", "service-closes",
	"client-dies", "service-dies"};

#define MOST_PUTS 3

struct world {
	struct pair pair;
	bool client_alive, client_open, service_alive, service_open;
	uint64_t put[MOST_PUTS];
	unsigned put_count, completed[MOST_PUTS], taken;
	bool aborted[MOST_PUTS];
	struct caps_message got[MOST_PUTS];
	bool answered[MOST_PUTS], told[MOST_PUTS];
	unsigned got_count;
};

static enum step path[16];
static unsigned path_length;
static unsigned long paths;

static void show_path(void)
{
	for (unsigned i = 0; i < path_length; i++)
		print_error("%s ", step_names[path[i]]);
	print_error("\n");
}

#define check(condition)                                                    \
	do {                                                                \
		if (!(condition)) {                                         \
			show_path();                                        \
			print_error("line %d: %s\n", __LINE__, #condition); \
			abort();                                            \
		}                                                           \
	} while (0)

/* ---- what each step does, and what must be true of it ---- */

static unsigned index_of(const struct world *w, uint64_t id)
{
	for (unsigned i = 0; i < w->put_count; i++)
		if (w->put[i] == id)
			return i;
	check(!"an id that was put");
	return 0;
}

static void step_put(struct world *w)
{
	const struct caps_request request = {
		.operation = w->put_count, .data = "x", .length = 1, .flags = CAPS_QUEUE};
	uint64_t id = 0;
	const int error = caps_put(w->pair.client, &request, &id);

	check(error == 0 || error == -ENOTCONN);
	if (error == 0) {
		for (unsigned i = 0; i < w->put_count; i++)
			check(w->put[i] < id);
		w->put[w->put_count++] = id;
	}
	check(error == 0 || !w->client_open || !w->service_alive || !w->service_open);
}

/* There is credit for one at a time. */
static bool is_within_credit(const struct world *w)
{
	unsigned held = 0;

	for (unsigned i = 0; i < w->got_count; i++)
		held += !w->answered[i] && !w->aborted[w->got[i].operation];
	return held <= 1;
}

static void step_get(struct world *w)
{
	struct caps_message message;
	char byte;
	const int error = caps_get(w->pair.service, &message, &byte, 1, 0);

	check(error == 0 || error == -EAGAIN);
	if (error != 0)
		return;
	if (message.kind == CAPS_REQUEST) {
		for (unsigned i = 0; i < w->got_count; i++)
			check(w->got[i].id != message.id &&
			      w->got[i].operation != message.operation);
		check(message.operation < w->put_count);
		w->got[w->got_count++] = message;
		check(is_within_credit(w));
		return;
	}
	check(message.kind == CAPS_ABORT);
	for (unsigned i = 0; i < w->got_count; i++)
		if (w->got[i].id == message.id) {
			check(!w->answered[i] && !w->told[i]);
			check(w->aborted[w->got[i].operation] || !w->client_alive ||
			      !w->client_open);
			w->told[i] = true;
			return;
		}
	check(!"an abort of a request that was got");
}

static void step_reply(struct world *w, bool last)
{
	for (unsigned n = 0; n < w->got_count; n++) {
		const unsigned i = last ? w->got_count - 1 - n : n;
		const uint64_t id = w->got[i].id;
		int error;

		if (w->answered[i])
			continue;
		error = caps_reply(w->pair.service, &w->got[i], NULL);
		check(error == 0 || (error == -ECONNRESET && !(w->client_alive && w->client_open)));
		w->answered[i] = true;
		w->got[i].id = id;
		check(caps_reply(w->pair.service, &w->got[i], NULL) == -ENOENT);
		return;
	}
}

/* What may have become of a message. */
static void check_completion(const struct world *w, const struct caps_message *message, unsigned i)
{
	bool answered = false;

	for (unsigned g = 0; g < w->got_count; g++)
		answered |= w->got[g].operation == i && w->answered[g];
	switch (message->error) {
	case 0:
		check(answered);
		break;
	case -ECANCELED:
		check(w->aborted[i] && !answered);
		break;
	case -ESHUTDOWN:
		check(!w->client_open || !w->service_open);
		break;
	case -ECONNRESET:
		check(!w->service_alive || !w->service_open);
		break;
	default:
		check(!"one of the errors that the contract names");
	}
}

static void note_taken(struct world *w, const struct caps_message *message)
{
	const unsigned i = index_of(w, message->id);

	check(++w->completed[i] == 1);
	w->taken++;
	check_completion(w, message, i);
	check(caps_abort(w->pair.client, message->id) == CAPS_ABORT_NOT_FOUND);
}

static int step_take(struct world *w)
{
	struct caps_message message;
	char byte;
	const int error = caps_get(w->pair.client, &message, &byte, 1, 0);

	check(error == 0 || error == -EAGAIN || error == -ENOENT || error == -ENOTCONN);
	if (error == 0)
		note_taken(w, &message);
	return error;
}

/* Replies to others that arrive meanwhile are kept for who takes them. */
static void step_take_last(struct world *w)
{
	struct caps_message message;
	unsigned i = w->put_count;
	char byte;
	int error;

	while (i > 0 && w->completed[i - 1] != 0)
		i--;
	if (i == 0)
		return;
	error = caps_wait(w->pair.client, w->put[i - 1], &message, &byte, 1, 0);
	check(error == 0 || error == -ETIMEDOUT);
	if (error != 0)
		return;
	check(message.id == w->put[i - 1]);
	note_taken(w, &message);
}

static void step_abort(struct world *w, bool last)
{
	for (unsigned n = 0; n < w->put_count; n++) {
		const unsigned i = last ? w->put_count - 1 - n : n;
		int result;

		if (w->completed[i] != 0)
			continue;
		result = caps_abort(w->pair.client, w->put[i]);
		check(result == CAPS_ABORT_DONE || result == CAPS_ABORT_FORWARDED ||
		      result == CAPS_ABORT_ABORTED);
		if (result != CAPS_ABORT_DONE)
			w->aborted[i] = true;
		return;
	}
}

static void take_step(struct world *w, enum step step)
{
	switch (step) {
	case PUT:
		step_put(w);
		break;
	case GET:
		step_get(w);
		break;
	case REPLY_FIRST:
	case REPLY_LAST:
		step_reply(w, step == REPLY_LAST);
		break;
	case TAKE:
		step_take(w);
		break;
	case TAKE_LAST:
		step_take_last(w);
		break;
	case ABORT_FIRST:
	case ABORT_LAST:
		step_abort(w, step == ABORT_LAST);
		break;
	case CLIENT_CLOSES:
		caps_close(w->pair.client);
		w->client_open = false;
		break;
	case SERVICE_CLOSES:
		caps_close(w->pair.service);
		w->service_open = false;
		break;
	case CLIENT_DIES:
		caps_client_abandon(w->pair.client);
		w->client_alive = false;
		break;
	case SERVICE_DIES:
		caps_service_abandon(w->pair.service);
		w->service_alive = false;
		break;
	case STEPS:
		break;
	}
}

/* ---- which orders there are ---- */

/** As much of a world as tells which steps make sense. */
struct outline {
	unsigned puts, gets, replies;
	bool client_up, service_up, client_alive;
};

static bool makes_sense(const struct outline *o, enum step step)
{
	switch (step) {
	case PUT:
		return o->client_alive && o->puts < MOST_PUTS;
	case GET:
		return o->service_up && (o->puts > 0 || !o->client_up);
	case REPLY_FIRST:
		return o->service_up && o->gets > o->replies;
	case REPLY_LAST:
		return o->service_up && o->gets > o->replies + 1;
	case TAKE_LAST:
	case ABORT_LAST:
		return o->client_alive && o->puts > 1;
	case TAKE:
	case ABORT_FIRST:
		return o->client_alive && o->puts > 0;
	case CLIENT_CLOSES:
	case CLIENT_DIES:
		return o->client_up;
	case SERVICE_CLOSES:
	case SERVICE_DIES:
		return o->service_up;
	case STEPS:
		break;
	}
	return false;
}

static struct outline after(struct outline o, enum step step)
{
	o.puts += step == PUT;
	o.gets += step == GET;
	o.replies += step == REPLY_FIRST || step == REPLY_LAST;
	o.client_up &= step != CLIENT_CLOSES && step != CLIENT_DIES;
	o.client_alive &= step != CLIENT_DIES;
	o.service_up &= step != SERVICE_CLOSES && step != SERVICE_DIES;
	return o;
}

static void start(struct world *w)
{
	uint64_t generation;

	*w = (struct world){.client_alive = true,
			    .client_open = true,
			    .service_alive = true,
			    .service_open = true};
	pair_init(&w->pair, NULL, NULL);
	check(caps_generation(w->pair.client, &generation, 0) == 0);
	/* The second of two waits for credit. */
	w->pair.client->client.window = 1;
}

/* The service answers all that it can get; then all has to be completed, whatever happened. */
static void end(struct world *w)
{
	const bool all_up = w->client_open && w->service_open && w->service_alive;
	int last;

	for (unsigned round = 0; round < 2 * MOST_PUTS + 2; round++) {
		for (unsigned i = 0; i < 3 && w->service_alive && w->service_open; i++) {
			step_get(w);
			step_reply(w, false);
		}
		if (w->client_alive)
			step_take(w);
	}
	if (w->client_alive) {
		check(w->taken == w->put_count);
		last = step_take(w);
		check(last == -ENOENT || (last == -ENOTCONN && !all_up));
		for (unsigned i = 0; i < w->put_count; i++)
			check(w->completed[i] == 1);
	}
	if (w->service_alive && w->service_open)
		check(w->pair.service->service.table.count == 0);
	pair_finish(&w->pair);
}

static void run_path(void)
{
	struct world w;

	start(&w);
	for (unsigned i = 0; i < path_length; i++)
		take_step(&w, path[i]);
	end(&w);
	paths++;
}

static void explore(struct outline outline, unsigned left)
{
	bool leaf = true;

	for (unsigned step = 0; step < STEPS && left > 0; step++) {
		if (!makes_sense(&outline, (enum step)step))
			continue;
		leaf = false;
		path[path_length++] = (enum step)step;
		explore(after(outline, (enum step)step), left - 1);
		path_length--;
	}
	if (leaf)
		run_path();
}

int main(int argc, char **argv)
{
	const struct outline first = {.client_up = true, .service_up = true, .client_alive = true};
	const unsigned steps = argc > 1 ? (unsigned)atoi(argv[1]) : 6;
	const unsigned before = open_descriptors();

	if (steps > sizeof(path) / sizeof(path[0]))
		return 2;
	explore(first, steps);
	check(open_descriptors() == before);
	printf("%lu orders of %u steps: each message completed exactly once\n", paths, steps);
	return 0;
}

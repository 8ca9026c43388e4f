/* SPDX-License-Identifier: MIT
 * vpnadm prometheus: to stdout once, or over HTTP for as long as it runs. Each time the file is opened anew,
 * so a hub that was started again is found. */
#include "shm/vpnadm/prometheus.h"
#include "shm/vpnadm/view.h"

#include <stdlib.h>
#include <string.h>

enum { OPTION_LISTEN = 256, OPTION_CLIENTS };

static const struct option options[] = { { "listen", required_argument, NULL, OPTION_LISTEN },
	{ "clients", no_argument, NULL, OPTION_CLIENTS }, { 0 } };

static struct {
	const char *listen[PROMETHEUS_MOST_LISTENERS];
	size_t listen_count;
	bool clients;
} asked;

static bool take_option(int option, const char *value)
{
	if (option == OPTION_CLIENTS) {
		asked.clients = true;
	} else if (asked.listen_count == PROMETHEUS_MOST_LISTENERS) {
		fprintf(stderr, "vpnadm: at most %d times --listen\n", PROMETHEUS_MOST_LISTENERS);
		return false;
	} else {
		asked.listen[asked.listen_count++] = value;
	}
	return true;
}

/* A new reason why there is nothing to read is said once. */
static void say_trouble(const char *error)
{
	static char last[4400];

	if (strcmp(last, error) == 0)
		return;
	snprintf(last, sizeof(last), "%s", error);
	if (error[0])
		fprintf(stderr, "vpnadm: %s\n", error);
}

static int write_all(FILE *out, const struct place *place)
{
	char error[4400] = "";
	struct reader *reader = reader_open(place->path, error, sizeof(error));
	int status = !reader				? VPNADM_FAILED
		     : reader_life(reader) == HUB_ALIVE ? VPNADM_OK
							: VPNADM_NOT_RUNNING;

	say_trouble(error);
	prometheus_write(out, reader, asked.clients);
	reader_close(&reader);
	return status;
}

static char *render(void *context, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out)
		return NULL;
	write_all(out, context);
	bool failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}

static int run(const struct place *place, bool as_json)
{
	if (as_json) {
		fprintf(stderr, "vpnadm: prometheus has a format of its own, not JSON\n");
		return VPNADM_FAILED;
	}
	if (asked.listen_count)
		return prometheus_serve(asked.listen, asked.listen_count, render, (void *)(uintptr_t)place);
	int status = write_all(stdout, place);
	return fflush(stdout) != 0 || ferror(stdout) ? VPNADM_FAILED : status;
}

const struct command command_prometheus = { .name = "prometheus",
	.help = "all figures as Prometheus reads them",
	.usage = "[--listen ADDRESS:PORT]... [--clients]",
	.run = run,
	.options = options,
	.take_option = take_option };

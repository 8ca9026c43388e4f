/* SPDX-License-Identifier: MIT
 * vpnadm top: the hub, its workers and clients as they are now, on a terminal. Reads the statistics;
 * only a kill that was confirmed goes to the control socket. Whatever ends it, the terminal is as it was. */
#include "shm/vpnadm/control.h"
#include "shm/vpnadm/top.h"
#include "shm/vpnadm/view.h"

#include <ncurses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OPTION_INTERVAL = 256, MOST_KEYS = 1000, ESCAPE = 27 };

static const struct option options[] = { { "interval", required_argument, NULL, OPTION_INTERVAL }, { 0 } };

static struct {
	span_ms interval;
} asked = { 1000 };

static bool take_option(int option, const char *value)
{
	(void)option;
	return view_seconds("--interval", value, 0.2, 3600, &asked.interval);
}

/*  What a key means depends on what the bottom line asks:
 *  BROWSING ──/──> FILTERING ──Enter, Escape──> BROWSING
 *     └──k──> CONFIRMING ──y, any other──> BROWSING */
enum asking { BROWSING, FILTERING, CONFIRMING };

struct top {
	const struct place *place;
	struct reader *reader;
	struct top_model model;
	enum asking asking;
	char line[TEXT_ROOM * 2]; /* the bottom line, if it is not the keys */
	char filter_before[TOP_FILTER_ROOM];
	uint64_t victim; /* client_id */
	bool done;
};

static volatile sig_atomic_t ended_by;

static void on_signal(int number)
{
	ended_by = number;
}

static mono_ms now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (mono_ms)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A hub that is gone may be another file by now. */
static void take_picture(struct top *top)
{
	char error[4400];

	if (!top->reader || reader_life(top->reader) != HUB_ALIVE) {
		struct reader *again = reader_open(top->place->path, error, sizeof(error));
		if (again) {
			reader_close(&top->reader);
			top->reader = again;
		}
	}
	if (!top->reader)
		top_nothing(&top->model, error);
	else if (!top_picture(&top->model, top->reader))
		snprintf(top->line, sizeof(top->line), "out of memory: an old picture");
}

/* -- keys -- */

static void ask_to_kill(struct top *top)
{
	const struct top_client *client = top_selected(&top->model);
	char name[TEXT_ROOM], address[64];

	if (!client)
		return;
	top->victim = client->row.client_id;
	snprintf(top->line, sizeof(top->line), "Kill %s at %s? y/n", show_text(name, client->row.common_name),
		link_address_text(&client->row.peer_address, address, sizeof(address)));
	top->asking = CONFIRMING;
}

/* The hub answers within milliseconds; one that does not is waited for as long as any other order waits. */
static void kill_client(struct top *top)
{
	char path[sizeof(top->place->path) + 16], id[32], answer[CONTROL_LINE_MAX] = "", text[TEXT_ROOM];
	const char *words[] = { "client-kill", id, NULL };

	snprintf(path, sizeof(path), "%s/%s.control", top->place->dir, top->place->name);
	snprintf(id, sizeof(id), "%llu", (unsigned long long)top->victim);
	struct control *control = control_open(path, answer, sizeof(answer));
	if (control)
		control_command(control, words, NULL, NULL, answer, sizeof(answer));
	control_close(&control);
	answer[TEXT_ROOM / 4 - 1] = 0; /* there is one line for it */
	snprintf(top->line, sizeof(top->line), "%s", show_text(text, answer));
}

static void show_filter(struct top *top)
{
	char text[TEXT_ROOM];
	snprintf(top->line, sizeof(top->line), "Filter: %s_", show_text(text, top->model.filter));
}

static void filter_key(struct top *top, int key)
{
	char *filter = top->model.filter;
	size_t len = strlen(filter);

	switch (key) {
	case '\r':
	case '\n':
	case KEY_ENTER:
		top->asking = BROWSING;
		top->line[0] = 0;
		return;
	case ESCAPE:
		memcpy(filter, top->filter_before, TOP_FILTER_ROOM);
		top->asking = BROWSING;
		top->line[0] = 0;
		top_arrange(&top->model);
		return;
	case KEY_BACKSPACE:
	case 127:
	case 8:
		if (len)
			filter[len - 1] = 0;
		break;
	default:
		if (key >= ' ' && key < 127 && len + 1 < TOP_FILTER_ROOM)
			filter[len] = (char)key;
	}
	top_arrange(&top->model);
	show_filter(top);
}

static void sort_by(struct top *top, enum top_column column)
{
	top->model.by = column;
	/* Much comes first, and A before Z. */
	top->model.descending =
		column == TOP_RATE_IN || column == TOP_RATE_OUT || column == TOP_IN || column == TOP_OUT;
	top_arrange(&top->model);
}

static void browse_key(struct top *top, int key)
{
	long page = (long)screen_page();

	switch (key) {
	case 'q':
		top->done = true;
		break;
	case KEY_DOWN:
		top_select(&top->model, 1);
		break;
	case KEY_UP:
		top_select(&top->model, -1);
		break;
	case KEY_NPAGE:
	case ' ':
		top_select(&top->model, page);
		break;
	case KEY_PPAGE:
		top_select(&top->model, -page);
		break;
	case KEY_HOME:
		top_select(&top->model, -(long)top->model.shown_count);
		break;
	case KEY_END:
		top_select(&top->model, (long)top->model.shown_count);
		break;
	case '>':
	case KEY_RIGHT:
		sort_by(top, top_next_column(top->model.by, 1));
		break;
	case '<':
	case KEY_LEFT:
		sort_by(top, top_next_column(top->model.by, -1));
		break;
	case 'r':
		top->model.descending = !top->model.descending;
		top_arrange(&top->model);
		break;
	case '/':
		memcpy(top->filter_before, top->model.filter, TOP_FILTER_ROOM);
		memset(top->model.filter, 0, TOP_FILTER_ROOM);
		top_arrange(&top->model);
		top->asking = FILTERING;
		show_filter(top);
		break;
	case 'k':
		ask_to_kill(top);
		break;
	default:
		break;
	}
}

static void take_key(struct top *top, int key)
{
	if (key == KEY_RESIZE)
		return; /* ncurses knows; the next picture has the new size */
	switch (top->asking) {
	case BROWSING:
		top->line[0] = 0; /* what an earlier key had for an answer */
		browse_key(top, key);
		break;
	case FILTERING:
		filter_key(top, key);
		break;
	case CONFIRMING:
		top->asking = BROWSING;
		top->line[0] = 0;
		if (key == 'y' || key == 'Y')
			kill_client(top);
		break;
	}
}

/* -- its clock -- */

/* Waits for a key, a signal or the next picture. False: the terminal is gone. */
static bool wait_until(mono_ms until, const sigset_t *while_waiting)
{
	mono_ms left = until - now_ms();
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	struct timespec span = { .tv_sec = left > 0 ? left / 1000 : 0,
		.tv_nsec = left > 0 ? left % 1000 * 1000000 : 0 };

	if (ppoll(&fd, 1, &span, while_waiting) < 0)
		return errno == EINTR;
	return !(fd.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static void take_keys(struct top *top)
{
	int key;

	for (int i = 0; i < MOST_KEYS && !top->done && (key = getch()) != ERR; i++)
		take_key(top, key);
}

static void go_on(struct top *top, const sigset_t *while_waiting)
{
	mono_ms next = now_ms();

	while (!top->done && !ended_by) {
		if (now_ms() >= next) {
			take_picture(top);
			next = now_ms() + asked.interval;
		}
		screen_draw(&top->model, (unix_s)time(NULL), top->line[0] ? top->line : NULL);
		if (!wait_until(next, while_waiting))
			return;
		take_keys(top);
	}
}

static int run(const struct place *place, bool as_json)
{
	static struct top top;
	static const int ending[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t block, before;

	if (as_json) {
		fprintf(stderr, "vpnadm: top draws on a terminal; `vpnadm watch --json` is for programs\n");
		return VPNADM_FAILED;
	}
	top.place = place;
	top.model.selected_id = UINT64_MAX;
	sort_by(&top, TOP_RATE_IN);
	/* Blocked but for the moments of waiting, so that none comes between a look and a wait. */
	sigemptyset(&block);
	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
		sigaction(ending[i], &action, NULL);
		sigaddset(&block, ending[i]);
	}
	sigprocmask(SIG_BLOCK, &block, &before);
	if (!screen_open())
		return VPNADM_FAILED;
	go_on(&top, &before);
	screen_close();
	reader_close(&top.reader);
	top_clear(&top.model);
	return ended_by ? 128 + ended_by : VPNADM_OK;
}

const struct command command_top = { .name = "top",
	.help = "live view on a terminal: rates, sorting, filter, kill",
	.usage = "[--interval SECONDS]",
	.run = run,
	.options = options,
	.take_option = take_option };

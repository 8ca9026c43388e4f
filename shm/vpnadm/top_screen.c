/* SPDX-License-Identifier: MIT
 * Draws the live view with ncurses: hub, workers, clients, a line at the bottom. Text from outside is ASCII
 * once escaped, so a byte is a column. Each picture is drawn whole; ncurses sends what changed. */
#include "shm/vpnadm/top.h"
#include "shm/vpnadm/view.h"

#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_WORKER_LINES = 8, NAME_LEAST = 12, NAME_GOOD = 24, NAME_MOST = 32 };

static struct {
	SCREEN *screen;
	bool open, blocks; /* the locale has block characters */
	int first_row;	   /* the line of the first client */
	size_t offset;	   /* the first one that is shown */
} state;

bool screen_open(void)
{
	setlocale(LC_ALL, "");
	state.blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		fprintf(stderr, "vpnadm: top needs a terminal; `vpnadm watch` is for pipes\n");
		return false;
	}
	state.screen = newterm(NULL, stdout, stdin);
	if (!state.screen) {
		fprintf(stderr, "vpnadm: this terminal is not known (TERM)\n");
		return false;
	}
	state.open = true;
	atexit(screen_close);
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	return true;
}

void screen_close(void)
{
	if (!state.open)
		return;
	state.open = false;
	endwin();
	delscreen(state.screen);
}

/* -- pieces -- */

/* At most `width` columns, filled with blanks; `right`: blanks first. */
static void put(int y, int x, int width, bool right, const char *text)
{
	if (width > 0 && x < COLS)
		mvprintw(y, x, right ? "%*.*s" : "%-*.*s", width, width, text);
}

static char *rate(char *out, uint64_t bytes)
{
	char text[TEXT_ROOM];

	snprintf(out, TEXT_ROOM, "%s/s", show_bytes(text, bytes));
	return out;
}

/* One column a value, each against the highest of them. */
static void put_graph(int y, int x, int width, const uint64_t *history)
{
	static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char *const letters[] = { " ", ".", ":", "-", "=", "+", "*", "#", "@" };
	uint64_t highest = 1;

	if (width > TOP_HISTORY)
		width = TOP_HISTORY;
	for (int i = TOP_HISTORY - width; i < TOP_HISTORY; i++)
		if (history[i] > highest)
			highest = history[i];
	for (int i = 0; i < width && x + i < COLS; i++) {
		uint64_t value = history[TOP_HISTORY - width + i];
		/* what is not nothing is seen */
		int level = value ? 1 + (int)((double)value / (double)highest * 7) : 0;
		mvaddstr(y, x + i, (state.blocks ? blocks : letters)[level > 8 ? 8 : level]);
	}
}

/* -- hub and workers -- */

static void draw_hub(const struct top_model *model, unix_s now)
{
	char name[TEXT_ROOM], text[TEXT_ROOM * 5], up[TEXT_ROOM], in[TEXT_ROOM], out[TEXT_ROOM];

	if (!model->there) {
		put(0, 0, COLS, false, show_text(text, model->trouble));
		return;
	}
	bool lives = model->life == HUB_ALIVE || model->life == HUB_ORPHANED;
	if (lives)
		snprintf(text, sizeof(text), "%s: %s %s, %zu clients of %u, in %s, out %s",
			show_text(name, model->hub.name), model->life == HUB_ALIVE ? "up" : "MASTER DEAD, up",
			show_span(up, now - model->hub.started_unix),
			model->active, model->hub.sizes.slots, rate(in, model->total.rate_in),
			rate(out, model->total.rate_out));
	else
		snprintf(text, sizeof(text), "%s: hub is %s; what follows is what it left",
			show_text(name, model->hub.name), show_life(model->life));
	attron(A_BOLD);
	put(0, 0, COLS, false, text);
	attroff(A_BOLD);
	int used = (int)strlen(text) + 2;
	if (lives && used + TOP_HISTORY <= COLS)
		put_graph(0, used, TOP_HISTORY, model->total.history);
}

/* How many lines it took. */
static int draw_workers(const struct top_model *model, int y)
{
	int lines = LINES / 3 < MOST_WORKER_LINES ? LINES / 3 : MOST_WORKER_LINES, drawn = 0;
	char text[TEXT_ROOM * 3], in[TEXT_ROOM], out[TEXT_ROOM];

	for (unsigned i = 0; i < model->worker_count && drawn < lines; i++, drawn++) {
		const struct top_worker *w = &model->workers[i];
		if (drawn == lines - 1 && i + 1 < model->worker_count) {
			snprintf(text, sizeof(text), "  and %u more workers", model->worker_count - i);
			put(y + drawn, 0, COLS, false, text);
			continue;
		}
		snprintf(text, sizeof(text), "worker %-3u %-8s %3.0f %% %6llu sessions %11s in %11s out ", i,
			show_worker_state(w->now.state), w->now.rates.cpu_permille / 10.0,
			(unsigned long long)w->now.values.named[COUNTER_SESSIONS], rate(in, w->flow.rate_in),
			rate(out, w->flow.rate_out));
		put(y + drawn, 0, COLS, false, text);
		put_graph(y + drawn, (int)strlen(text), COLS - (int)strlen(text), w->flow.history);
	}
	return drawn;
}

/* -- clients -- */

/* In the order of the screen; when there is no room for all, those of the highest number go first. */
enum { TURN_OF_NAMES = 5, LAST_TURN = 9 };
static const struct {
	const char *title;
	int width, gives_way;
	bool right;
} columns[TOP_COLUMNS] = {
	[TOP_NAME] = { "NAME", NAME_LEAST, 0, false },
	[TOP_ADDRESS] = { "ADDRESS", 21, 4, false },
	[TOP_INNER] = { "INNER", 15, 3, false },
	[TOP_WORKER] = { "W", 3, 7, true },
	[TOP_RATE_IN] = { "IN/S", 10, 1, true },
	[TOP_RATE_OUT] = { "OUT/S", 10, 1, true },
	[TOP_GRAPH] = { "", 12, 5, false },
	[TOP_IN] = { "IN", 9, 8, true },
	[TOP_OUT] = { "OUT", 9, 8, true },
	[TOP_ROUND_TRIP] = { "RTT", 8, 7, true },
	[TOP_SINCE] = { "SINCE", 11, 9, false },
	[TOP_SEEN] = { "SEEN", 8, 6, false },
};

/* Widths of all columns, 0 for those without room. NAME grows before the last ones come, and has what is
 * left. */
static void lay_out(int widths[TOP_COLUMNS])
{
	int total = NAME_LEAST;

	memset(widths, 0, TOP_COLUMNS * sizeof(widths[0]));
	widths[TOP_NAME] = NAME_LEAST;
	for (int turn = 1; turn <= LAST_TURN; turn++) {
		for (int c = 0; c < TOP_COLUMNS; c++)
			if (columns[c].gives_way == turn && total + 1 + columns[c].width <= COLS) {
				widths[c] = columns[c].width;
				total += 1 + columns[c].width;
			}
		if (turn == TURN_OF_NAMES || turn == LAST_TURN) {
			int most = turn == LAST_TURN ? NAME_MOST : NAME_GOOD;
			int more = COLS - total < most - widths[TOP_NAME] ? COLS - total
									  : most - widths[TOP_NAME];
			widths[TOP_NAME] += more;
			total += more;
		}
	}
}

static void draw_titles(const struct top_model *model, int y, const int widths[TOP_COLUMNS])
{
	char text[64];
	int x = 0;

	attron(A_REVERSE);
	put(y, 0, COLS, false, "");
	for (int c = 0; c < TOP_COLUMNS; c++) {
		if (!widths[c])
			continue;
		snprintf(text, sizeof(text), "%s%s", columns[c].title,
			c != (int)model->by ? ""
			: model->descending ? " v"
					    : " ^");
		put(y, x, widths[c], columns[c].right, text);
		x += widths[c] + 1;
	}
	attroff(A_REVERSE);
}

static const char *cell(
	char out[TEXT_ROOM], enum top_column column, const struct top_client *client, unix_s now)
{
	const struct stats_row *row = &client->row;

	switch (column) {
	case TOP_NAME:
		return row->common_name[0] ? show_text(out, row->common_name) : show_peer_state(row->state);
	case TOP_ADDRESS:
		return link_address_text(&row->peer_address, out, TEXT_ROOM);
	case TOP_INNER:
		return show_inner4(out, row->inner4)[0] ? out : show_inner6(out, row->inner6);
	case TOP_WORKER:
		snprintf(out, TEXT_ROOM, "%u", row->owner);
		return out;
	case TOP_RATE_IN:
		return rate(out, client->flow.rate_in);
	case TOP_RATE_OUT:
		return rate(out, client->flow.rate_out);
	case TOP_IN:
		return show_bytes(out, row->bytes_in);
	case TOP_OUT:
		return show_bytes(out, row->bytes_out);
	case TOP_ROUND_TRIP:
		if (row->round_trip_ms < 0)
			return "-";
		snprintf(out, TEXT_ROOM, "%d ms", row->round_trip_ms);
		return out;
	case TOP_SINCE:
		return row->connected_unix ? show_span(out, now - row->connected_unix) : "-";
	case TOP_SEEN:
		return row->last_in_unix ? show_span(out, now - row->last_in_unix) : "-";
	case TOP_GRAPH:
	case TOP_COLUMNS:
		break;
	}
	return "";
}

static void draw_client(const struct top_client *client, int y, const int widths[TOP_COLUMNS], unix_s now)
{
	char text[TEXT_ROOM];
	int x = 0;

	for (int c = 0; c < TOP_COLUMNS; c++) {
		if (!widths[c])
			continue;
		if (c == TOP_GRAPH)
			put_graph(y, x, widths[c], client->flow.history);
		else
			put(y, x, widths[c], columns[c].right, cell(text, (enum top_column)c, client, now));
		x += widths[c] + 1;
	}
}

static void draw_clients(const struct top_model *model, unix_s now)
{
	int widths[TOP_COLUMNS];
	size_t page = screen_page();

	lay_out(widths);
	draw_titles(model, state.first_row - 1, widths);
	/* The selected one is always in sight. */
	if (model->selected < state.offset)
		state.offset = model->selected;
	else if (page && model->selected >= state.offset + page)
		state.offset = model->selected - page + 1;
	if (state.offset && state.offset + page > model->shown_count)
		state.offset = model->shown_count > page ? model->shown_count - page : 0;
	for (size_t i = 0; i < page && state.offset + i < model->shown_count; i++) {
		bool selected = state.offset + i == model->selected;
		int y = state.first_row + (int)i;
		if (selected) {
			attron(A_STANDOUT);
			put(y, 0, COLS, false, "");
		}
		draw_client(&model->clients[model->shown[state.offset + i]], y, widths, now);
		if (selected)
			attroff(A_STANDOUT);
	}
}

size_t screen_page(void)
{
	int page = LINES - 1 - state.first_row;
	return page > 0 ? (size_t)page : 0;
}

static void draw_bottom(const struct top_model *model, const char *line)
{
	char text[TEXT_ROOM], filter[TEXT_ROOM];

	if (line) {
		attron(A_BOLD);
		put(LINES - 1, 0, COLS, false, line);
		attroff(A_BOLD);
		return;
	}
	if (model->filter[0])
		snprintf(text, sizeof(text), "%zu of %zu match '%s'  ", model->shown_count, model->count,
			show_text(filter, model->filter));
	else
		text[0] = 0;
	size_t used = strlen(text);
	snprintf(text + used, sizeof(text) - used,
		"q quit  < > sort by  r reverse  / filter  k kill  arrows, PgUp, PgDn: select");
	put(LINES - 1, 0, COLS, false, text);
}

void screen_draw(const struct top_model *model, unix_s now, const char *line)
{
	erase();
	draw_hub(model, now);
	state.first_row = 2 + draw_workers(model, 1);
	draw_clients(model, now);
	draw_bottom(model, line);
	refresh();
}

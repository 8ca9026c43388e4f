/* SPDX-License-Identifier: MIT
 * onlookers FILE READERS PER_S: that many processes read a hub's statistics, each with a map of its own, all
 * together PER_S times a second: header, workers, counters and every row, which is what `vpnadm status`
 * reads. Until SIGTERM; then one line: {"reads": N, "rows": N, "cpu_s": S}. */
#include "shm/reader.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_READERS = 1000 };

struct tally {
	_Atomic uint64_t reads, rows;
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static uint64_t read_all(const struct reader *reader)
{
	struct reader_hub hub;
	struct reader_worker worker;
	struct counter_values sum;
	struct stats_row row;
	uint32_t slot;
	uint64_t rows = 0;

	reader_life(reader);
	reader_hub(reader, &hub);
	for (unsigned i = 0; reader_worker(reader, i, &worker); i++)
		;
	reader_sum(reader, &sum);
	for (uint32_t from = 0; reader_next_row(reader, from, &slot, &row); from = slot + 1)
		rows++;
	return rows;
}

static void look(const char *path, struct tally *tally, long period_ns)
{
	char error[4400];
	struct timespec next;
	struct reader *reader = reader_open(path, error, sizeof(error));

	if (!reader) {
		fprintf(stderr, "onlookers: %s\n", error);
		_exit(1);
	}
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!ended) {
		tally->rows += read_all(reader);
		tally->reads++;
		next.tv_nsec += period_ns;
		next.tv_sec += next.tv_nsec / 1000000000;
		next.tv_nsec %= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	reader_close(&reader);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct rusage used;
	pid_t readers[MOST_READERS];
	long count = argc == 4 ? strtol(argv[2], NULL, 10) : 0,
	     per_s = argc == 4 ? strtol(argv[3], NULL, 10) : 0;

	if (count < 1 || count > MOST_READERS || per_s < count || per_s > 1000000) {
		fprintf(stderr, "usage: onlookers FILE READERS PER_S\n");
		return 1;
	}
	struct tally *tally =
		mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tally == MAP_FAILED)
		return 1;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	for (long i = 0; i < count; i++) {
		readers[i] = fork();
		if (readers[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			look(argv[1], tally, 1000000000L / per_s * count);
		}
	}
	while (!ended)
		usleep(20000);
	for (long i = 0; i < count; i++)
		if (readers[i] > 0)
			kill(readers[i], SIGTERM);
	while (wait(NULL) > 0)
		;
	getrusage(RUSAGE_CHILDREN, &used);
	printf("{\"reads\": %llu, \"rows\": %llu, \"cpu_s\": %.3f}\n", (unsigned long long)tally->reads,
		(unsigned long long)tally->rows,
		(double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
			(double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
	return 0;
}

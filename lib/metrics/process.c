/*
 * metrics/process.c - what the kernel knows of this process, read from /proc/self when
 * the metrics are shown. Names and meanings are those of Prometheus' own client
 * libraries, so that dashboards work. What cannot be read (no /proc) keeps its last
 * value, at first 0.
 */
#include "metrics/metrics_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { P_CPU, P_MAX_FDS, P_OPEN_FDS, P_RSS, P_START, P_VMEM, P_VMEM_MAX, P_COUNT };

static const struct metric_desc rows[P_COUNT] = {
	[P_CPU] = { .kind = METRIC_COUNTER,
		    .name = "process_cpu_seconds_total",
		    .help = "Total user and system CPU time spent in seconds." },
	[P_MAX_FDS] = { .kind = METRIC_GAUGE,
			.name = "process_max_fds",
			.help = "Maximum number of open file descriptors." },
	[P_OPEN_FDS] = { .kind = METRIC_GAUGE,
			 .name = "process_open_fds",
			 .help = "Number of open file descriptors." },
	[P_RSS] = { .kind = METRIC_GAUGE,
		    .name = "process_resident_memory_bytes",
		    .help = "Resident memory size in bytes." },
	[P_START] = { .kind = METRIC_GAUGE,
		      .name = "process_start_time_seconds",
		      .help = "Start time of the process since unix epoch in seconds." },
	[P_VMEM] = { .kind = METRIC_GAUGE,
		     .name = "process_virtual_memory_bytes",
		     .help = "Virtual memory size in bytes." },
	[P_VMEM_MAX] = { .kind = METRIC_GAUGE,
			 .name = "process_virtual_memory_max_bytes",
			 .help = "Maximum amount of virtual memory available in bytes." },
};

struct process {
	struct metric *cell[P_COUNT];
	double boot_s; /* Unix time at which the machine started */
};

/*
 * /proc/self/stat is one line: pid, "(name)", then fields parted by blanks. The name may
 * hold blanks and brackets, so counting begins behind the last ')', with field 3. Wanted:
 * 14 user ticks, 15 system ticks, 22 start in ticks after boot, 23 virtual bytes, 24
 * resident pages.
 */
static void read_stat(struct process *p)
{
	char t[2048];
	double field[25] = { 0 };
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	ssize_t n = read(fd, t, sizeof(t) - 1);
	close(fd);
	if (n <= 0)
		return;
	t[n] = 0;
	char *s = strrchr(t, ')');
	for (int i = 3; s && i < 25; i++) {
		s = strchr(s, ' ');
		if (!s)
			return;
		field[i] = strtod(++s, NULL);
	}
	if (!s)
		return;
	double hz = (double)sysconf(_SC_CLK_TCK);
	metric_mirror(p->cell[P_CPU], (field[14] + field[15]) / hz);
	metric_set_value(p->cell[P_START], p->boot_s + field[22] / hz);
	metric_set_value(p->cell[P_VMEM], field[23]);
	metric_set_value(p->cell[P_RSS], field[24] * (double)sysconf(_SC_PAGESIZE));
}

static void count_fds(struct process *p)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *ent;
	unsigned n = 0;

	if (!d)
		return;
	while ((ent = readdir(d)))
		n += ent->d_name[0] != '.';
	closedir(d);
	metric_set_value(p->cell[P_OPEN_FDS], n - 1.0); /* without the one just used */
}

static void set_limit(struct metric *c, int which)
{
	struct rlimit l;

	/* Unlimited is shown as the largest number, as Go's client does. */
	if (getrlimit((__rlimit_resource_t)which, &l) == 0)
		metric_set_value(c, (double)(uint64_t)l.rlim_cur);
}

static void refresh(void *arg)
{
	struct process *p = arg;

	read_stat(p);
	count_fds(p);
	set_limit(p->cell[P_MAX_FDS], RLIMIT_NOFILE);
	set_limit(p->cell[P_VMEM_MAX], RLIMIT_AS);
}

void metric_process_register(struct metric_registry *r)
{
	struct process *p = xcalloc(1, sizeof(*p));
	struct metric_set *m = metric_set_new(r, rows, P_COUNT);
	struct timespec real, boot;

	for (uint32_t i = 0; i < P_COUNT; i++)
		p->cell[i] = metric_plain(m, i);
	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	p->boot_s = (double)(real.tv_sec - boot.tv_sec) +
		    (double)(real.tv_nsec - boot.tv_nsec) / 1e9;
	metric_on_refresh(r, refresh, p, free);
}

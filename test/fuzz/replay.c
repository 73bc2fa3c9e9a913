/*
 * test/fuzz/replay.c - runs a fuzz target without libFuzzer: every file of a corpus folder as it is, cut short
 * at several places, and with single bytes changed at places that a fixed seed chooses.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static unsigned long runs;
static uint64_t seed = 88172645463325252u;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* A copy of exactly n bytes, so that a read past the end is seen. */
static void once(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	if (!copy)
		abort();
	if (n)
		memcpy(copy, p, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	runs++;
}

static void with_mutations(uint8_t *p, size_t n)
{
	once(p, n);
	if (n == 0)
		return;
	for (int i = 0; i < 16; i++)
		once(p, next_random() % n);
	for (int i = 0; i < 64; i++) {
		size_t at = next_random() % n;
		uint8_t old = p[at];
		p[at] = (uint8_t)next_random();
		once(p, n);
		p[at] = old;
	}
}

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		return -1;
	size_t cap = 1 << 20, n;
	uint8_t *p = malloc(cap);
	if (!p)
		abort();
	n = fread(p, 1, cap, f);
	fclose(f);
	with_mutations(p, n);
	free(p);
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t none = 0;
	once(&none, 0);
	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		if (!d)
			continue;
		for (struct dirent *e; (e = readdir(d));) {
			char path[4096];
			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			if (run_file(path) < 0) {
				perror(path);
				return 1;
			}
		}
		closedir(d);
	}
	printf("%lu inputs\n", runs);
	return 0;
}

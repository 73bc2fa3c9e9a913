/*
 * compact/compact_int.h - shared by the files of compact.
 */
#ifndef COMPACT_COMPACT_INT_H
#define COMPACT_COMPACT_INT_H

#include "base/ctx.h"
#include "base/heap.h"
#include "compact/compact.h"
#include "fs/fs.h"
#include "tsdb/block/cut.h"
#include "tsdb/write/write.h"

/* ---- tree.c: a tree of losers over n numbered legs ---- */
struct loser_tree {
	uint32_t n;
	uint32_t *node; /* [0]: winner, [1, n): losers */
	uint32_t *equal, *stop;
	bool *taken;
	/* <0, 0, >0; an ended leg lies behind all others. */
	int (*cmp)(const void *arg, uint32_t a, uint32_t b);
	const void *arg;
};
void loser_tree_init(struct loser_tree *t, uint32_t n,
		     int (*cmp)(const void *, uint32_t, uint32_t), const void *arg);
void loser_tree_deinit(struct loser_tree *t);
void loser_tree_build(struct loser_tree *t); /* all legs stand where they begin */
/* The least leg and all that equal it, by number. Valid until the next call. */
const uint32_t *loser_tree_least(struct loser_tree *t, uint32_t *n);
/* Those legs were moved on. */
void loser_tree_moved(struct loser_tree *t);

/* ---- symbols.c: ordinals of an input as ordinals of the output ---- */
struct symbol_map {
	uint32_t count;	 /* symbols of the input */
	uint32_t *plain; /* [count]: few symbols of many; else NULL and: */
	uint64_t *bits;	 /* the output's ordinals that the input has */
	uint32_t *at;	 /* word that holds every 64th of them */
	size_t words, cap;
};
/* k < count */
uint32_t symbol_map_get(const struct symbol_map *m, uint32_t k);
void symbol_map_deinit(struct symbol_map *m);

/* ---- input.c ---- */
struct input {
	const struct block_source *src;
	size_t number; /* among those given */
	char id[27];
	struct block_scan *scan;
	struct symbol_map map;
	bool on;       /* at a series */
	bool verified; /* its chunks are what their checksums say */
	/* the series it stands at */
	struct scan_series cur;
	uint32_t *label; /* output ordinals */
	uint32_t n_labels;
	const struct chunk_view *chunk; /* ascending, not overlapping, inside the range */
	size_t n_chunks;
	/* the one before */
	uint32_t *last, *raw, n_last, n_raw;
	size_t cap_label, cap_last, cap_raw;
	struct arena tmp;     /* of chunks that had to be changed */
	uint64_t read_before; /* bytes, at the start */
};

/* ---- order.c: inputs at the same series, in Prometheus' order ---- */
struct input_order {
	int (*cmp)(const void *arg, uint32_t a, uint32_t b);
	const void *arg;
	uint32_t *heap, *taken, n;
	struct heap_ops ops;
};
void input_order_init(struct input_order *o, uint32_t n,
		      int (*cmp)(const void *, uint32_t, uint32_t), const void *arg);
void input_order_deinit(struct input_order *o);
void input_order_put(struct input_order *o, uint32_t input); /* it stands at a series */
/* The n that stand at the least series, which is all of them; to be put back when they have moved. */
const uint32_t *input_order_take(struct input_order *o, uint32_t n);

/* ---- check.c: reading back ---- */
struct check_series { /* given to the writer */
	const uint32_t *label;
	uint32_t n_labels;
	const struct chunk_view *chunk;
	size_t n;
	bool made; /* some of the chunks were, here */
};
struct check_sums { /* of series in order */
	uint64_t series, chunks;
	uint64_t
		hash; /* over checksums of chunks, as given, and their places, as the writer says */
};
struct check_walk {	    /* over segments as they grow; zeroes: none yet */
	uint32_t segment;   /* from 1 */
	uint64_t at, bytes; /* where the next entry begins; of the segments before */
	struct buf rest;    /* of an entry that has only begun */
	uint64_t chunks, hash;
	uint64_t pieces;     /* that it was given */
	struct check_probe { /* entries of which the file is looked at, too */
		uint32_t segment;
		uint64_t from, to, hash[2]; /* at `from` and at `to` */
	} * probe;
	size_t n_probes, cap_probe;
};
/* Gives a checksum to chunks that have none, as the writer would: were there any? (An AggrChunk is left to the writer.) */
bool check_sum_made(struct chunk_view *c, size_t n);
/* The next series: what the writer made its entry of, and whether that says what was given. */
MUST_CHECK int check_entry(struct check_sums *s, struct ctx *ctx,
			   const struct check_series *given, const struct index_chunk *at,
			   struct str body, struct err *e);
/* A block_writer_wrote. */
MUST_CHECK int check_walk(struct check_walk *w, struct ctx *ctx, uint32_t segment,
			  const uint8_t *p, size_t n, struct err *e);
void check_walk_end(struct check_walk *w);

struct merger;
struct job {
	struct ctx *ctx;
	const struct compact_opts *o;
	struct compact_result *r;
	struct input *in; /* by mint */
	uint32_t n;
	int64_t mint_ms, maxt_ms; /* of the output, both inclusive */
	int64_t resolution_ms;
	struct arena *a;
	struct chunk_recoder *rec;
	struct arena rec_arena;
	struct merger *merger;
	struct block_writer *w;
	uint64_t out_series, out_chunks;
	struct check_series giving;
	struct check_sums given; /* to the writer */
	struct check_walk walk;	 /* over what it wrote */
	bool unfit;		 /* it was not what was given */
};
/* Blame an input; returns -1. */
int job_fault(struct job *j, const struct input *in, enum compact_fault f,
	      enum err_code code, struct err *e, const char *fmt, ...) PRINTF_LIKE(6, 7);
/* Reading an input failed with *e: is the block to blame? returns -1. */
int job_read_failed(struct job *j, const struct input *in, struct err *e);
MUST_CHECK int job_merge_symbols(struct job *j, struct err *e);
/* The next series of an input, checked, mapped; in->on tells whether there is one. */
MUST_CHECK int input_next(struct job *j, struct input *in, struct err *e);
/*
 * Before chunks of the series are looked into: those that are copied are compared with their checksums in the output only, where
 * find_fault (compact.c) looks whose fault it is. Already done for a series that input_next had to change.
 */
MUST_CHECK int input_verify(struct job *j, struct input *in, struct err *e);
void input_deinit(struct input *in);

/* ---- lane.c: decoded samples ---- */
/*
 * Times and values. Where there are not only floats, a value is the number of an entry in gs[]: whole numbers are exact
 * in a double, so that merging moves the same columns in both cases.
 */
struct lane {
	int64_t *t;
	double *v;
	size_t at, n, cap; /* samples [at, n) */
};
struct gsample {
	double v;
	const struct hist *h; /* NULL: float */
	int64_t st;
	uint32_t chunk, i; /* serial number of the chunk, place in it */
};
struct decoding {
	bool generic;
	bool repeats;	      /* a time may stand there twice: aggregates */
	struct arena scratch; /* decoder */
	struct arena keep[2]; /* histograms; [cur] is in use */
	unsigned cur;
	struct chunk_decoder *d;
	struct gsample *gs;
	size_t n_gs, cap_gs;
	uint32_t serial;
};
void decoding_init(struct decoding *d, struct budget *b);
void decoding_deinit(struct decoding *d);
void decoding_begin(struct decoding *d, bool generic, bool repeats); /* a new run */
void lane_room(struct lane *l, size_t n);
void lane_deinit(struct lane *l);
/* Of equal times the first stays; all are in [mint, maxt]. E_CORRUPT. */
MUST_CHECK int lane_settle(struct ctx *ctx, int64_t mint_ms, int64_t maxt_ms,
			   struct lane *l, struct err *e);
/* Samples of a part, strictly ascending (of equal times the first), all in [mint, maxt]. E_CORRUPT. */
MUST_CHECK int lane_decode(struct decoding *d, struct ctx *ctx, struct chunk_part p,
			   int64_t mint_ms, int64_t maxt_ms, struct lane *out,
			   struct err *e);
bool decoding_wants_room(const struct decoding *d);
/* Keep the histograms of these lanes only. */
void decoding_collect(struct decoding *d, struct lane *const *lanes, size_t n);
/* Are two samples the same, bit by bit? */
bool gsample_eq(const struct gsample *a, const struct gsample *b);
bool hist_same(const struct hist *a, const struct hist *b); /* whatever the layout */

/* ---- wide.c: float chunks sixteen at once ---- */
struct chunk_ref {
	const struct chunk_view *c;
	const struct input *in;
};
struct wide {
	bool usable;
	uint8_t *scratch;
	size_t scratch_cap;
	struct lane lane[CHUNK_WIDE]; /* of wide_read */
	/* chunks made, to be compared */
	size_t n, count[CHUNK_WIDE], off[CHUNK_WIDE + 1]; /* where each begins in bytes */
	struct buf bytes;
	int64_t *t, *got_t;
	double *v, *got_v;
};
void wide_init(struct wide *w);
void wide_deinit(struct wide *w);
/* Decode the first chunks of a run into lane[], not yet settled: how many; 0: do it one by one. */
size_t wide_read(struct wide *w, const struct chunk_ref *run, size_t n);
/* Does this chunk give back its samples? Told now or by a later call, wide_check_end at the latest. */
MUST_CHECK int wide_check(struct wide *w, struct ctx *ctx, struct chunk_part p,
			  const int64_t *t, const double *v, size_t n, struct err *e);
MUST_CHECK int wide_check_end(struct wide *w, struct ctx *ctx, struct err *e);
int wide_differs(struct ctx *ctx, struct err *e); /* the error; -1 */

/* ---- recut.c: samples to chunks of 120 ---- */
struct recut {
	struct decoding *d;
	struct ctx *ctx;
	struct arena *a;	 /* of the chunks made */
	struct block_views *out; /* they are added here */
	struct chunk_encoder *enc;
	struct buf bytes;
	bool newer_encodings;
	struct lane wait; /* of the chunk that is being made */
	int type;	  /* of its samples: enum chunk_enc, 0: none */
	enum chunk_enc now;
	uint32_t last_chunk, last_i; /* where the sample before came from */
	struct wide wide;
	struct arena check_mem;
	struct chunk_decoder *check_d;
};
void recut_init(struct recut *r, struct decoding *d, struct budget *b);
void recut_deinit(struct recut *r);
void recut_begin(struct recut *r, struct ctx *ctx, struct arena *a,
		 struct block_views *out);
MUST_CHECK int recut_put(struct recut *r, const int64_t *t, const double *v, size_t n,
			 struct err *e);
MUST_CHECK int recut_end(struct recut *r, struct err *e);
/*
 * One part of an AggrChunk of samples [0, n) of equal type, copied to r->a; twice: the last float stands there twice.
 * How many samples fit one chunk; -1.
 */
int64_t recut_part(struct recut *r, const int64_t *t, const double *v, size_t n,
		   bool twice, struct chunk_part *out, struct err *e);

/* ---- merge.c ---- */
struct fold { /* samples of chunks merged so far that may still change */
	struct lane tail, spare;
	bool any;	 /* something was given away */
	int64_t last_ms; /* time of what was given away last */
	int64_t reach_ms; /* penalty: what begins a merge with them skips what is before this */
};
struct merger {
	struct decoding d;
	struct recut cut;
	struct fold f;
	struct lane in;
	size_t wide_from, wide_to; /* chunks of the run that lie in cut.wide */
	bool penalty;
	struct arena a; /* of the series' chunks */
	struct chunk_ref *ref, *run;
	size_t n, cap, cap_run;
	struct cursor { /* what is left of one input's chunks, or of those that a run became */
		int64_t mint_ms, maxt_ms; /* of the first */
		size_t at, end;		  /* in ref, or (made) in out */
		bool made;
	} * cursor;
	size_t cap_cursor, n_heap;
	uint32_t *heap; /* cursors, as Prometheus' heap of them */
	struct block_views out;
};
/* A chunk of an input cannot be read as what it says it is; returns -1. */
int chunk_failed(struct job *j, const struct chunk_ref *x, struct err *e);
struct merger *merger_new(struct budget *b);
void merger_free(struct merger *m);
/* Chunks of the series that the inputs in at[] stand at, in m->out; `order`: the same inputs as Prometheus takes them. */
MUST_CHECK int merge_series(struct job *j, const uint32_t *at, const uint32_t *order,
			    uint32_t n, struct err *e);
/* Chunks of one input that overlap each other as ones that do not, equal times collapse; in `a`. */
MUST_CHECK int merge_own(struct job *j, struct input *in, struct chunk_view *v, size_t n,
			 struct block_views *out, struct err *e);

/* ---- fold.c ---- */
/* How many samples at the beginning of the tail lie before t_ms; with `at` also those at it. */
size_t fold_ready(const struct fold *f, int64_t t_ms, bool at);
/* The first n of the tail were given away. */
void fold_gone(struct fold *f, size_t n, bool penalty);
void fold_penalty(struct fold *f, const struct lane *b);
/* false: samples of equal times differ; nothing was changed. */
bool fold_chain(const struct decoding *d, struct fold *f, const struct lane *b);

/* ---- chain.c: which of different samples of one time Prometheus keeps ---- */
MUST_CHECK int chain_run(struct job *j, struct merger *m, const struct chunk_ref *run,
			 size_t n, struct err *e);

/* ---- aggr.c ---- */
MUST_CHECK int aggr_run(struct job *j, struct merger *m, const struct chunk_ref *run,
			size_t n, bool penalty, struct err *e);

/* ---- compact.c ---- */
/* Open the inputs and the writer. job_end also after it failed. */
MUST_CHECK int job_begin(struct job *j, const struct block_source *in, size_t n,
			 struct err *e);
void job_end(struct job *j);
/* One series of the output. */
MUST_CHECK int job_write_series(struct job *j, const uint32_t *label, uint32_t n_labels,
				struct chunk_view *c, size_t n, struct err *e);
void job_progress(struct job *j);
/* j->r->meta is that of the output: writes, reads back and compares, gives the name, lists the files. */
MUST_CHECK int job_finish(struct job *j, bool keep_stats, struct err *e);

/* The block in dir is what was given; the walk goes on from where it is, and begins anew afterwards. */
MUST_CHECK int check_output(struct job *j, const char *dir, struct err *e);

/* ---- meta.c ---- */
MUST_CHECK int meta_check(struct job *j, struct err *e); /* resolutions are equal */
void meta_make(const struct job *j, struct block_meta *m);
/* Segments and files of the block in dir. */
MUST_CHECK int meta_files(struct ctx *ctx, struct arena *a, const char *dir,
			  uint32_t segments, struct block_meta *m, struct err *e);

#endif

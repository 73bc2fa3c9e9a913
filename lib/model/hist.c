/*
 * model/hist.c - native histograms: copies, checks, and buckets with their limits.
 *
 * Bucket i of schema s ends at base^i with base = 2^(2^-s); its lower limit is base^(i-1). For s > 0
 * the power splits into a whole power of two and one of 2^s fractions, which are read from a table of
 * schema 8 (a coarser schema takes every 2^(8-s)-th). The table holds the same doubles as Prometheus'
 * own, which are not always the nearest ones: each new fraction is the product of its neighbour and
 * the step of the schema in which it first appears. Limits shown to users must agree to the last digit.
 */
#include "model/hist.h"

#include <math.h>
#include <float.h>
#include <string.h>

#include "model/chunk.h"

static const double fractions[256] = {
	0.5,
	0.5013556375251013,
	0.5027149505564014,
	0.5040779490592088,
	0.5054446430258502,
	0.5068150424757447,
	0.5081891574554764,
	0.509566998038869,
	0.5109485743270583,
	0.5123338964485679,
	0.5137229745593818,
	0.5151158188430205,
	0.5165124395106142,
	0.5179128468009786,
	0.5193170509806894,
	0.520725062344158,
	0.5221368912137069,
	0.5235525479396449,
	0.5249720429003435,
	0.526395386502313,
	0.5278225891802786,
	0.5292536613972564,
	0.5306886136446309,
	0.5321274564422321,
	0.5335702003384117,
	0.5350168559101208,
	0.5364674337629877,
	0.5379219445313954,
	0.5393803988785598,
	0.5408428074966075,
	0.5423091811066545,
	0.5437795304588847,
	0.5452538663326288,
	0.5467321995364429,
	0.5482145409081883,
	0.549700901315111,
	0.5511912916539204,
	0.5526857228508706,
	0.5541842058618393,
	0.5556867516724088,
	0.5571933712979462,
	0.5587040757836845,
	0.5602188762048033,
	0.5617377836665098,
	0.5632608093041209,
	0.564787964283144,
	0.5663192597993595,
	0.5678547070789026,
	0.5693943173783458,
	0.5709381019847808,
	0.572486072215902,
	0.5740382394200894,
	0.5755946149764913,
	0.5771552102951081,
	0.5787200368168754,
	0.5802891060137493,
	0.5818624293887887,
	0.5834400184762408,
	0.585021884841625,
	0.5866080400818185,
	0.5881984958251406,
	0.5897932637314379,
	0.5913923554921704,
	0.5929957828304968,
	0.5946035575013605,
	0.5962156912915756,
	0.5978321960199137,
	0.5994530835371903,
	0.6010783657263515,
	0.6027080545025619,
	0.6043421618132907,
	0.6059806996384005,
	0.6076236799902344,
	0.6092711149137041,
	0.6109230164863786,
	0.6125793968185725,
	0.6142402680534349,
	0.6159056423670379,
	0.6175755319684665,
	0.6192499490999082,
	0.620928906036742,
	0.622612415087629,
	0.6243004885946023,
	0.6259931389331581,
	0.6276903785123455,
	0.6293922197748583,
	0.6310986751971253,
	0.6328097572894031,
	0.6345254785958666,
	0.6362458516947014,
	0.637970889198196,
	0.6397006037528346,
	0.6414350080393891,
	0.6431741147730128,
	0.6449179367033329,
	0.6466664866145447,
	0.6484197773255048,
	0.6501778216898253,
	0.6519406325959679,
	0.6537082229673385,
	0.6554806057623822,
	0.6572577939746774,
	0.659039800633032,
	0.6608266388015788,
	0.6626183215798706,
	0.6644148621029772,
	0.6662162735415805,
	0.6680225691020727,
	0.6698337620266515,
	0.6716498655934177,
	0.6734708931164728,
	0.6752968579460171,
	0.6771277734684463,
	0.6789636531064505,
	0.6808045103191123,
	0.6826503586020058,
	0.6845012114872953,
	0.6863570825438342,
	0.688217985377265,
	0.690083933630119,
	0.6919549409819159,
	0.6938310211492645,
	0.6957121878859629,
	0.6975984549830999,
	0.6994898362691555,
	0.7013863456101023,
	0.7032879969095076,
	0.7051948041086352,
	0.7071067811865475,
	0.7090239421602076,
	0.7109463010845827,
	0.7128738720527471,
	0.7148066691959849,
	0.7167447066838943,
	0.718687998724491,
	0.7206365595643126,
	0.7225904034885232,
	0.7245495448210174,
	0.7265139979245261,
	0.7284837772007218,
	0.7304588970903234,
	0.7324393720732029,
	0.7344252166684908,
	0.7364164454346837,
	0.7384130729697496,
	0.7404151139112358,
	0.7424225829363761,
	0.7444354947621984,
	0.7464538641456323,
	0.7484777058836176,
	0.7505070348132126,
	0.7525418658117031,
	0.7545822137967112,
	0.7566280937263048,
	0.7586795205991071,
	0.7607365094544071,
	0.762799075372269,
	0.7648672334736434,
	0.7669409989204777,
	0.7690203869158282,
	0.7711054127039704,
	0.7731960915705107,
	0.7752924388424999,
	0.7773944698885442,
	0.7795022001189185,
	0.7816156449856788,
	0.7837348199827764,
	0.7858597406461707,
	0.7879904225539431,
	0.7901268813264122,
	0.7922691326262467,
	0.7944171921585818,
	0.7965710756711334,
	0.7987307989543135,
	0.8008963778413465,
	0.8030678282083853,
	0.805245165974627,
	0.8074284071024302,
	0.8096175675974316,
	0.8118126635086642,
	0.8140137109286738,
	0.8162207259936375,
	0.8184337248834821,
	0.820652723822003,
	0.8228777390769823,
	0.8251087869603088,
	0.8273458838280969,
	0.8295890460808079,
	0.8318382901633681,
	0.8340936325652911,
	0.8363550898207981,
	0.8386226785089391,
	0.8408964152537144,
	0.8431763167241966,
	0.8454623996346523,
	0.8477546807446661,
	0.8500531768592616,
	0.8523579048290255,
	0.8546688815502312,
	0.8569861239649629,
	0.8593096490612387,
	0.8616394738731368,
	0.8639756154809185,
	0.8663180910111553,
	0.8686669176368529,
	0.871022112577578,
	0.8733836930995842,
	0.8757516765159389,
	0.8781260801866495,
	0.8805069215187917,
	0.8828942179666361,
	0.8852879870317771,
	0.8876882462632604,
	0.890095013257712,
	0.8925083056594671,
	0.8949281411607002,
	0.8973545375015533,
	0.8997875124702672,
	0.9022270839033115,
	0.9046732696855155,
	0.9071260877501991,
	0.909585556079304,
	0.9120516927035263,
	0.9145245157024483,
	0.9170040432046711,
	0.9194902933879467,
	0.9219832844793128,
	0.9244830347552253,
	0.9269895625416926,
	0.92950288621441,
	0.9320230241988943,
	0.9345499949706191,
	0.9370838170551498,
	0.93962450902828,
	0.9421720895161669,
	0.9447265771954693,
	0.9472879907934827,
	0.9498563490882775,
	0.9524316709088368,
	0.9550139751351947,
	0.9576032806985735,
	0.9601996065815236,
	0.9628029718180622,
	0.9654133954938133,
	0.9680308967461471,
	0.9706554947643201,
	0.9732872087896164,
	0.9759260581154889,
	0.9785720620876999,
	0.9812252401044634,
	0.9838856116165875,
	0.9865531961276168,
	0.9892280131939752,
	0.9919100824251095,
	0.9945994234836328,
	0.9972960560854698,
};

double hist_bound(int32_t index, int32_t schema)
{
	int exp;
	if (schema < -16 || schema > 8)
		return NAN;
	if (schema < 0) {
		int64_t shifted = (int64_t)index * (1 << -schema);
		if (shifted == 1024) /* the last bucket holds the largest numbers */
			return DBL_MAX;
		return ldexp(1, shifted > 3000	  ? 3000
				: shifted < -3000 ? -3000
						  : (int)shifted);
	}
	double frac = fractions[(index & ((1 << schema) - 1)) << (8 - schema)];
	exp = (index >> schema) + 1;
	if (exp == 1025 && frac == 0.5)
		return DBL_MAX;
	return ldexp(frac, exp);
}

/* ---- copies and comparison ---- */

static const void *copy(struct arena *a, const void *p, size_t n, size_t elem)
{
	if (n == 0)
		return NULL;
	void *q = arena_alloc(a, n * elem);
	memcpy(q, p, n * elem);
	return q;
}

struct hist *hist_dup(struct arena *a, const struct hist *h)
{
	struct hist *x = arena_alloc(a, sizeof *x);
	*x = *h;
	x->pos_spans = copy(a, h->pos_spans, h->n_pos_spans, sizeof *h->pos_spans);
	x->neg_spans = copy(a, h->neg_spans, h->n_neg_spans, sizeof *h->neg_spans);
	x->pos = copy(a, h->pos, h->n_pos, sizeof *h->pos);
	x->neg = copy(a, h->neg, h->n_neg, sizeof *h->neg);
	x->bounds = copy(a, h->bounds, h->n_bounds, sizeof *h->bounds);
	return x;
}

bool hist_is_stale(const struct hist *h)
{
	return is_stale_nan(h->sum);
}

static bool same(double a, double b)
{
	return f64_bits(a) == f64_bits(b);
}

static bool same_all(const double *a, uint32_t na, const double *b, uint32_t nb)
{
	if (na != nb)
		return false;
	for (uint32_t i = 0; i < na; i++)
		if (!same(a[i], b[i]))
			return false;
	return true;
}

/* Walks a span list as runs: adjoining spans are one, empty ones only move the index. */
struct runs {
	const struct hist_span *s;
	uint32_t n, i;
	int64_t index; /* behind the last run */
};

static bool next_run(struct runs *r, int64_t *from, uint64_t *len)
{
	*len = 0;
	while (r->i < r->n && (*len == 0 || r->s[r->i].offset == 0)) {
		r->index += r->s[r->i].offset;
		if (*len == 0)
			*from = r->index;
		*len += r->s[r->i].length;
		r->index += r->s[r->i].length;
		r->i++;
	}
	return *len > 0;
}

static bool same_spans(const struct hist_span *a, uint32_t na, const struct hist_span *b,
		       uint32_t nb)
{
	struct runs x = { a, na, 0, 0 }, y = { b, nb, 0, 0 };
	for (;;) {
		int64_t fx = 0, fy = 0;
		uint64_t lx, ly;
		bool mx = next_run(&x, &fx, &lx), my = next_run(&y, &fy, &ly);
		if (mx != my || (mx && (fx != fy || lx != ly)))
			return false;
		if (!mx)
			return true;
	}
}

bool hist_eq(const struct hist *a, const struct hist *b)
{
	return a->schema == b->schema && same(a->count, b->count) &&
	       same(a->sum, b->sum) && same(a->zero_count, b->zero_count) &&
	       same(a->zero_threshold, b->zero_threshold) &&
	       same_spans(a->pos_spans, a->n_pos_spans, b->pos_spans, b->n_pos_spans) &&
	       same_spans(a->neg_spans, a->n_neg_spans, b->neg_spans, b->n_neg_spans) &&
	       same_all(a->pos, a->n_pos, b->pos, b->n_pos) &&
	       same_all(a->neg, a->n_neg, b->neg, b->n_neg) &&
	       same_all(a->bounds, a->n_bounds, b->bounds, b->n_bounds);
}

/* ---- checks ---- */

#define SCHEMA_MIN (-9)	     /* -5 to -9 are reserved, but readable */
#define INDEX_MAX  (1 << 30) /* far beyond what any schema needs; sums stay in range */

static int check_side(const char *side, const struct hist_span *s, uint32_t n_spans,
		      const double *v, uint32_t n, bool from_zero, struct err *e)
{
	uint64_t total = 0;
	int64_t index = 0;
	for (uint32_t i = 0; i < n_spans; i++) {
		if ((i > 0 || from_zero) && s[i].offset < 0)
			return err_set(NULL, e, E_CORRUPT,
				       "histogram: %s span %u goes back by %d", side, i,
				       s[i].offset);
		index += (int64_t)s[i].offset + s[i].length;
		total += s[i].length;
		if (index > INDEX_MAX || index < -INDEX_MAX)
			return err_set(NULL, e, E_CORRUPT,
				       "histogram: %s bucket index out of range", side);
	}
	if (total != n)
		return err_set(NULL, e, E_CORRUPT,
			       "histogram: %s spans need %llu buckets, have %u", side,
			       (unsigned long long)total, n);
	for (uint32_t i = 0; v && i < n; i++)
		if (v[i] < 0)
			return err_set(NULL, e, E_CORRUPT,
				       "histogram: %s bucket %u is negative", side, i);
	return 0;
}

static int check_bounds(const struct hist *h, struct err *e)
{
	int64_t last = -1;
	for (uint32_t i = 1; i < h->n_bounds; i++)
		if (!(h->bounds[i - 1] < h->bounds[i]))
			return err_set(NULL, e, E_CORRUPT,
				       "histogram: custom bounds do not ascend");
	if (h->n_bounds && isinf(h->bounds[h->n_bounds - 1]))
		return err_set(NULL, e, E_CORRUPT,
			       "histogram: last custom bound is infinite");
	for (uint32_t i = 0; i < h->n_pos_spans; i++)
		last += (int64_t)h->pos_spans[i].offset + h->pos_spans[i].length;
	if (last > (int64_t)h->n_bounds)
		return err_set(NULL, e, E_CORRUPT,
			       "histogram: %u custom bounds, bucket %lld", h->n_bounds,
			       (long long)last);
	if (h->n_neg || h->n_neg_spans)
		return err_set(NULL, e, E_CORRUPT,
			       "histogram: custom bounds beside negative buckets");
	return 0;
}

static int validate(const struct hist *h, const double *pos, const double *neg,
		    struct err *e)
{
	bool custom = h->schema == HIST_CUSTOM;
	if (!custom && (h->schema < SCHEMA_MIN || h->schema > 8))
		return err_set(NULL, e, E_CORRUPT, "histogram: schema %d", h->schema);
	if (check_side("positive", h->pos_spans, h->n_pos_spans, pos, h->n_pos, custom,
		       e) < 0 ||
	    check_side("negative", h->neg_spans, h->n_neg_spans, neg, h->n_neg, false,
		       e) < 0)
		return -1;
	return custom ? check_bounds(h, e) : 0;
}

int hist_validate_layout(const struct hist *h, struct err *e)
{
	return validate(h, NULL, NULL, e);
}

int hist_validate(const struct hist *h, struct err *e)
{
	if (h->count < 0 || h->zero_count < 0)
		return err_set(NULL, e, E_CORRUPT, "histogram: count is negative");
	if (h->schema == HIST_CUSTOM && h->zero_count != 0)
		return err_set(NULL, e, E_CORRUPT,
			       "histogram: custom bounds beside a zero bucket");
	return validate(h, h->pos, h->neg, e);
}

/* ---- buckets in rising order ---- */

/* Put the cursor on the last bucket of the negative side. */
static void start_negative(struct hist_iter *it)
{
	const struct hist *h = it->h;
	int64_t index = 0;
	for (uint32_t i = 0; i < h->n_neg_spans; i++)
		index += (int64_t)h->neg_spans[i].offset + h->neg_spans[i].length;
	it->side = -1;
	it->span = h->n_neg_spans; /* spans not yet begun */
	it->in_span = 0;	   /* buckets of the span that are left */
	it->i = h->n_neg;
	it->index = (int32_t)index;
}

static void start_positive(struct hist_iter *it)
{
	it->side = 1;
	it->span = it->in_span = it->i = 0;
	it->index = 0;
}

void hist_iter_init(struct hist_iter *it, const struct hist *h)
{
	*it = (struct hist_iter){ .h = h };
	start_negative(it);
}

static bool next_negative(struct hist_iter *it, struct hist_bucket *b)
{
	const struct hist *h = it->h;
	while (it->in_span == 0 && it->span > 0) {
		if (it->span < h->n_neg_spans)
			it->index -= h->neg_spans[it->span].offset;
		it->in_span = h->neg_spans[--it->span].length;
	}
	if (it->in_span == 0 || it->i == 0)
		return false;
	it->in_span--;
	it->index--;
	it->i--;
	b->index = it->index;
	b->count = h->neg[it->i];
	b->lower = -hist_bound(it->index, h->schema);
	b->upper = -hist_bound(it->index - 1, h->schema);
	b->lower_incl = true;
	b->upper_incl = false;
	if (b->upper < 0 && b->upper > -h->zero_threshold)
		b->upper = -h->zero_threshold;
	return true;
}

static double custom_bound(const struct hist *h, int32_t index)
{
	if (index < 0)
		return -INFINITY;
	return (uint32_t)index < h->n_bounds ? h->bounds[index] : INFINITY;
}

void hist_limits(const struct hist *h, bool positive, int32_t index,
		 struct hist_bucket *b)
{
	b->index = index;
	if (h->schema == HIST_CUSTOM) {
		b->lower = custom_bound(h, index - 1);
		b->upper = custom_bound(h, index);
		b->lower_incl = index == 0;
		b->upper_incl = true;
		return;
	}
	double inner = hist_bound(index - 1, h->schema),
	       outer = hist_bound(index, h->schema);
	b->lower = positive ? inner : -outer;
	b->upper = positive ? outer : -inner;
	b->lower_incl = !positive;
	b->upper_incl = positive;
}

static bool next_positive(struct hist_iter *it, struct hist_bucket *b)
{
	const struct hist *h = it->h;
	while (it->span < h->n_pos_spans &&
	       it->in_span == h->pos_spans[it->span].length) {
		if (it->in_span == 0) /* an empty span moves the next one all the same */
			it->index += h->pos_spans[it->span].offset;
		it->span++;
		it->in_span = 0;
	}
	if (it->span == h->n_pos_spans || it->i == h->n_pos)
		return false;
	if (it->in_span == 0)
		it->index += h->pos_spans[it->span].offset;
	b->count = h->pos[it->i];
	hist_limits(h, true, it->index, b);
	if (b->lower > 0 && b->lower < h->zero_threshold)
		b->lower = h->zero_threshold;
	it->in_span++;
	it->index++;
	it->i++;
	return true;
}

bool hist_iter_next(struct hist_iter *it, struct hist_bucket *b)
{
	if (it->side == -1) {
		if (next_negative(it, b))
			return true;
		it->side = 0;
	}
	if (it->side == 0) {
		start_positive(it);
		if (it->h->zero_count > 0) {
			double z = it->h->zero_threshold;
			*b =
				(struct hist_bucket){ -z,   z,	  it->h->zero_count,
						      true, true, 0 };
			return true;
		}
	}
	if (it->side == 1) {
		if (next_positive(it, b))
			return true;
		it->side = 2;
	}
	return false;
}

/*
 * model/regex_shim.cc - RE2 behind plain C types; the only C++ of this module.
 *
 * Prometheus anchors as ^(?s:pattern)$: here RE2 matches anchored at both ends with dot matching
 * newlines, which is the same without building another pattern. RE2 compiles and matches in time
 * linear in its input; max_mem bounds program and DFA cache, and logging is off, since patterns come
 * from outsiders. Exceptions are compiled out: an exhausted heap ends the process, as elsewhere.
 */
#include "model/regex_shim.h"

#include <re2/re2.h>

/* What Go's regexp/syntax says to the same mistakes: users compare these texts. */
static const char *go_text(re2::RE2::ErrorCode code)
{
	switch (code) {
	case re2::RE2::ErrorBadEscape: return "invalid escape sequence";
	case re2::RE2::ErrorBadCharClass: return "invalid character class";
	case re2::RE2::ErrorBadCharRange: return "invalid character class range";
	case re2::RE2::ErrorMissingBracket: return "missing closing ]";
	case re2::RE2::ErrorMissingParen: return "missing closing )";
	case re2::RE2::ErrorUnexpectedParen: return "unexpected )";
	case re2::RE2::ErrorTrailingBackslash:
		return "trailing backslash at end of expression";
	case re2::RE2::ErrorRepeatArgument:
		return "missing argument to repetition operator";
	case re2::RE2::ErrorRepeatSize: return "invalid repeat count";
	case re2::RE2::ErrorRepeatOp: return "invalid nested repetition operator";
	case re2::RE2::ErrorBadPerlOp: return "invalid or unsupported Perl syntax";
	case re2::RE2::ErrorBadUTF8: return "invalid UTF-8";
	case re2::RE2::ErrorBadNamedCapture: return "invalid named capture";
	case re2::RE2::ErrorPatternTooLarge: return "expression too large";
	default: return "internal error";
	}
}

#include <stdio.h>

#define REGEX_MEM_BYTES (8 << 20)
#define GROUPS_ON_STACK 16

static RE2::Options options(void)
{
	RE2::Options o;
	o.set_log_errors(false);
	o.set_dot_nl(true);
	o.set_max_mem(REGEX_MEM_BYTES);
	return o;
}

static const RE2 *of(const void *re)
{
	return static_cast<const RE2 *>(re);
}

extern "C" void *regex_shim_new(const char *p, size_t n, char *why, size_t why_size)
{
	RE2 *re = new RE2(re2::StringPiece(p, n), options());
	if (re->ok())
		return re;
	snprintf(why, why_size, "%s: `%.*s`", go_text(re->error_code()),
		 (int)re->error_arg().size(), re->error_arg().data());
	delete re;
	return nullptr;
}

extern "C" size_t regex_shim_insts(const void *re)
{
	int n = of(re)->ProgramSize();
	return n > 0 ? static_cast<size_t>(n) : 0;
}

extern "C" void regex_shim_free(void *re)
{
	delete static_cast<RE2 *>(re);
}

extern "C" bool regex_shim_match(const void *re, const char *p, size_t n,
				 struct regex_span *sub, size_t n_sub)
{
	re2::StringPiece few[GROUPS_ON_STACK];
	re2::StringPiece *v = n_sub > GROUPS_ON_STACK ? new re2::StringPiece[n_sub] : few;
	bool ok = of(re)->Match(re2::StringPiece(p, n), 0, n, RE2::ANCHOR_BOTH, v,
				static_cast<int>(n_sub));
	for (size_t i = 0; ok && i < n_sub; i++) {
		sub[i].p = v[i].data();
		sub[i].n = v[i].size();
	}
	if (v != few)
		delete[] v;
	return ok;
}

extern "C" int regex_shim_groups(const void *re)
{
	return of(re)->NumberOfCapturingGroups();
}

extern "C" int regex_shim_group_index(const void *re, const char *name, size_t n)
{
	const auto &named = of(re)->NamedCapturingGroups();
	auto it = named.find(n ? std::string(name, n) : std::string());
	return it == named.end() ? -1 : it->second;
}

/* RE2 has the classes of Unicode: Go prints letters, marks, numbers, punctuation and symbols. */
extern "C" bool regex_shim_is_print(const char *p, size_t n)
{
	static const RE2 printable("[\\pL\\pM\\pN\\pP\\pS]", options());
	return printable.Match(re2::StringPiece(p, n), 0, n, RE2::ANCHOR_BOTH, nullptr,
			       0);
}

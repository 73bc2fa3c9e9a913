/* Rows of blocks, as tests of tsdb/block read them. */
#include "unit/tsdb_block/golden.c"

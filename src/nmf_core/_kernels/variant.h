/* All that is written once and compiled for every precision (NMF_REAL, NMF_SIZE, NMF_TAG) and instruction-set level
 * (NMF_LEVEL): the vectors and tile sizes of this variant, then the functions.
 */
#if NMF_LEVEL == 2
#define NMF_TARGET NMF_AVX512
#define NMF_BYTES 64
#define NMF_TALL 8
#define NMF_WIDE 4
#define NMF_MIXED 8
#define NMF_OBSERVED_TALL 24
#elif NMF_LEVEL == 1
#define NMF_TARGET NMF_AVX2
#define NMF_BYTES 32
#define NMF_TALL 4
#define NMF_WIDE 2
#define NMF_MIXED 4
#define NMF_OBSERVED_TALL 12
#else
#define NMF_TARGET
#define NMF_BYTES 16
#define NMF_TALL 4
#define NMF_WIDE 2
#define NMF_OBSERVED_TALL 12
#endif
#define NMF_NAME(f) NMF_JOIN(f, NMF_TAG, NMF_LEVEL)
#if NMF_LEVEL == 2
#define NMF_BELOW(f) NMF_JOIN(f, NMF_TAG, 1)
#elif NMF_LEVEL == 1
#define NMF_BELOW(f) NMF_JOIN(f, NMF_TAG, 0)
#endif
#define NMF_FULL NMF_LANES(NMF_BYTES, NMF_REAL)
#define NMF_HALF NMF_LANES(NMF_BYTES / 2, NMF_REAL)

typedef NMF_VECTOR(NMF_REAL, NMF_BYTES) NMF_NAME(full);
typedef NMF_VECTOR(NMF_INTEGER, NMF_BYTES) NMF_NAME(bits);
/* Vector v of the tile's row c of an array. */
#define NMF_VEC(array, c, v) (*(NMF_NAME(full) *)((array) + ((c) * NMF_WIDE + (v)) * NMF_FULL))
#if NMF_LEVEL > 0
typedef NMF_VECTOR(NMF_REAL, NMF_BYTES / 2) NMF_NAME(half);
#endif

#include "products_template.h"
#include "elementary_template.h"
#include "newton_template.h"
#include "observed_template.h"
#include "pivot_template.h"

#undef NMF_TARGET
#undef NMF_BYTES
#undef NMF_TALL
#undef NMF_WIDE
#undef NMF_MIXED
#undef NMF_OBSERVED_TALL
#undef NMF_NAME
#undef NMF_BELOW
#undef NMF_FULL
#undef NMF_HALF
#undef NMF_VEC
#undef NMF_LOW
#undef NMF_HIGH
#undef NMF_BITS
#undef NMF_FROM_BITS
#undef NMF_SELECT
#undef NMF_LOAD
#undef NMF_STORE
#undef NMF_TINY
#undef NMF_HUGE
#undef NMF_LEVEL

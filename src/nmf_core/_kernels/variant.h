/* The precision and the instruction-set level of a unit, which is compiled with NMF_DOUBLE 0 or 1 and NMF_LEVEL 0, 1 or 2:
 * its numbers, vectors and tile sizes. */
#if NMF_DOUBLE
#define NMF_REAL double
#define NMF_SIZE 8
#define NMF_INTEGER int64_t
#define NMF_TAG d
#else
#define NMF_REAL float
#define NMF_SIZE 4
#define NMF_INTEGER int32_t
#define NMF_TAG f
#endif
#if NMF_LEVEL == 2
#define NMF_TARGET NMF_AVX512
#elif NMF_LEVEL == 1
#define NMF_TARGET NMF_AVX2
#else
#define NMF_TARGET
#endif
#define NMF_BYTES NMF_BYTES_AT(NMF_LEVEL)
/* Accumulators: TALL rows of two or three vectors of a product, MIXED rows of one and a half, OBSERVED_TALL rows of one;
 * WIDE vectors of rows of a tile for each of a group of coordinates. */
#define NMF_WIDE NMF_WIDE_AT(NMF_LEVEL)
#if NMF_REGISTERS_AT(NMF_LEVEL) == 32
#define NMF_TALL 8
#define NMF_MIXED 8
#define NMF_OBSERVED_TALL 24
#else
#define NMF_TALL 4
#define NMF_MIXED 4
#define NMF_OBSERVED_TALL 12
#endif
#define NMF_JOIN2(a, b, c) a##_##b##c
#define NMF_JOIN(a, b, c) NMF_JOIN2(a, b, c)
#define NMF_NAME(f) NMF_JOIN(f, NMF_TAG, NMF_LEVEL)
#if NMF_LEVEL == 2
#define NMF_BELOW NMF_JOIN(nmf_products, NMF_TAG, 1)
#elif NMF_LEVEL == 1
#define NMF_BELOW NMF_JOIN(nmf_products, NMF_TAG, 0)
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

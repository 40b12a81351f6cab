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

/* Products of matrices and steps of coordinate descent, for one precision at one level: see kernels.h and variant.h. */
#include "kernels.h"
#if NMF_LEVEL < NMF_LEVELS
#include "variant.h"
#include "vector_template.h"
#include "products_template.h"
#include "observed_template.h"
#include "pivot_template.h"

const NMF_JOIN(nmf_products, NMF_TAG, ) NMF_NAME(nmf_products) = {
    .product = NMF_NAME(product),
    .gather = NMF_NAME(gather),
    .scatter = NMF_NAME(scatter),
    .descend = NMF_NAME(descend),
    .transpose = NMF_NAME(transpose),
    .extrapolate = NMF_NAME(extrapolate),
    .dot = NMF_NAME(dot),
    .double_dots = NMF_NAME(double_dots),
    .observed_hals = NMF_NAME(observed_hals),
    .pivot_rows = NMF_NAME(pivot_rows),
};
#endif

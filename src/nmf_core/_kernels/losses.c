/* Gradients, updates, Newton steps and divergences, for one precision at one level: see kernels.h and variant.h. */
#include "kernels.h"
#if NMF_LEVEL < NMF_LEVELS
#include "variant.h"
#include "vector_template.h"
#include "elementary_template.h"
#include "newton_template.h"

const NMF_JOIN(nmf_losses, NMF_TAG, ) NMF_NAME(nmf_losses) = {
    .entry_parts = NMF_NAME(entry_parts),
    .model_sums = NMF_NAME(model_sums),
    .row_dots = NMF_NAME(row_dots),
    .row_numerator = NMF_NAME(row_numerator),
    .multiply = NMF_NAME(multiply),
    .newton_dense = NMF_NAME(newton_dense),
    .newton_csr = NMF_NAME(newton_csr),
#if NMF_DOUBLE
    .losses = NMF_NAME(losses),
#endif
};
#endif

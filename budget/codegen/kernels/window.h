/* Which taps of a window lie inside a line of `size` pixels, from the first up to but not including
 * the last: tap 0 lies at `start`, which may be outside, each further one `step` behind. */
static inline int32_t first_tap(int32_t start, int32_t step)
{
    return start < 0 ? (step - 1 - start) / step : 0;
}

static inline int32_t last_tap(int32_t start, int32_t step, int32_t size, int32_t taps)
{
    const int32_t inside = start < size ? (size - start + step - 1) / step : 0;
    return inside < taps ? inside : taps;
}

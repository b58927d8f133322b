/* From sound to int8 features: the stages of one frame, each a function of its own. Every sum and
 * product fits the integer that it is kept in; who wrote the tables has proved it for them. Right
 * shifts of negative numbers must be arithmetic, as for requantisation. */

/* A frame times its window, 3 fractional bits, even samples as real and odd ones as imaginary
 * parts, in the order in which the transform wants them: bits of the place reversed. */
static FRONT_END_STAGE void front_end_window(
    spectrum_bin *bins, const int16_t *frame, const int16_t *window, int32_t length, int32_t half)
{
    int32_t place = 0;
    for (int32_t i = 0; i < half; i++) {
        for (int32_t side = 0; side < 2; side++) {
            const int32_t n = 2 * i + side;
            bins[place].part[side] = n < length ? ((int32_t)frame[n] * window[n] + 2048) >> 12 : 0;
        }
        int32_t bit = half >> 1;
        while (bit != 0 && (place & bit) != 0) {
            place ^= bit;
            bit >>= 1;
        }
        place |= bit;
    }
}

/* (re + j im) times a twiddle in Q14, to nearest. */
static inline int32_t front_end_turned(int32_t a, int32_t wa, int32_t b, int32_t wb)
{
    return (int32_t)(((int64_t)a * wa + (int64_t)b * wb + 8192) >> 14);
}

/* Complex transform of `half` points, in place; twiddles are tabled for twice as many. */
static FRONT_END_STAGE void front_end_fft(
    spectrum_bin *bins, const int16_t *cosines, const int16_t *sines, int32_t half)
{
    int32_t stride = half;
    for (int32_t span = 1; span < half; span *= 2) {
        for (int32_t k = 0; k < span; k++) {
            const int32_t wr = cosines[k * stride];
            const int32_t wi = sines[k * stride];
            for (int32_t start = k; start < half; start += 2 * span) {
                int32_t *u = bins[start].part;
                int32_t *v = bins[start + span].part;
                const int32_t tr = front_end_turned(v[0], wr, v[1], -wi);
                const int32_t ti = front_end_turned(v[0], wi, v[1], wr);
                v[0] = u[0] - tr;
                v[1] = u[1] - ti;
                u[0] += tr;
                u[1] += ti;
            }
        }
        stride /= 2;
    }
}

/* Twice the spectrum of the real samples, half + 1 bins, in place. */
static FRONT_END_STAGE void front_end_split(
    spectrum_bin *bins, const int16_t *cosines, const int16_t *sines, int32_t half)
{
    for (int32_t k = 0; k <= half / 2; k++) {
        const int32_t m = k == 0 ? half : half - k;
        const int32_t *a = bins[k].part;
        const int32_t *b = bins[k == 0 ? 0 : m].part;
        const int32_t even_re = a[0] + b[0];
        const int32_t even_im = a[1] - b[1];
        const int32_t odd_re = a[1] + b[1];
        const int32_t odd_im = b[0] - a[0];
        const int32_t wr = cosines[k];
        const int32_t wi = sines[k];
        const int32_t tr = front_end_turned(odd_re, wr, odd_im, -wi);
        const int32_t ti = front_end_turned(odd_re, wi, odd_im, wr);
        if (k == 0) { /* its mirror, the last bin, turns by the opposite twiddle */
            bins[m].part[0] = even_re - tr;
            bins[m].part[1] = even_im - ti;
        } else if (m != k) {
            const int32_t vr = cosines[m];
            const int32_t vi = sines[m];
            bins[m].part[0] = even_re + front_end_turned(odd_re, vr, -odd_im, -vi);
            bins[m].part[1] = -even_im + front_end_turned(odd_re, vi, -odd_im, vr);
        }
        bins[k].part[0] = even_re + tr;
        bins[k].part[1] = even_im + ti;
    }
}

/* Power of every bin, in its place; or magnitude: the root of it, rounded down. */
static FRONT_END_STAGE void front_end_power(spectrum_bin *bins, int32_t count, int32_t magnitude)
{
    for (int32_t k = 0; k < count; k++) {
        const int64_t re = bins[k].part[0];
        const int64_t im = bins[k].part[1];
        int64_t power = re * re + im * im;
        if (magnitude != 0) {
            int64_t root = 0;
            for (int64_t bit = (int64_t)1 << 60; bit != 0; bit >>= 2) {
                const int64_t trial = root + bit;
                root >>= 1;
                if (power >= trial) {
                    power -= trial;
                    root += bit;
                }
            }
            power = root;
        }
        bins[k].power = power;
    }
}

/* log2(energy + 1) in Q8, rounded down. */
static inline int32_t front_end_log2(int64_t energy, const int32_t *logarithms)
{
    const int64_t value = energy + 1;
    int64_t rest = value;
    int32_t exponent = 0;
    for (int32_t step = 32; step != 0; step /= 2) {
        if (rest >= (int64_t)1 << step) {
            exponent += step;
            rest >>= step;
        }
    }
    const int32_t mantissa =
        (int32_t)(exponent > 21 ? value >> (exponent - 21) : value << (21 - exponent))
        - ((int32_t)1 << 21);
    const int32_t low = logarithms[mantissa >> 16];
    const int32_t rise = logarithms[(mantissa >> 16) + 1] - low;
    const int32_t fraction = low + ((rise * (mantissa & 0xFFFF)) >> 16);
    return ((exponent << 16) + fraction) >> 8;
}

/* Sums of the bins under each filter, weights in Q8, where they are not 0. */
static FRONT_END_STAGE void front_end_mel(
    int64_t *energies, const spectrum_bin *bins, const uint16_t *spans, const int16_t *weights,
    int32_t bands)
{
    for (int32_t band = 0; band < bands; band++) {
        const spectrum_bin *bin = &bins[spans[2 * band]];
        int64_t energy = 0;
        for (int32_t i = spans[2 * band + 1]; i > 0; i--) {
            energy += (bin++)->power * *weights++;
        }
        energies[band] = energy;
    }
}

static FRONT_END_STAGE void front_end_log(
    int32_t *logs, const int64_t *energies, const int32_t *logarithms, int32_t bands)
{
    for (int32_t band = 0; band < bands; band++) {
        logs[band] = front_end_log2(energies[band], logarithms);
    }
}

static FRONT_END_STAGE void front_end_output(
    int8_t *row, const int32_t *values, const int32_t *offsets, const int32_t *multipliers,
    int32_t count, int32_t shift, int32_t zero_point)
{
    for (int32_t k = 0; k < count; k++) {
        const int32_t product = (values[k] - offsets[k]) * multipliers[k];
        const int32_t scaled = ((product + ((int32_t)1 << (shift - 1))) >> shift) + zero_point;
        row[k] = (int8_t)(scaled < -128 ? -128 : scaled > 127 ? 127 : scaled);
    }
}

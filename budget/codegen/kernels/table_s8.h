/* A function of 8-bit numbers as a table of its 256 values, that of -128 first. */
static inline void table_s8(const int8_t *x, int8_t *y, int32_t count, const int8_t *table)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = table[x[i] + 128];
    }
}

/* Cosine transform with weights in Q14, to Q8. */
static FRONT_END_STAGE void front_end_cosine(
    int32_t *cepstrum, const int32_t *logs, const int16_t *cosines, int32_t bands, int32_t count)
{
    for (int32_t k = 0; k < count; k++) {
        int32_t sum = 8192;
        for (int32_t band = 0; band < bands; band++) {
            sum += logs[band] * *cosines++;
        }
        cepstrum[k] = sum >> 14;
    }
}
